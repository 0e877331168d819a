"""From confidence to probability: how often an offset that looks so sure, from so many windows, is right.

A logistic regression on log(1 + confidence), log(windows) and their product, fitted on labelled clips as a step of its
own and saved; whoever measures only applies it.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from syncnet.errors import InputError

RIGHT_MS = 40.0  # an offset within a frame of the truth is right
RIDGE = 1e-3
LEAST = 40  # answers to fit on


@dataclass(frozen=True)
class Calibration:
    """Weights of the regression, and what they were fitted on."""

    weights: tuple[float, float, float, float]
    right_ms: float
    answers: int
    clips: int
    split: str
    model: dict[str, str]

    def probability(self, confidence: ArrayLike, windows: ArrayLike) -> NDArray[np.float64]:
        """Probability (0 to 1) that offsets of this confidence (median - min), from so many windows, are right."""
        z = _features(np.asarray(confidence, np.float64), np.asarray(windows, np.float64)) @ np.array(self.weights)
        return np.asarray(1.0 / (1.0 + np.exp(-z)))

    def save(self, path: Path) -> None:
        """Write the fit as JSON, whole or not at all."""
        part = path.with_name(f".{path.name}.part")
        part.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        os.replace(part, path)


def load_calibration(path: Path) -> Calibration:
    """Read a saved fit; raises InputError for what is none."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return Calibration(**{**values, "weights": tuple(float(w) for w in values["weights"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no calibration of `syncnet evaluate calibrate` ({error}).") from error


def _features(confidence: NDArray[np.float64], windows: NDArray[np.float64]) -> NDArray[np.float64]:
    sure, many = np.log1p(np.maximum(confidence, 0.0)), np.log(np.maximum(windows, 1.0))
    return np.stack([np.ones_like(sure), sure, many, sure * many], axis=-1)


def fit_calibration(confidence: Sequence[float], windows: Sequence[float], right: Sequence[bool],
                    weight: Sequence[float], *, clips: int, split: str, model: dict[str, str]) -> Calibration:
    """Fit on answers of known correctness; `weight` says how much each counts. Raises InputError if they are too few
    or all alike."""
    y = np.asarray(right, np.float64)
    if len(y) < LEAST or y.min() == y.max():
        raise InputError(f"{len(y)} answers, {int(y.sum())} of them right: a calibration needs {LEAST} or more, right "
                         "and wrong ones. Give more clips.")
    x, w = _features(np.asarray(confidence, np.float64), np.asarray(windows, np.float64)), np.asarray(weight)
    w = w / w.mean()
    beta = np.zeros(x.shape[1])
    for _ in range(100):  # Newton's method
        p = 1.0 / (1.0 + np.exp(-x @ beta))
        gradient = x.T @ (w * (y - p)) - RIDGE * beta
        curvature = (x * (w * p * (1.0 - p))[:, None]).T @ x + RIDGE * np.eye(len(beta))
        step = np.linalg.solve(curvature, gradient)
        beta = beta + np.clip(step, -5.0, 5.0)
        if np.abs(step).max() < 1e-8:
            break
    return Calibration((float(beta[0]), float(beta[1]), float(beta[2]), float(beta[3])), RIGHT_MS, len(y), clips, split,
                       model)


@dataclass(frozen=True)
class Reliability:
    """How probabilities held: for each bin (B,) mean probability, share that was right, and answers (by weight)."""

    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]
    share: NDArray[np.float64]
    brier: float

    @property
    def calibration_error(self) -> float:
        """Expected calibration error: mean distance of predicted and observed, 0 to 1."""
        return float(np.sum(np.abs(self.predicted - self.observed) * self.share))


def reliability(probability: ArrayLike, right: ArrayLike, weight: ArrayLike, bins: int = 10) -> Reliability:
    """Compare probabilities (N,) with what was right (N,), in equally wide bins of probability."""
    p, y, w = (np.asarray(a, np.float64) for a in (probability, right, weight))
    number = np.minimum((p * bins).astype(int), bins - 1)
    total = np.bincount(number, w, bins)
    used = total > 0
    mean, rate = (np.bincount(number, w * a, bins)[used] / total[used] for a in (p, y))
    return Reliability(mean, rate, total[used] / total.sum(), float(np.sum(w * (p - y) ** 2) / w.sum()))
