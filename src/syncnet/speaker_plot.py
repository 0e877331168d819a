"""The timeline of a film's speakers as a picture, and a thumbnail of each of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from syncnet.colour import Bgr
from syncnet.errors import InputError
from syncnet.people import portrait_pictures
from syncnet.speaker_report import offset_in_words
from syncnet.speaker_results import SpeakersResult
from syncnet.turns import OFFSCREEN

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_POINTS = 4000  # of a curve: longer films are thinned out
_MOST_ROWS = 40  # people drawn; those who speak most come first
_GREEN, _AMBER, _GREY = "#3a9d4f", "#e0a030", "#c8c8c8"


def thumbnails(result: SpeakersResult, source: Path) -> dict[str, Bgr]:
    """A picture of each person, `(128, 128, 3)` uint8, blue first, by name."""
    cut = portrait_pictures(source, dict(enumerate(p.portrait for p in result.people)))
    return {result.people[number].name: picture for number, picture in cut.items()}


def save_thumbnails(pictures: dict[str, Bgr], folder: Path) -> None:
    """Write thumbnails as NAME.png; raises `InputError` when they cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, picture in pictures.items():
            part = folder / f".{name}.png.part"
            part.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
            os.replace(part, folder / f"{name}.png")
    except OSError as error:
        raise InputError(f"{folder}: thumbnails cannot be written: {error.strerror}.") from error


def save_timeline(result: SpeakersResult, pictures: dict[str, Bgr], path: Path) -> None:
    """Draw who is seen and who speaks when, one row a person, into a PNG, PDF or SVG file.

    Raises `InputError` when it cannot be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    rows = _rows(result)
    figure = Figure(figsize=(12, 1.6 + 0.62 * len(rows)), layout="constrained")
    axes = figure.subplots()
    axes.set_title(f"{Path(result.file).name}: {offset_in_words(result)}", fontsize="medium")
    for row, name in enumerate(rows):
        _row(axes, result, name, len(rows) - 1 - row)
    for start in result.shots[1:]:
        axes.axvline(start, color="black", linewidth=0.6, linestyle=":")
    axes.set_yticks(range(len(rows)), [name if name not in pictures else "" for name in reversed(rows)])
    axes.set_ylim(-0.5, len(rows) - 0.5)
    axes.set_xlim(result.start_s, max(result.start_s + result.duration_s, result.start_s + 0.1))
    axes.set_xlabel("time (s)   green: speaks, amber: unsure, grey: seen, line: probability")
    for row, name in enumerate(reversed(rows)):
        if name in pictures:
            _thumbnail(axes, pictures[name], name, row)
    part = path.with_name(f".{path.name}.part{path.suffix}")
    try:
        figure.savefig(part, dpi=110)
        os.replace(part, path)
    except (OSError, ValueError) as error:
        part.unlink(missing_ok=True)
        raise InputError(f"{path}: the timeline cannot be written ({error}).") from error


def _rows(result: SpeakersResult) -> list[str]:
    """Names from top to bottom."""
    spoken = {p.name: sum(t.end_s - t.start_s for t in result.turns if t.speaker == p.name) for p in result.people}
    most = set(sorted(spoken, key=lambda name: -spoken[name])[:_MOST_ROWS])
    return [*(name for name in spoken if name in most), OFFSCREEN]


def _row(axes: Axes, result: SpeakersResult, name: str, y: int) -> None:
    for face in (f for f in result.faces if f.person == name):
        axes.barh(y, face.end_s - face.start_s, left=face.start_s, height=0.72, color=_GREY, alpha=0.5)
        step = max(1, len(face.probability) // _MOST_POINTS)
        axes.plot(face.times[::step], y - 0.36 + 0.72 * face.probability[::step], color="black", linewidth=0.6)
    for turn in (t for t in result.turns if t.speaker == name):
        colour = _GREEN if turn.sure else _AMBER
        axes.barh(y, turn.end_s - turn.start_s, left=turn.start_s, height=0.72, color=colour, alpha=0.75)


def _thumbnail(axes: Axes, picture: Bgr, name: str, y: int) -> None:
    from matplotlib.offsetbox import AnnotationBbox, HPacker, OffsetImage, TextArea

    small: NDArray[Any] = np.asarray(cv2.resize(picture, (40, 40), interpolation=cv2.INTER_AREA))[..., ::-1]
    packed = HPacker(children=[TextArea(name), OffsetImage(small, zoom=0.9)], pad=0, sep=4, align="center")
    axes.add_artist(
        AnnotationBbox(packed, (0, y), xycoords=axes.get_yaxis_transform(), box_alignment=(1.05, 0.5), frameon=False)
    )
