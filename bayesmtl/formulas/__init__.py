"""Formulas as data: text to checked terms, terms to features; nothing in them is run."""

__all__: list[str] = []
