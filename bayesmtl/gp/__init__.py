"""Multi-task Gaussian processes: tasks are functions, the relation is their covariance."""

__all__: list[str] = []
