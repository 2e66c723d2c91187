"""How tasks relate: one prior of the task weights each."""

__all__: list[str] = []
