"""A journal of long work over many files: one line per finished file, so that a stopped run can go on where it was.

The first line says what the work is; lines are only ever appended, each in a single write. A line that a killed
process left unfinished is cut off when the journal is opened again.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from syncnet.errors import InputError

Record = dict[str, Any]

_BEGINNING = b'{"journal":'


class Journal:
    """The records of a run by the file they are about; `append` adds one to the disk before it returns."""

    def __init__(self, path: Path, work: Record) -> None:
        """Open the journal of this work, or begin it. Raises InputError if the file is that of other work or none."""
        self.path = path
        self.records: dict[str, Record] = {}
        lines = self._whole_lines()
        if not lines:
            self._write({"journal": work})
            return
        begun = _parsed(path, lines[0]).get("journal")
        if not isinstance(begun, dict):
            raise InputError(f"{path} is no journal of this program: give another name, or remove it.")
        other = [key for key in sorted(begun.keys() | work.keys()) if begun.get(key) != work.get(key)]
        if other:
            raise InputError(
                f"{path} was begun with another {' and '.join(other)}: begun with "
                f"{json.dumps({key: begun.get(key) for key in other})}, now "
                f"{json.dumps({key: work.get(key) for key in other})}. Give another journal, or the same options."
            )
        for line in lines[1:]:
            record = _parsed(path, line)
            self.records[str(record.get("file"))] = record

    def append(self, record: Record) -> None:
        """Add what is known about `record["file"]`; it survives the end of the process, however sudden."""
        self._write(record)
        self.records[str(record["file"])] = record

    def _whole_lines(self) -> list[bytes]:
        """The finished lines of the file; what follows the last line end is cut off."""
        try:
            content = self.path.read_bytes()
            end = content.rfind(b"\n") + 1
            if end < len(content):
                if not content.startswith(_BEGINNING[: len(content)]):
                    raise InputError(f"{self.path} is no journal of this program: give another name, or remove it.")
                os.truncate(self.path, end)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise InputError(f"{self.path} cannot be used as a journal: {error.strerror}.") from error
        return content[:end].splitlines()

    def _write(self, record: Record) -> None:
        line = (json.dumps(record) + "\n").encode()
        try:
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                if os.write(handle, line) != len(line):
                    raise OSError(None, "the disk is full")
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            raise InputError(f"{self.path} cannot be written: {error.strerror}.") from error


def _parsed(path: Path, line: bytes) -> Record:
    try:
        record = json.loads(line)
    except ValueError:
        record = None
    if not isinstance(record, dict):
        raise InputError(f"{path} is no journal of this program: give another name, or remove it.")
    return record
