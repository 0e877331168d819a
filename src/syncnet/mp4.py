"""What an mp4 or mov file says in its boxes (ISO/IEC 14496-12) that libavformat does not tell, or rounds to frames."""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

FIRST_BOXES = frozenset((b"ftyp", b"mdat", b"wide", b"free", b"skip", b"pnot", b"moov"))
NORMAL_SPEED = 1 << 16
PAUSE = -1  # the media time of an edit that shows nothing


@dataclass(frozen=True)
class Box:
    """A box: its type, and where its contents lie in the file, or would lie if the file were whole."""

    kind: bytes
    start: int
    end: int


@dataclass(frozen=True)
class Shown:
    """The span of presentation time (s) in which a track is shown: from `start` up to, not including, `end`."""

    start: float
    end: float


def lacks_index(file: Path) -> bool:
    """Whether a file is an mp4 or mov without the whole box (moov) that says where its samples are."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        boxes = list(_boxes(opened, 0, size))
    kinds = [box.kind for box in boxes if box.end <= size]
    return bool(boxes) and boxes[0].kind in FIRST_BOXES and b"moov" not in kinds and b"moof" not in kinds


def shown_spans(file: Path) -> dict[int, Shown]:
    """When each track with an edit list is shown, by track ID, if all edit lists are simple; otherwise empty.

    Simple is a pause or none, then one stretch of the media at normal speed (14496-12, 8.6.6): a start offset, encoder
    delay, B-frame delay, a cut without re-encoding.
    """
    try:
        with file.open("rb") as opened:
            return _shown_spans(opened, file.stat().st_size)
    except (OSError, struct.error, ValueError):
        return {}


def _shown_spans(opened: BinaryIO, size: int) -> dict[int, Shown]:
    top = list(_boxes(opened, 0, size))
    if not top or top[0].kind not in FIRST_BOXES:
        return {}
    spans: dict[int, Shown] = {}
    for moov in (box for box in top if box.kind == b"moov"):
        inside = list(_boxes(opened, moov.start, moov.end))
        fragmented = any(box.kind == b"mvex" for box in inside)
        timescale = next(_timescale(_read(opened, box)) for box in inside if box.kind == b"mvhd")
        for trak in (box for box in inside if box.kind == b"trak"):
            track_id, edits = _track(opened, trak)
            if not edits:
                continue
            pause = edits.pop(0)[0] if edits[0][1] == PAUSE else 0
            if len(edits) != 1 or edits[0][1] < 0 or edits[0][2] != NORMAL_SPEED:
                return {}
            start, length = pause / timescale, edits[0][0] / timescale
            spans[track_id] = Shown(start, start + length if length and not fragmented else math.inf)
    return spans


def _track(opened: BinaryIO, trak: Box) -> tuple[int, list[tuple[int, int, int]]]:
    """A track's ID and its edits: (duration in the movie's timescale, media time, speed in 1/65536)."""
    track_id = 0
    edits: list[tuple[int, int, int]] = []
    for box in _boxes(opened, trak.start, trak.end):
        if box.kind == b"tkhd":
            body = _read(opened, box)
            track_id = struct.unpack_from(">I", body, 20 if body[0] == 1 else 12)[0]
        elif box.kind == b"edts":
            for inner in _boxes(opened, box.start, box.end):
                if inner.kind == b"elst":
                    edits = _edits(_read(opened, inner))
    return track_id, edits


def _edits(body: bytes) -> list[tuple[int, int, int]]:
    layout = ">QqI" if body[0] == 1 else ">IiI"
    count = struct.unpack_from(">I", body, 4)[0]
    step = struct.calcsize(layout)
    return [struct.unpack_from(layout, body, 8 + i * step) for i in range(min(count, len(body) // step))]


def _timescale(mvhd: bytes) -> int:
    """Ticks in a second of the movie's own clock."""
    timescale = int(struct.unpack_from(">I", mvhd, 20 if mvhd[0] == 1 else 12)[0])
    if timescale <= 0:
        raise ValueError("the movie header has no timescale")
    return timescale


def _boxes(opened: BinaryIO, start: int, end: int) -> Iterator[Box]:
    """The boxes that lie one after the other in a stretch of a file (14496-12, 4.2)."""
    while start + 8 <= end:
        opened.seek(start)
        size, kind = struct.unpack(">I4s", opened.read(8))
        header = 8
        if size == 1:
            large = opened.read(8)
            if len(large) < 8:
                return
            size, header = struct.unpack(">Q", large)[0], 16
        if size == 0:
            size = end - start
        if size < header:
            return
        yield Box(kind, start + header, start + size)
        start += size


def _read(opened: BinaryIO, box: Box) -> bytes:
    opened.seek(box.start)
    return opened.read(box.end - box.start)


def index_first(file: Path) -> bool:
    """Whether the index (moov) lies before the pictures, so that a player may start before it has the whole file."""
    with file.open("rb") as opened:
        kinds = [box.kind for box in _boxes(opened, 0, file.stat().st_size)]
    return b"moov" in kinds and b"mdat" in kinds and kinds.index(b"moov") < kinds.index(b"mdat")


def sample_kinds(file: Path) -> dict[int, str]:
    """What each track holds, by track ID: the four letters of its first sample description, such as "avc1"."""
    kinds: dict[int, str] = {}
    with file.open("rb") as opened:
        path = (b"mdia", b"minf", b"stbl", b"stsd")
        for moov in (box for box in _boxes(opened, 0, file.stat().st_size) if box.kind == b"moov"):
            for trak in (box for box in _boxes(opened, moov.start, moov.end) if box.kind == b"trak"):
                found = [trak]
                for kind in path:
                    inside = (box for outer in found for box in _boxes(opened, outer.start, outer.end))
                    found = [box for box in inside if box.kind == kind]
                body = _read(opened, found[0]) if found else b""
                if len(body) >= 16:
                    kinds[_track(opened, trak)[0]] = body[12:16].decode("latin-1")
    return kinds
