"""How confidence separates right from wrong answers, on held-out speakers of the *train* split: TrustLimits rest on it.

python benchmarks/trust.py FOLDER... (each with a manifest.csv) [--clips 120] [--model NAME]
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from syncnet.encoder import DEFAULT_MODEL
from syncnet.errors import SyncNetError
from syncnet.model.held_out import is_held_out
from syncnet.model.sources import find_sources

HELD_OUT = 0.06  # as in syncnet.model.train.TrainConfig
RIGHT_MS = 60.0  # natural offsets of the clips themselves spread by a frame or so


@dataclass(frozen=True)
class Answer:
    name: str
    offset_ms: float
    confidence: float
    seconds: float
    sure: int
    width_ms: float
    trusted: bool
    reasons: tuple[str, ...]


def measure(path: Path, name: str, model: str) -> Answer | None:
    """The product's answer for a clip, None where it has none."""
    import cv2

    from syncnet.analysis import analyse
    from syncnet.encoder import default_encoder

    cv2.setNumThreads(1)
    try:
        result = analyse(path, encoder=default_encoder(model, threads=1))
    except SyncNetError:
        return None
    if result.offset is None:
        return None
    low, high = result.interval_ms or (-1000.0, 1000.0)
    return Answer(
        name,
        result.offset.offset_ms,
        result.confidence,
        result.windows_total / 25,
        result.windows_used,
        high - low,
        result.trusted,
        result.reasons,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Confidence of right and of wrong answers, held-out train speakers.")
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--clips", type=int, default=120)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    sources = [s for f in given.folders for s in find_sources(f, split="train") if is_held_out(s.speaker, HELD_OUT)]
    random.Random(0).shuffle(sources)
    chosen = sources[: given.clips]
    with ProcessPoolExecutor(given.jobs) as pool:
        paths, names = [s.path for s in chosen], [s.name for s in chosen]
        found = list(pool.map(measure, paths, names, [given.model] * len(chosen)))
    answers = [a for a in found if a is not None]
    print(f"held-out speakers of the train split: {len(answers)} answers from {len(chosen)} clips", file=sys.stderr)
    print(f"{'confidence':>12s} {'clips':>6s} {'right':>6s} {'trusted':>8s} {'right of trusted':>17s}")
    edges = [0.0, 0.3, 0.5, 0.7, 0.9, 1.2, 1.6, 2.2, 3.0, 99.0]
    for low, high in pairwise(edges):
        part = [a for a in answers if low <= a.confidence < high]
        print(f"{low:5.1f}-{high:5.1f} {row(part)}")
    print(f"{'all':>12s} {row(answers)}")
    long = [a for a in answers if a.seconds >= 3.8]
    print(f"{'4 s and more':>12s} {row(long)}")
    if given.json:
        given.json.write_text(json.dumps([a.__dict__ for a in answers], indent=1))


def row(part: list[Answer]) -> str:
    right = np.array([abs(a.offset_ms) <= RIGHT_MS for a in part], bool)
    trusted = np.array([a.trusted for a in part], bool)
    share = f"{100 * right.mean():5.0f}%" if len(part) else "     -"
    return f"{len(part):6d} {share} {trusted.sum():8d} {int((right & trusted).sum()):17d}"


if __name__ == "__main__":
    main()
