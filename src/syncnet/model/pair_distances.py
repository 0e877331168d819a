"""Distances of pairs that belong together and of pairs that do not, and how well the one can be told from the other."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from syncnet.curves import Curves

LARGEST = 20.0  # diameter of the sphere that embeddings lie on
BINS = 400
OFF_S = 0.2  # pairs at least one window apart from the truth are negatives


@dataclass(frozen=True)
class PairDistances:
    """Histograms (BINS,) of the distances of positive and negative pairs, 0 to 20 in bins of 0.05."""

    positive: NDArray[np.float64]
    negative: NDArray[np.float64]

    @property
    def roc(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """False and true positive rates (BINS + 1,), as the limit up to which a pair is called positive rises."""
        rates = [np.concatenate([[0.0], np.cumsum(h) / max(h.sum(), 1.0)]) for h in (self.negative, self.positive)]
        return rates[0], rates[1]

    @property
    def auc(self) -> float:
        """Area under the ROC: how often a positive pair is nearer than a negative one; NaN without either."""
        if not self.positive.sum() or not self.negative.sum():
            return float("nan")
        false, true = self.roc
        return float(np.sum(np.diff(false) * (true[1:] + true[:-1]) / 2.0))

    @property
    def eer(self) -> float:
        """Equal error rate: where as many positives are missed as negatives pass; NaN without either."""
        if not self.positive.sum() or not self.negative.sum():
            return float("nan")
        false, true = self.roc
        gap = false - (1.0 - true)  # rises from -1 to 1
        at = int(np.argmax(gap >= 0.0))
        low, high = gap[at - 1], gap[at]
        rest = -low / (high - low) if high > low else 0.0
        return float(false[at - 1] + rest * (false[at] - false[at - 1]))

    @property
    def means(self) -> tuple[float, float]:
        """Mean distance of positives and of negatives; NaN without any."""
        middles = (np.arange(BINS) + 0.5) * LARGEST / BINS
        return (_mean(middles, self.positive), _mean(middles, self.negative))


def _mean(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    return float(values @ weights / weights.sum()) if weights.sum() else float("nan")


def pair_distances(curves: Curves, truth_ms: float = 0.0) -> PairDistances:
    """Pairs of one clip: every window with the sound at the truth, and with the sound of the same clip elsewhere.

    Negatives lie between OFF_S and the end of the curves' range from the truth.
    """
    away = np.abs(curves.offsets_s - truth_ms / 1000.0)
    positive = curves.distance[:, int(away.argmin())]
    return PairDistances(_histogram(positive), _histogram(curves.distance[:, away >= OFF_S - 1e-9]))


def _histogram(values: NDArray[np.float32]) -> NDArray[np.float64]:
    known = values[np.isfinite(values)]
    return np.histogram(np.clip(known, 0.0, LARGEST), BINS, (0.0, LARGEST))[0].astype(np.float64)


def added(parts: Iterable[PairDistances]) -> PairDistances:
    """The pairs of several clips together, every clip with the same weight."""
    positive, negative = np.zeros(BINS), np.zeros(BINS)
    for part in parts:
        if part.positive.sum() and part.negative.sum():
            positive += part.positive / part.positive.sum()
            negative += part.negative / part.negative.sum()
    return PairDistances(positive, negative)


def histogram_text(pairs: PairDistances, width: int = 40) -> list[str]:
    """Both histograms as text, two lines for each unit of distance that holds any: positives (+), negatives (-)."""
    lines = []
    per = BINS // int(LARGEST)
    shares = [h.reshape(-1, per).sum(axis=1) / max(h.sum(), 1e-12) for h in (pairs.positive, pairs.negative)]
    most = max(float(s.max()) for s in shares) or 1.0
    for unit, (p, n) in enumerate(zip(*shares, strict=True)):
        if p >= 0.0005 or n >= 0.0005:
            lines.append(f"{unit:3d}-{unit + 1:<3d} + {'#' * round(p / most * width):{width}s} {100 * p:5.1f} %")
            lines.append(f"        - {'.' * round(n / most * width):{width}s} {100 * n:5.1f} %")
    return lines
