"""The zero of a model: where recordings as published stand for it, by the verdicts of `syncnet refine` on train shards.

python benchmarks/zero.py CLEANED SHARDS...      CLEANED: what `syncnet refine SHARDS... --model NAME` wrote

A network learns what "in sync" means from recordings that are each early or late by something of their own, so its zero
lies where the ones that taught most happen to lie, and cleaning keeps it there. Real recordings of many sources are the
better judge. A person has one vote within a corpus (the median of his clips), a corpus one vote among the real ones;
their median is the zero, to five milliseconds. Printed beside it: at every place for it, the share of people who would
stand within 40 ms. Judge with a model whose zero_ms is 0 or not: verdicts come from the bare network. Split: train.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np

from syncnet.model.cleaned import read_rows

LEAST_FRAMES = 60  # the longest clip of a person must have: shorter ones follow their corpus and say nothing themselves
WITHIN_MS = 40.0
STEP_MS = 5.0


def people(cleaned: Path, shards: list[Path]) -> dict[tuple[str, str], list[float]]:
    """Offsets (ms) of the people of each corpus and kind, by the bare network."""
    rows = [row for _, row in read_rows(shards)]
    verdicts = [json.loads(line) for line in (cleaned / "verdicts.jsonl").read_text(encoding="utf-8").splitlines()]
    if [row["key"] for row in rows] != [verdict["key"] for verdict in verdicts]:
        raise SystemExit(f"{cleaned} was not made from {', '.join(map(str, shards))} in this order.")
    offsets: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    longest: dict[tuple[str, str, str], int] = defaultdict(int)
    for row, verdict in zip(rows, verdicts, strict=True):
        if verdict["word"] not in ("dropped", "not scored"):
            person = (row["corpus"], row["kind"], row["speaker"])
            offsets[person].append(float(row["offset_ms"]) + verdict["offset_ms"])
            longest[person] = max(longest[person], row["frames"])
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for person, own in offsets.items():
        if longest[person] >= LEAST_FRAMES:
            found[person[:2]].append(float(np.median(own)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cleaned", type=Path)
    parser.add_argument("shards", type=Path, nargs="+")
    given = parser.parse_args()
    found = people(given.cleaned, given.shards)
    kinds = {kind: np.concatenate([v for (_, k), v in found.items() if k == kind]) for kind in ("real", "generated")}
    corpora = {kind: [float(np.median(v)) for (_, k), v in found.items() if k == kind] for kind in kinds}
    print("split: train; one vote a person, by the bare network (ms, negative: audio early)")
    for kind, own in kinds.items():
        low, middle, high = np.percentile(own, [10, 50, 90])
        print(f"  {kind:10s} {len(own):4d} people: median {middle:+.1f}, 10 to 90 % {low:+.0f} to {high:+.0f}; "
              f"{len(corpora[kind])} corpora: median {np.median(corpora[kind]):+.1f}")  # fmt: skip
    print(f"  people within {WITHIN_MS:g} ms if the zero were at")
    for zero in np.arange(-40.0, 21.0, STEP_MS):
        shares = {kind: 100.0 * float(np.mean(np.abs(own - zero) <= WITHIN_MS)) for kind, own in kinds.items()}
        told = ", ".join(f"{kind} {share:.1f} %" for kind, share in shares.items())
        print(f"  {zero:+6.0f}: {told}; both kinds alike {np.mean(list(shares.values())):.1f} %")
    print(f"zero: {STEP_MS * round(float(np.median(corpora['real'])) / STEP_MS):+.0f} ms (median of the real corpora)")


if __name__ == "__main__":
    main()
