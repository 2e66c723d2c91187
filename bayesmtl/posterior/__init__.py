"""What is done with a fit: schema, diagnostics, saving and loading, predictions, task relations."""

__all__: list[str] = []
