"""Files that commands write: checked before the long work, written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from syncnet.errors import InputError


def check_writable(out: Path | None) -> None:
    """Find out before the long work, not after it, that a result could not be written; raises `InputError`."""
    if out is None:
        return
    if out.is_dir():
        raise InputError(f"{out} is a directory: give the name of a file to write.")
    if not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        raise InputError(f"{out} cannot be written: {out.parent} is missing or not writable.")


def write_text(path: Path, text: str) -> None:
    """Write a text file by way of a temporary one beside it; raises `InputError`."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text)
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error
