"""A contact sheet: what the network sees of every face, so that a person can see it too."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from syncnet.errors import InputError
from syncnet.media import FPS
from syncnet.tracks import CROP, MouthTrack

COLUMNS = 12
"""Crops shown of each stretch of a track."""

_TITLE = 18  # pixels of caption above each row
_MOST_ROWS = 200


@dataclass(frozen=True)
class SheetRow:
    """One row: a caption and `COLUMNS` crops with their times in seconds."""

    caption: str
    crops: NDArray[np.uint8]
    times: NDArray[np.float64]


def sheet_row(track: MouthTrack) -> SheetRow:
    """Choose crops of a stretch, evenly spread over its time."""
    at = np.unique(np.linspace(0, len(track.crops) - 1, COLUMNS).round().astype(int))
    caption = (
        f"track {track.id}  shot {track.shot}  {track.start:.2f}-{track.end:.2f} s  "
        f"eyes {np.median(track.size):.0f} px  turn {np.median(track.yaw):+.0f} deg  seen {track.seen.mean():.0%}"
    )
    return SheetRow(caption, track.crops[at].copy(), track.start + at / FPS)


def draw_sheet(rows: list[SheetRow]) -> NDArray[np.uint8]:
    """Draw rows under each other: `(H, W)` uint8 grey."""
    if not rows:
        raise InputError("there is no face track to show.")
    height = _TITLE + CROP
    sheet = np.full((height * min(len(rows), _MOST_ROWS), CROP * COLUMNS), 255, np.uint8)
    for number, row in enumerate(rows[:_MOST_ROWS]):
        top = number * height
        cv2.putText(sheet, row.caption, (4, top + 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, 0, 1, cv2.LINE_AA)
        for column, (crop, time) in enumerate(zip(row.crops, row.times, strict=True)):
            tile = crop.copy()
            cv2.putText(tile, f"{time:.2f}", (3, CROP - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.35, 255, 1, cv2.LINE_AA)
            sheet[top + _TITLE : top + height, column * CROP : (column + 1) * CROP] = tile
    return sheet


def save_sheet(rows: list[SheetRow], path: Path) -> None:
    """Write the contact sheet as PNG (or what the name ends in); raises `InputError` when it cannot be written."""
    ending = path.suffix or ".png"
    done, data = cv2.imencode(ending, draw_sheet(rows))
    if not done:
        raise InputError(f"{path}: pictures cannot be written as {ending}; try .png.")
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(data.tobytes())
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error
