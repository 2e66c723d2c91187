"""Tasks are draws from one normal population; separate and pooled tasks are its limits."""

__all__: list[str] = []
