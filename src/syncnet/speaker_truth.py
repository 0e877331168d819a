"""Labels of who speaks, read and written: AVA-ActiveSpeaker tables of faces, and RTTM lists of turns."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from syncnet.errors import InputError

SPEAKING = "SPEAKING_AUDIBLE"
AVA_LABELS = (SPEAKING, "SPEAKING_NOT_AUDIBLE", "NOT_SPEAKING")
AVA_COLUMNS = (
    "video_id",
    "frame_timestamp",
    "entity_box_x1",
    "entity_box_y1",
    "entity_box_x2",
    "entity_box_y2",
    "label",
    "entity_id",
)
"""Columns of a table of labels; a table of predictions has `score` after them."""


@dataclass(frozen=True)
class FaceRow:
    """One face at one moment: `time_s` of presentation, `box` x0, y0, x1, y1 as shares of the picture, 0 to 1."""

    video: str
    time_s: float
    box: tuple[float, float, float, float]
    label: str
    entity: str
    score: float = 0.0


@dataclass(frozen=True)
class Segment:
    """Somebody speaks in a recording from `start_s` to `end_s`."""

    recording: str
    start_s: float
    end_s: float
    speaker: str


def ava_table(rows: Iterable[FaceRow]) -> str:
    """Rows as AVA-ActiveSpeaker predictions: nine columns, no header, times to 10 ms, boxes and scores to 4 digits."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    for row in rows:
        box = (f"{v:.4f}" for v in row.box)
        table.writerow([row.video, f"{row.time_s:.2f}", *box, row.label, row.entity, f"{row.score:.4f}"])
    return text.getvalue()


def read_ava(path: Path) -> list[FaceRow]:
    """Read an AVA-ActiveSpeaker table with or without header and score; raises InputError naming the line at fault."""
    rows = []
    for number, cells in enumerate(csv.reader(io.StringIO(_text(path))), 1):
        if not cells or cells[0] == AVA_COLUMNS[0]:
            continue
        try:
            rows.append(_face_row(cells))
        except ValueError as error:
            wanted = ", ".join(AVA_COLUMNS)
            raise InputError(f"{path}, line {number}: {error}; wanted are {wanted} and perhaps score.") from error
    if not rows:
        raise InputError(f"{path}: there are no labels in this table.")
    return rows


def _face_row(cells: list[str]) -> FaceRow:
    if len(cells) not in (len(AVA_COLUMNS), len(AVA_COLUMNS) + 1):
        raise ValueError(f"{len(cells)} columns")
    time, x0, y0, x1, y1 = (float(c) for c in cells[1:6])
    if cells[6] not in AVA_LABELS:
        raise ValueError(f"the label {cells[6]!r} is none of {', '.join(AVA_LABELS)}")
    score = float(cells[8]) if len(cells) > len(AVA_COLUMNS) else 0.0
    return FaceRow(cells[0], time, (x0, y0, x1, y1), cells[6], cells[7], score)


def rttm_lines(segments: Iterable[Segment]) -> str:
    """Segments as RTTM: `SPEAKER recording 1 start duration <NA> <NA> speaker <NA> <NA>`, seconds to a millisecond."""
    return "".join(
        f"SPEAKER {_word(s.recording)} 1 {s.start_s:.3f} {s.end_s - s.start_s:.3f} "
        f"<NA> <NA> {_word(s.speaker)} <NA> <NA>\n"
        for s in segments
    )


def _word(text: str) -> str:
    """RTTM separates its fields by blanks, so that no name may hold one."""
    return "_".join(text.split()) or "_"


def read_rttm(path: Path) -> list[Segment]:
    """Read the SPEAKER lines of an RTTM file; raises InputError naming the line at fault."""
    segments = []
    for number, line in enumerate(_text(path).splitlines(), 1):
        cells = line.split()
        if not cells or cells[0].startswith(";") or cells[0] != "SPEAKER":
            continue
        try:
            start, length = float(cells[3]), float(cells[4])
            segments.append(Segment(cells[1], start, start + length, cells[7]))
        except (ValueError, IndexError) as error:
            raise InputError(
                f"{path}, line {number}: not an RTTM line; wanted: SPEAKER name 1 start duration <NA> <NA> speaker."
            ) from error
    if not segments:
        raise InputError(f"{path}: there are no SPEAKER lines in this file.")
    return segments


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: {(error.strerror or 'it cannot be read').lower()}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: this is not a text file") from error
