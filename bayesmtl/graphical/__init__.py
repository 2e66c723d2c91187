"""Tasks that are Gaussian graphical models: each a network, related by the edges they share."""

__all__: list[str] = []
