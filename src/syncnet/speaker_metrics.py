"""How right an answer to "who speaks" is: average precision, F1, frame accuracy (pure numpy).

Average precision is that of the PASCAL VOC challenge as AVA-ActiveSpeaker uses it: detections ranked by score, the area
under the precision-recall curve after precision has been made non-increasing (Everingham et al., "The PASCAL Visual
Object Classes Challenge 2012"; Roth et al., "AVA-ActiveSpeaker", 2020).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from syncnet.errors import InputError
from syncnet.speaker_truth import FaceRow, Segment

IOU = 0.5
"""Overlap (intersection over union) above which a found face is the labelled one."""

STEP_S = 0.04
"""Seconds between the moments at which turns are compared."""

_NEAREST_S = 0.021  # a found face this near in time to a label is of the same frame


@dataclass(frozen=True)
class Agreement:
    """Found against true, counted over single decisions. Shares are 0 to 1; NaN where there is nothing to count."""

    accuracy: float
    precision: float
    recall: float
    f1: float
    count: int


def average_precision(scores: ArrayLike, positive: ArrayLike) -> float:
    """Interpolated average precision of detections: scores `(N,)` the higher the surer, positive `(N,)` bool.

    Returns 0 to 1, NaN without a positive. Equal scores keep the order they come in.
    """
    score, truth = np.asarray(scores, np.float64), np.asarray(positive, bool)
    if score.shape != truth.shape or score.ndim != 1:
        raise InputError(f"Every score needs one label: {score.shape} and {truth.shape} do not match.")
    if not truth.any():
        return float("nan")
    ranked = truth[np.argsort(-score, kind="stable")]
    hits = np.cumsum(ranked)
    precision = hits / np.arange(1, len(ranked) + 1)
    recall = hits / hits[-1]
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * best_from_here))


def agreement(found: ArrayLike, true: ArrayLike) -> Agreement:
    """Compare yes-no decisions `(N,)` with the truth `(N,)`: accuracy, precision, recall, and F1 = 2PR / (P + R)."""
    said, is_so = np.asarray(found, bool), np.asarray(true, bool)
    if said.shape != is_so.shape:
        raise InputError(f"Every decision needs one label: {said.shape} and {is_so.shape} do not match.")
    both = int((said & is_so).sum())
    return Agreement(
        accuracy=_share(int((said == is_so).sum()), said.size),
        precision=_share(both, int(said.sum())),
        recall=_share(both, int(is_so.sum())),
        f1=_share(2 * both, int(said.sum()) + int(is_so.sum())),
        count=int(said.size),
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def overlaps(box: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of a box `(4,)` with each of `(N, 4)`; x0, y0, x1, y1 in any one unit."""
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    inside = np.prod(np.clip(high - low, 0.0, None), axis=1)
    area = np.prod(box[2:] - box[:2]) + np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return np.asarray(inside / np.maximum(area - inside, 1e-12))


def matched_scores(truth: Sequence[FaceRow], found: Sequence[FaceRow], missing: float = 0.0) -> NDArray[np.float64]:
    """The score found for each labelled face, `(len(truth),)`: that of the face at the same moment that overlaps most.

    Only an overlap above 0.5 is the same face, and each found face answers for one label. Labels that nothing matches
    get `missing`, that is, they count as not speaking.
    """
    scores = np.full(len(truth), missing)
    by_video: dict[str, list[FaceRow]] = {}
    for row in found:
        by_video.setdefault(row.video, []).append(row)
    labels: dict[str, dict[float, list[int]]] = {}
    for index, row in enumerate(truth):
        labels.setdefault(row.video, {}).setdefault(row.time_s, []).append(index)
    for video, moments in labels.items():
        rows = sorted(by_video.get(video, []), key=lambda r: r.time_s)
        times = np.array([r.time_s for r in rows])
        for time, wanted in moments.items():
            first, last = np.searchsorted(times, [time - _NEAREST_S, time + _NEAREST_S])
            near = rows[int(first) : int(last)]
            if near:
                moment = min((r.time_s for r in near), key=lambda t: abs(t - time))
                _match([truth[i].box for i in wanted], wanted, [r for r in near if r.time_s == moment], scores)
    return scores


def _match(
    boxes: Sequence[tuple[float, float, float, float]],
    wanted: Sequence[int],
    found: Sequence[FaceRow],
    scores: NDArray[np.float64],
) -> None:
    """Give each label of one moment the score of its face, best overlap first."""
    there = np.array([r.box for r in found])
    pairs = [
        (float(share), i, j)
        for i, box in enumerate(boxes)
        for j, share in enumerate(overlaps(np.array(box), there))
        if share > IOU
    ]
    taken_labels: set[int] = set()
    taken_faces: set[int] = set()
    for _, i, j in sorted(pairs, key=lambda p: -p[0]):
        if i not in taken_labels and j not in taken_faces:
            taken_labels.add(i)
            taken_faces.add(j)
            scores[wanted[i]] = found[j].score


@dataclass(frozen=True)
class TurnAgreement:
    """Turns found against true ones, moment by moment (40 ms).

    `accuracy`: share of the moments with true speech at which exactly the true speakers were named. `f1`: of "speaker x
    speaks now" over all true speakers. `names`: which found name stands for which true one. `moments`: with speech.
    """

    accuracy: float
    f1: float
    names: Mapping[str, str]
    moments: int


def turn_agreement(truth: Sequence[Segment], found: Sequence[Segment]) -> TurnAgreement:
    """Compare turns of one recording; found names are paired with true ones so that they share the most time."""
    end = max((s.end_s for s in [*truth, *found]), default=0.0)
    count = int(np.ceil(end / STEP_S))
    true_lines, found_lines = _lines(truth, count), _lines(found, count)
    names = _pairing(true_lines, found_lines)
    renamed = {names.get(name, f"({name})"): line for name, line in found_lines.items()}
    every = sorted({*true_lines, *renamed})
    nothing = np.zeros(count, bool)
    speech = np.any([*true_lines.values(), nothing], axis=0)
    right = speech.copy()
    both = said = is_so = 0
    for name in every:
        a, b = true_lines.get(name, nothing), renamed.get(name, nothing)
        right &= a == b
        both, said, is_so = both + int((a & b).sum()), said + int(b.sum()), is_so + int(a.sum())
    moments = int(speech.sum())
    return TurnAgreement(_share(int(right.sum()), moments), _share(2 * both, said + is_so), names, moments)


def _lines(segments: Sequence[Segment], count: int) -> dict[str, NDArray[np.bool_]]:
    """Who speaks at the middle of every 40 ms, by name, `(count,)` each."""
    middles = (np.arange(count) + 0.5) * STEP_S
    lines: dict[str, NDArray[np.bool_]] = {}
    for segment in segments:
        line = lines.setdefault(segment.speaker, np.zeros(count, bool))
        line |= (middles >= segment.start_s) & (middles < segment.end_s)
    return lines


def _pairing(true: Mapping[str, NDArray[np.bool_]], found: Mapping[str, NDArray[np.bool_]]) -> dict[str, str]:
    """True name for each found one, one to one, by the most time shared (Kuhn 1955)."""
    if not true or not found:
        return {}
    from scipy.optimize import linear_sum_assignment

    shared = np.array([[float((f & t).sum()) for t in true.values()] for f in found.values()])
    rows, columns = linear_sum_assignment(-shared)
    names_found, names_true = list(found), list(true)
    return {names_found[r]: names_true[c] for r, c in zip(rows, columns, strict=True) if shared[r, c] > 0}
