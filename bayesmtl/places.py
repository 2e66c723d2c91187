"""Places of results on the command line, checked before anything is computed for them."""

import os
import tempfile
from pathlib import Path

import typer

from bayesmtl.posterior.manifest import is_fit

__all__ = ["check_folder", "place_of_file", "place_of_fit"]


def place_of_fit(path: Path) -> Path:
    """Refuse a place where a fit could not be saved.

    Raises
    ------
    typer.BadParameter
        If it has another ending than .zarr, is taken by something else, or cannot be written.
    """
    if path.suffix != ".zarr":
        raise typer.BadParameter(f"a fit is saved as a folder named *.zarr, not {str(path)!r}")
    if path.exists() and not is_fit(path):
        raise typer.BadParameter(f"{str(path)!r} exists and is not a saved fit; use another name")
    check_folder(path.parent)
    return path


def place_of_file(path: Path | None) -> Path | None:
    """Refuse a file that could not be written.

    Raises
    ------
    typer.BadParameter
        If it is a folder, lies in a saved fit or cannot be written.
    """
    if path is None:
        return None
    if path.is_dir():
        raise typer.BadParameter(f"{str(path)!r} is a folder; name a file, such as pred.csv")
    _refuse_fits(path.parent)
    if not path.exists():
        check_folder(path.parent)
    elif not os.access(path, os.W_OK):
        raise typer.BadParameter(f"{str(path)!r} is write-protected; use another name")
    return path


def check_folder(folder: Path) -> None:
    """Refuse a folder where no file can be made; what is missing of it is not made yet.

    Raises
    ------
    typer.BadParameter
        In a saved fit; else with the reason of the operating system.
    """
    _refuse_fits(folder)
    try:
        exists = next(place for place in (folder, *folder.parents) if place.exists())
        with tempfile.TemporaryFile(dir=exists):
            pass
    except OSError as error:
        raise typer.BadParameter(
            f"cannot write into {str(folder)!r} ({error.strerror}); choose another place by --out"
        ) from None


def _refuse_fits(folder: Path) -> None:
    """Refuse a folder that is a saved fit or lies in one: other files there damage it."""
    place = folder.resolve()
    taken = next((one for one in (place, *place.parents) if is_fit(one)), None)
    if taken is not None:
        raise typer.BadParameter(
            f"other files in {str(folder)!r} would damage the saved fit {str(taken)!r}; choose "
            "another place by --out"
        )
