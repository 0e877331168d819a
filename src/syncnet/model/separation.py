"""Where to draw the line between clips whose sound fits and those whose does not, by what strangers' sound reaches.

Two groups are mixed in what is observed: clips that fit, and a share of wrong ones. The wrong ones score as strangers'
sound does, which is measured. So the share of wrong ones, and what a line would cost in good ones, can be estimated
without a single label (after Efron, "Size, power and false discovery rates", 2007; Storey, 2002).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
LEVELS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)  # quantiles of strangers' scores
LEAST = 30  # clips that a line is drawn from; with fewer there is none


@dataclass(frozen=True)
class Line:
    """Scores below `score` are refused.

    found: share of strangers' sound below it. lost: estimated share of the good clips below it. wrong: estimated
    share of wrong clips among all. typical: median score of strangers' sound. high: what one in a hundred of
    strangers' sounds reaches at its best offset. clips: number of scores the line rests on.
    """

    score: float
    found: float
    lost: float
    wrong: float
    typical: float
    high: float
    clips: int


NOTHING = Line(-np.inf, 0.0, 0.0, 0.0, -np.inf, np.inf, 0)
"""The line that refuses nothing: too little is known."""


def wrong_share(scores: Numbers, strange: Numbers) -> float:
    """Estimated share (0 to 1) of wrong clips among observed `scores` (N,), from those of strangers' sound (K,).

    At no level can more strangers' sound be than that share of all: the least ratio of both is taken. (Shifted clips
    score below strangers, so that low levels alone would say too much.)
    """
    levels = np.quantile(strange, LEVELS)
    ratios = [float(np.mean(scores <= level)) / float(np.mean(strange <= level)) for level in levels]
    return min(1.0, *ratios)


def draw_line(scores: Numbers, strange: Numbers, best: Numbers, *, found: float, lost: float, weight: float = 3.0
              ) -> Line:
    """The line at which least is wrong, a wrong clip that stays counting `weight` times a good one that goes.

    It lies where `found` of strangers' scores are below it, or higher if that costs nothing; but never so high that
    more than `lost` of the good clips (estimated) are below it. scores (N,): observed, at the expected offset.
    strange (K,): of strangers' sound there. best (K,): of strangers' sound at whichever offset suits it. Returns
    NOTHING when there are too few of either.
    """
    if len(scores) < LEAST or len(strange) < LEAST:
        return NOTHING
    wrong = wrong_share(scores, strange)
    least = float(np.quantile(strange, found))
    candidates = np.unique(np.concatenate([scores, strange, [least]]))
    candidates = candidates[np.isfinite(candidates)]
    below, strangers_below = (np.searchsorted(np.sort(x), candidates) / len(x) for x in (scores, strange))
    good_lost = np.clip(below - wrong * strangers_below, 0.0, None) / max(1.0 - wrong, 1e-9)
    cost = weight * wrong * (1.0 - strangers_below) + (1.0 - wrong) * good_lost
    allowed = good_lost <= lost
    allowed[0] = True  # the lowest refuses next to nothing
    high = allowed & (candidates >= least)
    if high.any():
        cheapest = np.flatnonzero(high & (cost <= cost[high].min() + 1e-9))
        score = float((candidates[cheapest[0]] + candidates[cheapest[-1]]) / 2.0)
    else:
        score = float(candidates[allowed][-1])
    return Line(score, float(np.mean(strange < score)), _lost(score, scores, strange, wrong), wrong,
                float(np.median(strange)), float(np.quantile(best, 0.99)), len(scores))


def _lost(line: float, scores: Numbers, strange: Numbers, wrong: float) -> float:
    """Estimated share of the good clips below a line."""
    below = float(np.mean(scores < line)) - wrong * float(np.mean(strange < line))
    return min(1.0, max(0.0, below) / max(1.0 - wrong, 1e-9))


def classes(windows: Sequence[int] | NDArray[np.int64], edges: Sequence[int]) -> NDArray[np.int64]:
    """Number of the length class of each clip: 0 below edges[0] windows, and so on; (N,)."""
    return np.searchsorted(np.asarray(edges), np.asarray(windows), side="right").astype(np.int64)
