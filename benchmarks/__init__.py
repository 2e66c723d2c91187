"""Speed and accuracy against peers, in one run: ``python -m benchmarks [names]``."""

__all__: list[str] = []
