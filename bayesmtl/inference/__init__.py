"""Inference methods, one module each; chains and progress in one place."""

__all__: list[str] = []
