"""One module per likelihood: its settings and how it turns rows into Gaussian sites."""

__all__: list[str] = []
