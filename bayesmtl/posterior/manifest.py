"""The list of all files of a saved fit with their SHA-256, and the check against it."""

import hashlib
import json
from pathlib import Path
from typing import Any

from bayesmtl.errors import SavedFitError

__all__ = ["SCHEMA_VERSION", "check_manifest", "is_fit", "write_manifest"]

SCHEMA_VERSION = 1
NAME = "manifest.json"
FORMAT = "bayesmtl fit"


def write_manifest(folder: Path, schema_version: int) -> None:
    """Write `manifest.json`: format, schema version, size and SHA-256 of every other file."""
    content: dict[str, Any] = {
        "format": FORMAT,
        "schema_version": schema_version,
        "files": {name: _fingerprint(folder / name) for name in _files(folder)},
    }
    content["digest"] = _digest(content)
    (folder / NAME).write_text(json.dumps(content, indent=1), encoding="utf-8")


def is_fit(folder: Path) -> bool:
    """Tell whether a folder was written by this package, whatever its state now."""
    try:
        content = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("format") == FORMAT


def check_manifest(folder: Path) -> None:
    """Compare a folder with its manifest.

    Raises
    ------
    SavedFitError
        If it is not a saved fit, of a newer schema version, or a file is missing, extra or changed.
    """
    if not is_fit(folder):
        raise SavedFitError(f"'{folder}' is not a saved fit: it has no readable {NAME} of bayesmtl")
    content = json.loads((folder / NAME).read_text(encoding="utf-8"))
    version = content.get("schema_version")
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise SavedFitError(
            f"'{folder}' has schema version {version}, this bayesmtl reads up to {SCHEMA_VERSION}: "
            "update the package"
        )
    if content.pop("digest", None) != _digest(content):
        raise SavedFitError(f"'{folder}' is damaged: {NAME} was changed; use a copy, or fit again")
    listed, found = content["files"], _files(folder)
    _refuse(folder, "is missing", sorted(set(listed) - set(found)))
    _refuse(folder, "does not belong to it", sorted(set(found) - set(listed)))
    changed = [name for name in found if _fingerprint(folder / name) != listed[name]]
    _refuse(folder, "was changed", changed)


def _refuse(folder: Path, what: str, names: list[str]) -> None:
    """Raise if there are any such files, naming the first."""
    if names:
        more = f" (and {len(names) - 1} more files)" if len(names) > 1 else ""
        raise SavedFitError(
            f"'{folder}' is damaged: file '{names[0]}'{more} {what}; use a copy, or fit again"
        )


def _files(folder: Path) -> list[str]:
    """List the files of a folder except the manifest, relative to it."""
    places = (place for place in folder.rglob("*") if not place.is_dir())
    names = (place.relative_to(folder).as_posix() for place in places)
    return sorted(name for name in names if name != NAME)


def _fingerprint(place: Path) -> dict[str, Any]:
    """Give size and SHA-256 of a file."""
    with place.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"sha256": digest, "size": place.stat().st_size}


def _digest(content: dict[str, Any]) -> str:
    """Give the SHA-256 of the manifest's own content."""
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
