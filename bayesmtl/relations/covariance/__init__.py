"""Tasks whose weights are correlated."""
