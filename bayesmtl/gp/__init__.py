"""Tasks that are nonlinear functions: Gaussian processes, and features that a network learns."""

__all__: list[str] = []
