"""Errors and warnings: each says what is wrong, which column, task or value, and what to do."""

import os
import warnings
from pathlib import Path

__all__ = [
    "BayesMTLError",
    "BayesMTLWarning",
    "InvalidDataError",
    "InvalidModelError",
    "InvalidTypeError",
    "SavedFitError",
    "UnsupportedError",
    "warn",
]

_PACKAGE = f"{Path(__file__).parent}{os.sep}"


class BayesMTLError(Exception):
    """Base of every error that the package raises on purpose."""


class InvalidDataError(BayesMTLError, ValueError):
    """The data cannot be used as they are."""


class InvalidTypeError(InvalidDataError, TypeError):
    """A frame, column or label has a type that cannot be used."""


class InvalidModelError(BayesMTLError, ValueError):
    """A formula, prior or setting of the model is wrong."""


class UnsupportedError(BayesMTLError, NotImplementedError):
    """A part of the model lacks the capability that was asked for."""


class SavedFitError(BayesMTLError, ValueError):
    """A saved fit is missing, damaged or of another version."""


class BayesMTLWarning(UserWarning):
    """The fit is sound, but something about the data or the result needs attention."""


def warn(message: str) -> None:
    """Warn of the user's line that called the package, however deep inside it the reason is found.

    Warns
    -----
    BayesMTLWarning
        Always.
    """
    warnings.warn(message, BayesMTLWarning, skip_file_prefixes=(_PACKAGE,))
