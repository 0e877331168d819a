"""How right the product is on clips whose offset is known: what one clip gives, measured by the product's own analysis.

Sign: offset = audio time - video time. Negative: audio early. Positive: audio late.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from syncnet.curves import Curves, minima
from syncnet.errors import InputError, SyncNetError
from syncnet.model.pair_distances import PairDistances, pair_distances
from syncnet.model.sources import find_sources
from syncnet.protocol import REACH_FRAMES, accuracy

CONTEXTS = (5, 7, 9, 11, 13, 15, 25, 50, 100)
TOLERANCE_MS = 40.0
HUMAN_MS = (-45.0, 125.0)  # ITU-R BT.1359: what is left unseen, in our sign: 45 ms early to 125 ms late
REACH_MS = REACH_FRAMES * 40.0
RANGE_S = 1.0
SAMPLES = 12  # single answers kept for each context of a clip, evenly spaced, for the calibration
DB_PER_NEPER = 10.0 / np.log(10.0)


@dataclass(frozen=True)
class Labelled:
    """A clip with what is known of it; truth_ms: its real offset."""

    path: Path
    name: str
    speaker: str
    corpus: str
    kind: str
    truth_ms: float = 0.0


@dataclass(frozen=True)
class Figures:
    """What one clip gave. Lists are by context, in the order of CONTEXTS, None where the clip is too short for one.

    right: share of windows within one frame of 31. within: share within 40 ms of the truth, human: share that leaves a
    rest nobody sees, both over the same range by 10 ms and parabola; error_ms: median absolute error there.
    answers: [context, confidence, error in ms] of single answers. offset_ms, confidence, trusted, windows: of the
    whole clip; None, 0, False, 0 without an answer, `problem` says why. face_px: distance of the outer eye corners;
    yaw_deg: turn of the head, absolute; noise_db: see `noise_db`.
    """

    name: str
    speaker: str
    corpus: str
    kind: str
    truth_ms: float
    seconds: float = 0.0
    offset_ms: float | None = None
    confidence: float = 0.0
    trusted: bool = False
    windows: int = 0
    face_px: float | None = None
    yaw_deg: float | None = None
    noise_db: float | None = None
    right: tuple[float | None, ...] = (None,) * len(CONTEXTS)
    within: tuple[float | None, ...] = (None,) * len(CONTEXTS)
    human: tuple[float | None, ...] = (None,) * len(CONTEXTS)
    error_ms: tuple[float | None, ...] = (None,) * len(CONTEXTS)
    answers: tuple[tuple[int, float, float], ...] = ()
    positive: tuple[int, ...] = ()
    negative: tuple[int, ...] = ()
    problem: str = ""

    @property
    def pairs(self) -> PairDistances | None:
        """Distances of the clip's pairs, None without any."""
        if not self.positive:
            return None
        return PairDistances(np.array(self.positive, np.float64), np.array(self.negative, np.float64))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Figures:
        """Read figures back from JSON types."""
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v
                                 for k, v in values.items() if k in cls.__dataclass_fields__}
        plain["answers"] = tuple((int(k), float(c), float(e)) for k, c, e in values.get("answers", ()))
        return cls(**plain)


