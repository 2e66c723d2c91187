"""Data frames of any library: opening, reading columns, missing values, labels of tasks."""

__all__: list[str] = []
