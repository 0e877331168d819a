"""How often an answer is trusted when there can be none: lips of one train clip with the sound of another.

python benchmarks/strangers.py [--model NAME] [--clips 60]

Beside it the same clips with their own sound. Split: train (limits may be set on it). Clips of 4 s and longer.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from corpus import clips, even
from seen import seen
from variants import PUBLISHED, Variant

from syncnet.analysis import Comparison, compare
from syncnet.encoder import DEFAULT_MODEL, default_encoder

KEPT = Path(__file__).parents[1] / ".cache" / "accuracy"


def main() -> None:
    parser = argparse.ArgumentParser(description="Answers trusted for lips and sound that do not belong together.")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--clips", type=int, default=60)
    given = parser.parse_args()
    encoder = default_encoder(given.model)
    chosen = even([c for c in clips("train") if c.seconds >= 4], given.clips)
    shown = [seen(c.path, Variant(PUBLISHED), KEPT) for c in chosen]
    own = [compare(s.stretches, s.sound, encoder) for s in shown]
    strange = []
    for a, b in zip(shown, shown[1:] + shown[:1], strict=True):
        start = min((t.start for t in a.stretches), default=0.0)
        strange.append(compare(a.stretches, replace(b.sound, start=start), encoder))
    print(f"model {encoder.model.identity}; {len(chosen)} train clips of 4 s and longer")
    for name, found in (("own sound", own), ("a stranger's", strange)):
        print(f"{name:14s} {row(found)}")


def row(found: list[Comparison]) -> str:
    answers = [f for f in found if f.offset is not None]
    trusted = sum(not f.reasons for f in answers)
    levels = np.quantile([f.offset.confidence for f in answers if f.offset], [0.05, 0.5, 0.95, 1.0])
    shown = " ".join(f"{level:.2f}" for level in levels)
    return f"answers {len(answers):3d}, trusted {trusted:3d}; confidence 5 %, median, 95 %, most: {shown}"


if __name__ == "__main__":
    main()
