"""Files that commands write: checked before the long work, written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from syncnet.errors import InputError

PICTURES = (".png", ".pdf", ".svg")
"""What a plot may be called."""


def check_writable(out: Path | None) -> None:
    """Find out before the long work, not after it, that a result could not be written; raises `InputError`."""
    if out is None:
        return
    if out.is_dir():
        raise InputError(f"{out} is a directory: give the name of a file to write.")
    if out.exists() and not out.is_file():
        raise InputError(f"{out} is a device or a pipe: results are written whole, to a regular file.")
    if not out.parent.is_dir():
        raise InputError(f"{out} cannot be written: there is no folder {out.parent}.")
    trial = out.with_name(f".{out.name}.part")
    try:
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror}.") from error


def check_picture(out: Path | None) -> None:
    """Find out beforehand that a plot could not be written, or not in the format that its name asks for."""
    check_writable(out)
    if out is not None and out.suffix.lower() not in PICTURES:
        raise InputError(f"{out}: plots are written as {', '.join(PICTURES)}; end its name in one of them.")


def write_text(path: Path, text: str) -> None:
    """Write a text file by way of a temporary one beside it; raises `InputError`."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text)
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error
