"""The same model in other programs."""

__all__: list[str] = []