def labelled_clips(path: Path, split: str | None = None) -> list[Labelled]:
    """The clips of a folder, or of a manifest (CSV: file, below its folder; optionally split, speaker, corpus, kind,
    offset_ms). Raises InputError when there is none."""
    listed = path / "manifest.csv" if path.is_dir() else path
    if path.is_dir() and not listed.is_file():
        return [Labelled(s.path, s.name, s.speaker, s.corpus, s.kind) for s in find_sources(path)]
    if not listed.is_file():
        raise InputError(f"{path}: no such folder or manifest.")
    try:
        with listed.open(newline="", encoding="utf-8") as file:
            rows = [r for r in csv.DictReader(file) if split is None or r.get("split") == split]
        found = [Labelled(listed.parent / r["file"], r["file"], r.get("speaker") or Path(r["file"]).stem,
                          r.get("corpus") or "", r.get("kind") or "real", float(r.get("offset_ms") or 0.0))
                 for r in rows]
    except (KeyError, ValueError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{listed} is no manifest: it needs a column `file` ({error}).") from error
    if not found:
        raise InputError(f"{listed}: no clips" + (f" of the split {split!r}." if split else "."))
    return found


def measure_clip(clip: Labelled, model: str, threads: int = 1) -> Figures:
    """Measure one clip with the product: a pure function of clip and model. What cannot be read gives a `problem`."""
    import cv2

    from syncnet.analysis import SoundFeatures, analyse
    from syncnet.encoder import default_encoder

    cv2.setNumThreads(1)
    known: dict[str, Any] = {"name": clip.name, "speaker": clip.speaker, "corpus": clip.corpus, "kind": clip.kind,
                             "truth_ms": clip.truth_ms}
    heard: list[SoundFeatures] = []
    reach = max(RANGE_S, abs(clip.truth_ms) / 1000.0 + REACH_MS / 1000.0 + 0.05)
    try:
        result = analyse(clip.path, encoder=default_encoder(model, threads), range_s=reach, on_sound=heard.append)
    except SyncNetError as error:
        return Figures(**known, problem=str(error))
    known |= {"seconds": round(result.duration_s, 3), "offset_ms": result.offset_ms, "confidence": result.confidence,
              "trusted": result.trusted, "windows": result.windows_total, "noise_db": noise_db(heard[0].mfcc[0])}
    if not result.tracks:
        return Figures(**known, problem="; ".join(result.reasons))
    longest = max(result.tracks, key=lambda t: len(t.curves.times))
    pairs = pair_distances(longest.curves, clip.truth_ms)
    known |= {"face_px": longest.face_px, "yaw_deg": abs(longest.yaw_deg),
              "positive": tuple(pairs.positive.astype(int).tolist()),
              "negative": tuple(pairs.negative.astype(int).tolist())}
    return Figures(**known, **context_figures(longest.curves, clip.truth_ms),
                   problem="" if result.offset is not None else "; ".join(result.reasons))


def context_figures(curves: Curves, truth_ms: float) -> dict[str, Any]:
    """The fields right, within, human, error_ms and answers of `Figures` from the windows of one track."""
    columns: dict[str, list[float | None]] = {name: [] for name in ("right", "within", "human", "error_ms")}
    answers: list[tuple[int, float, float]] = []
    for context in CONTEXTS:
        errors, confidence = _errors(curves, context, truth_ms)
        if len(curves.times) < context - 4 or not len(errors):
            for column in columns.values():
                column.append(None)
            continue
        share = accuracy(curves, context, truth_ms)
        columns["right"].append(share if np.isfinite(share) else None)
        columns["within"].append(float(np.mean(np.abs(errors) <= TOLERANCE_MS)))
        columns["human"].append(float(np.mean(unseen(errors))))
        columns["error_ms"].append(float(np.median(np.abs(errors))))
        chosen = np.unique(np.linspace(0, len(errors) - 1, SAMPLES).round().astype(int))
        answers += [(context, round(float(confidence[i]), 4), round(float(errors[i]), 1)) for i in chosen]
    return {**{name: tuple(column) for name, column in columns.items()}, "answers": tuple(answers)}


def unseen(error_ms: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether what is left after correcting by a measured offset (measured - true = `error_ms`) is seen by nobody.

    The correction takes the measured offset off, so the rest is true - measured = -error.
    """
    return (-error_ms >= HUMAN_MS[0]) & (-error_ms <= HUMAN_MS[1])


def _errors(curves: Curves, context: int, truth_ms: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Error (ms) and confidence of every answer from `context` frames, in the range that the 31 candidates span."""
    span = context - 4
    known = np.isfinite(curves.distance)
    low = np.maximum(np.arange(len(known)) - span // 2, 0)
    high = np.minimum(np.arange(len(known)) - span // 2 + span, len(known))
    sums = np.cumsum(np.pad(np.where(known, curves.distance, 0.0).astype(np.float64), ((1, 0), (0, 0))), axis=0)
    counts = np.cumsum(np.pad(known.astype(np.int64), ((1, 0), (0, 0))), axis=0)
    number = counts[high] - counts[low]
    mean = np.where(2 * number >= (high - low)[:, None], (sums[high] - sums[low]) / np.maximum(number, 1), np.nan)
    away = np.abs(curves.offsets_s * 1000.0 - truth_ms)
    near = np.where(away[None] <= REACH_MS + 1e-6, mean, np.nan)
    asked = np.isfinite(near[:, int(away.argmin())])
    offset = minima(near[asked], curves.offsets_s)[0]
    return offset - truth_ms, minima(mean[asked], curves.offsets_s)[2]


def noise_db(log_energy: NDArray[np.float32]) -> float:
    """How far (dB) the loudest twentieth of the sound stands above the quietest tenth, from log energies (N,)."""
    if not len(log_energy):
        return 0.0
    low, high = np.quantile(log_energy, [0.10, 0.95])
    return float((high - low) * DB_PER_NEPER)


def measure_clips(clips: Sequence[Labelled], model: str, jobs: int = 1) -> Iterator[tuple[Labelled, Figures]]:
    """Measure many clips, `jobs` at a time; figures come as they are ready."""
    if jobs <= 1:
        for clip in clips:
            yield clip, measure_clip(clip, model)
        return
    with ProcessPoolExecutor(jobs) as pool:
        waiting = iter(clips)
        running: dict[Future[Figures], Labelled] = {}
        while True:
            for clip in islice(waiting, 2 * jobs - len(running)):
                running[pool.submit(measure_clip, clip, model)] = clip
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()
