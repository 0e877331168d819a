"""Answers to "who speaks" against labels: tables for faces (AVA-ActiveSpeaker) and for turns (RTTM), by window."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from syncnet.active_speaker import WINDOWS
from syncnet.errors import InputError
from syncnet.speaker_analysis import Watched, watch, who_speaks
from syncnet.speaker_metrics import TurnAgreement, agreement, average_precision, matched_scores, turn_agreement
from syncnet.speaker_report import face_rows, segments
from syncnet.speaker_results import SpeakersResult
from syncnet.speaker_truth import SPEAKING, FaceRow, Segment, read_ava, read_rttm

THRESHOLD = 0.5
"""Probability from which a face counts as speaking."""

_UNSEEN = -1.0  # score of a labelled face that was not found: below every face that was


@dataclass(frozen=True)
class FaceFigures:
    """How right the faces are: shares 0 to 1, `window` in frames (0 where a table was given), `found` the share of
    labelled faces that were found (overlap above 0.5)."""

    window: int
    average_precision: float
    accuracy: float
    f1: float
    precision: float
    recall: float
    found: float
    labels: int


@dataclass(frozen=True)
class TurnFigures:
    """How right the turns are: `accuracy` of the moments with speech, `f1` of "x speaks now", both 0 to 1."""

    window: int
    accuracy: float
    f1: float
    moments: int


Figures = FaceFigures | TurnFigures
Labels = list[FaceRow] | list[Segment]


def read_labels(path: Path) -> Labels:
    """Labels of faces from an AVA table, or of turns from a file that ends in .rttm; raises `InputError`."""
    return read_rttm(path) if path.suffix.lower() == ".rttm" else read_ava(path)


def face_figures(truth: Sequence[FaceRow], found: Sequence[FaceRow], window: int = 0) -> FaceFigures:
    """Compare faces with labelled ones; a labelled face that was not found counts as not speaking."""
    scores = matched_scores(truth, found, missing=_UNSEEN)
    speaks = np.array([row.label == SPEAKING for row in truth])
    counted = agreement(scores >= THRESHOLD, speaks)
    return FaceFigures(
        window=window,
        average_precision=average_precision(scores, speaks),
        accuracy=counted.accuracy,
        f1=counted.f1,
        precision=counted.precision,
        recall=counted.recall,
        found=float(np.mean(scores > _UNSEEN)),
        labels=len(truth),
    )


def turn_figures(truth: Sequence[Segment], found: Sequence[Segment], window: int = 0) -> TurnFigures:
    """Compare turns recording by recording, moments and all put together."""
    parts: list[TurnAgreement] = []
    for name in sorted({s.recording for s in truth}):
        own = [s for s in truth if s.recording == name]
        parts.append(turn_agreement(own, [s for s in found if s.recording == name]))
    moments = sum(p.moments for p in parts)
    weights = [p.moments / moments if moments else float("nan") for p in parts]
    return TurnFigures(
        window=window,
        accuracy=sum(p.accuracy * w for p, w in zip(parts, weights, strict=True)),
        f1=sum(p.f1 * w for p, w in zip(parts, weights, strict=True)),
        moments=moments,
    )


def compare_tables(truth: Labels, found: Labels) -> Figures:
    """Compare two files of the same kind; raises `InputError` where they are not or share no recording."""
    faces, found_faces = _faces(truth), _faces(found)
    if (faces is None) != (found_faces is None):
        raise InputError("One of the files labels faces, the other turns: give two AVA tables or two RTTM files.")
    _check_names({_name(t) for t in truth}, {_name(f) for f in found})
    if faces is not None and found_faces is not None:
        return face_figures(faces, found_faces)
    return turn_figures(_turns(truth), _turns(found))


def evaluate_recordings(
    truth: Labels,
    recordings: Iterable[str | PathLike[str]],
    *,
    windows: Sequence[int] = WINDOWS,
    watched: Callable[..., Watched] = watch,
    **options: Any,
) -> list[Figures]:
    """Find out who speaks in recordings and compare it with labels, once for each window length.

    A recording belongs to the labels of its name without ending. `options` go to `watch`. Each recording is read once.
    Raises `InputError` for what cannot be read, and where no label speaks of a recording.
    """
    paths = [Path(p) for p in recordings]
    names = {n for p in paths for n in (p.stem, "_".join(p.stem.split()))}
    _check_names({_name(t) for t in truth}, names)
    seen = [watched(path, **options) for path in paths]
    figures: list[Figures] = []
    faces = _faces(truth)
    for window in windows:
        results = [who_speaks(s, window=window) for s in seen]
        if faces is not None:
            rows = [row for result in results for row in face_rows(result)]
            figures.append(face_figures([r for r in faces if r.video in names], rows, window))
        else:
            turns = [segment for result in results for segment in _as_rttm(result)]
            figures.append(turn_figures([s for s in _turns(truth) if s.recording in names], turns, window))
    return figures


def _as_rttm(result: SpeakersResult) -> list[Segment]:
    """Turns on the clock of the sound, the recording named as RTTM has it: with underscores for blanks."""
    return [replace(s, recording="_".join(s.recording.split())) for s in segments(result)]


def _faces(labels: Labels) -> list[FaceRow] | None:
    rows = [row for row in labels if isinstance(row, FaceRow)]
    return rows or None


def _turns(labels: Labels) -> list[Segment]:
    return [row for row in labels if isinstance(row, Segment)]


def _name(label: FaceRow | Segment) -> str:
    return label.video if isinstance(label, FaceRow) else label.recording


def _check_names(labelled: set[str], given: set[str]) -> None:
    if not labelled & given:
        raise InputError(
            f"The labels are of {', '.join(sorted(labelled)[:5])}, the rest is of {', '.join(sorted(given)[:5])}: "
            "the name of a recording (without its ending) must be that in the labels."
        )


def figures_table(figures: Sequence[Figures]) -> list[str]:
    """Figures as lines of text, in per cent."""
    lines = []
    for row in figures:
        window = f"window {row.window:4d}" if row.window else "as given   "
        if isinstance(row, FaceFigures):
            lines.append(
                f"{window}   AP {_cent(row.average_precision)}   accuracy {_cent(row.accuracy)}   F1 {_cent(row.f1)}   "
                f"precision {_cent(row.precision)}   recall {_cent(row.recall)}   faces found {_cent(row.found)}"
            )
        else:
            lines.append(f"{window}   accuracy {_cent(row.accuracy)}   F1 {_cent(row.f1)}   of {row.moments} moments")
    return lines


def _cent(value: float) -> str:
    return f"{100 * value:5.1f} %" if np.isfinite(value) else "    - "


def figures_dict(figures: Sequence[Figures]) -> list[dict[str, Any]]:
    """Figures for JSON; None where there is nothing to count."""
    rows = [asdict(f) for f in figures]
    return [{k: v if np.isfinite(v) else None for k, v in row.items()} for row in rows]
