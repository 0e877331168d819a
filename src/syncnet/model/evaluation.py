"""Figures of many clips as tables: the paper's, and by source, speaker, head turn, face size and noise."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from syncnet.model.calibration import RIGHT_MS, Calibration, Reliability, reliability
from syncnet.model.evaluate import CONTEXTS, TOLERANCE_MS, Figures, unseen
from syncnet.model.pair_distances import PairDistances, added, histogram_text

LONG_S = 4.0
TURNS_DEG = (10.0, 25.0)
FACES_PX = (40.0, 80.0)
NOISES_DB = (25.0, 40.0)
_Name = tuple[int, str]  # place in the order, and what is printed


def groups(clips: Sequence[Figures], *, speakers: bool = False) -> Iterator[tuple[str, str, list[Figures]]]:
    """(by what, name, clips): all, by kind, source, head turn, face size, noise, and if asked by speaker."""
    yield "all", "all", list(clips)
    ways: list[tuple[str, Callable[[Figures], _Name | None]]] = [
        ("kind", lambda c: (0, c.kind)), ("source", lambda c: (0, c.corpus) if c.corpus else None),
        ("head turn", lambda c: _band(c.yaw_deg, TURNS_DEG, "degrees")),
        ("face size", lambda c: _band(c.face_px, FACES_PX, "px between eye corners")),
        ("noise", lambda c: _band(c.noise_db, NOISES_DB, "dB from quiet to loud"))]
    if speakers:
        ways.append(("speaker", lambda c: (0, c.speaker)))
    for way, name_of in ways:
        named: dict[_Name, list[Figures]] = {}
        for clip in clips:
            name = name_of(clip)
            if name is not None:
                named.setdefault(name, []).append(clip)
        for name in sorted(named):
            yield way, name[1], named[name]


def _band(value: float | None, edges: Sequence[float], unit: str) -> _Name | None:
    """Place and name of the band between `edges` that a value lies in."""
    if value is None:
        return None
    number = int(np.searchsorted(edges, value, side="right"))
    if number == 0:
        return number, f"under {edges[0]:g} {unit}"
    if number == len(edges):
        return number, f"{edges[-1]:g} {unit} and more"
    return number, f"{edges[number - 1]:g} to {edges[number]:g} {unit}"


def by_context(clips: Sequence[Figures], field: str) -> list[float | None]:
    """Mean over clips of a field of `Figures` that is listed by context; None where no clip is long enough."""
    columns = list(zip(*(getattr(c, field) for c in clips), strict=True)) or [()] * len(CONTEXTS)
    known = [[v for v in column if v is not None] for column in columns]
    return [float(np.mean(values)) if values else None for values in known]


def whole(clips: Sequence[Figures]) -> dict[str, Any]:
    """Whole clips: how many have an answer, are within 40 ms, unseen; median error; how right the trusted ones are."""
    answered = [c for c in clips if c.offset_ms is not None]
    errors = np.array([c.offset_ms - c.truth_ms for c in answered if c.offset_ms is not None])
    trusted = np.array([c.trusted for c in answered], bool)
    right = np.abs(errors) <= TOLERANCE_MS
    count = max(len(clips), 1)
    return {
        "clips": len(clips), "answered": len(answered),
        "within_40_ms": float(right.sum() / count), "unseen": float(unseen(errors).sum() / count),
        "median_error_ms": float(np.median(np.abs(errors))) if len(errors) else None,
        "trusted": int(trusted.sum()), "trusted_right": int((right & trusted).sum()),
    }


def pairs(clips: Sequence[Figures]) -> PairDistances:
    """Distances of the pairs of all clips, every clip with the same weight."""
    return added(p for c in clips if (p := c.pairs) is not None)


def answers(clips: Sequence[Figures]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64],
                                               NDArray[np.float64]]:
    """Confidence, windows, error (ms) and weight, each (N,), of single answers of every context and of whole clips.

    Every context, and whole clips, have the same weight in all.
    """
    rows: list[tuple[float, float, float]] = []
    labels: list[int] = []
    for clip in clips:
        for context, confidence, error in clip.answers:
            rows.append((confidence, context - 4.0, error))
            labels.append(context)
        if clip.offset_ms is not None and clip.windows:
            rows.append((clip.confidence, float(clip.windows), clip.offset_ms - clip.truth_ms))
            labels.append(0)
    table = np.array(rows, np.float64).reshape(-1, 3)
    number = np.unique(np.array(labels, int), return_inverse=True)[1] if labels else np.zeros(0, int)
    weight = 1.0 / np.bincount(number)[number] if labels else np.zeros(0)
    return table[:, 0], table[:, 1], table[:, 2], weight


def held_up(clips: Sequence[Figures], calibration: Calibration) -> Reliability | None:
    """How a calibration's probabilities held on these clips; None without any answer."""
    confidence, windows, error, weight = answers(clips)
    if not len(error):
        return None
    return reliability(calibration.probability(confidence, windows), np.abs(error) <= RIGHT_MS, weight)


