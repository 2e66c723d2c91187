"""Tasks fall into clusters of unknown number: random partitions of the tasks."""