def tables(clips: Sequence[Figures], calibration: Calibration | None = None) -> dict[str, Any]:
    """Everything as one JSON object; shares are 0 to 1."""
    found = pairs(clips)
    positive, negative = found.means
    told: dict[str, Any] = {
        "clips": len(clips), "contexts": list(CONTEXTS),
        "pairs": {"auc": _plain(found.auc), "eer": _plain(found.eer), "mean_positive": _plain(positive),
                  "mean_negative": _plain(negative)},
        "groups": [
            {"by": way, "name": name, "clips": len(part), "right": by_context(part, "right"),
             "within_40_ms": by_context(part, "within"), "unseen": by_context(part, "human"),
             "error_ms": by_context(part, "error_ms"), "whole": whole(part),
             "whole_4_s": whole([c for c in part if c.seconds >= LONG_S]), "auc": _plain(pairs(part).auc)}
            for way, name, part in groups(clips, speakers=True)],
        "problems": {c.name: c.problem for c in clips if c.problem},
    }
    if calibration is not None and (held := held_up(clips, calibration)) is not None:
        told["calibration"] = {"brier": held.brier, "calibration_error": held.calibration_error,
                               "predicted": held.predicted.tolist(), "observed": held.observed.tolist(),
                               "share": held.share.tolist(), "fitted_on": calibration.split}
    return told


def _plain(value: float) -> float | None:
    return value if np.isfinite(value) else None


def in_words(clips: Sequence[Figures], calibration: Calibration | None = None) -> list[str]:
    """The tables as lines of text."""
    found = pairs(clips)
    positive, negative = found.means
    lines = [f"distances of pairs (same clip, negatives 0.2 s or more away): mean {positive:.2f} and {negative:.2f}, "
             f"ROC AUC {found.auc:.3f}, equal error rate {100 * found.eer:.1f} %", *histogram_text(found), ""]
    for title, field in (("within 1 frame of 31 candidates", "right"), ("within 40 ms (parabola)", "within"),
                         ("a rest nobody sees (45 ms early to 125 ms late)", "human")):
        lines += [f"{title}: mean over clips of the share of windows, by frames of context K",
                  f"  {'':42s}{'clips':>6s}" + "".join(f"{f'K={k}':>8s}" for k in CONTEXTS)]
        for _, name, part in groups(clips):
            cells = (f"{100 * v:8.1f}" if v is not None else f"{'-':>8s}" for v in by_context(part, field))
            lines.append(f"  {name[:42]:42s}{len(part):6d}{''.join(cells)}")
        lines.append("")
    lines.append("whole clips of 4 s and longer (then all): within 40 ms, unseen, median error; right of the trusted")
    for _, name, part in groups(clips):
        long = [c for c in part if c.seconds >= LONG_S]
        lines.append(f"  {name[:42]:42s} {_whole_words(long)}; {_whole_words(part)}")
    if calibration is not None and (held := held_up(clips, calibration)) is not None:
        lines += ["", f"probability that an offset is right (fitted on {calibration.split}): Brier score "
                      f"{held.brier:.3f}, calibration error {100 * held.calibration_error:.1f} points"]
        lines += [f"  said {100 * p:5.1f} %  was {100 * o:5.1f} %  ({100 * s:4.1f} % of answers)"
                  for p, o, s in zip(held.predicted, held.observed, held.share, strict=True)]
    return lines


def _whole_words(clips: Sequence[Figures]) -> str:
    if not clips:
        return "none"
    told = whole(clips)
    median = "-" if told["median_error_ms"] is None else f"{told['median_error_ms']:.0f} ms"
    return (f"{100 * told['within_40_ms']:.1f} %, {100 * told['unseen']:.1f} %, {median}, "
            f"{told['trusted_right']} of {told['trusted']} trusted ({told['clips']})")


def as_csv(clips: Sequence[Figures], calibration: Calibration | None = None) -> str:
    """A row for every clip."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["file", "speaker", "corpus", "kind", "seconds", "truth_ms", "offset_ms", "error_ms", "confidence",
                    "trusted", "probability", "windows", "face_px", "yaw_deg", "noise_db",
                    *(f"right_k{k}" for k in CONTEXTS), "problem"])
    for c in sorted(clips, key=lambda c: c.name):
        error = None if c.offset_ms is None else c.offset_ms - c.truth_ms
        chance = None if calibration is None or error is None else float(
            calibration.probability(c.confidence, c.windows))
        table.writerow([c.name, c.speaker, c.corpus, c.kind, c.seconds, *map(_cell, (c.truth_ms, c.offset_ms, error)),
                        _cell(c.confidence, 3), int(c.trusted), _cell(chance, 3), c.windows,
                        *map(_cell, (c.face_px, c.yaw_deg, c.noise_db)), *(_cell(v, 4) for v in c.right), c.problem])
    return text.getvalue()


def _cell(value: float | None, digits: int = 1) -> str:
    return "" if value is None else f"{value:.{digits}f}"
