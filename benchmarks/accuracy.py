"""Accuracy on the dev split: single windows, K frames, whole clips; as published, shifted, and in other containers.

python benchmarks/accuracy.py [--quick] [--model NAME] [--jobs 2] [--json FILE]

Every copy goes through the product's code. What that code sees of a file (mouth crops, sound coefficients) does not
depend on the weights and is kept in .cache/accuracy (1.3 GB), so that new weights cost a few minutes; results are not.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from corpus import Clip, clips, even
from seen import seen
from variants import DRESSES, PUBLISHED, SHIFTED, Variant, shifted

from syncnet.encoder import DEFAULT_MODEL
from syncnet.errors import SyncNetError
from syncnet.protocol import accuracy

CONTEXTS = (5, 15, 25, 50, 100)
LONG_S = 4.0
TOLERANCE_MS = 40.0
QUICK = 20  # clips
DRESSED = 34  # clips of 4 s and longer, half of them, that are also measured in other containers and frame rates
NATURAL = Path(__file__).parent / "natural_offsets.csv"
KEPT = Path(__file__).parents[1] / ".cache" / "accuracy"


@dataclass(frozen=True)
class Row:
    """What one copy of a clip gave.

    `windows`: share of right windows by K, None where the face is seen for less. `model`: the one that was used.
    """

    name: str
    corpus: str
    kind: str
    seconds: float
    variant: str
    truth_ms: float
    offset_ms: float | None
    confidence: float
    trusted: bool
    windows: dict[int, float | None]
    reasons: tuple[str, ...]
    model: str

    @property
    def error_ms(self) -> float:
        return float("inf") if self.offset_ms is None else self.offset_ms - self.truth_ms

    @property
    def right(self) -> bool:
        return abs(self.error_ms) <= TOLERANCE_MS


def measure(clip: Clip, variant: Variant, model: str, kept: Path | None) -> Row:
    """Run the product on a copy of a clip and compare with the truth."""
    import cv2

    from syncnet.analysis import compare
    from syncnet.encoder import default_encoder

    cv2.setNumThreads(1)
    encoder = default_encoder(model, threads=1)
    windows: dict[int, float | None] = dict.fromkeys(CONTEXTS)
    offset: float | None = None
    confidence = 0.0
    reasons: tuple[str, ...] = ()
    try:
        shown = seen(clip.path, variant, kept)
        found = compare(shown.stretches, shown.sound, encoder)
    except SyncNetError as error:
        reasons = (str(error),)
    else:
        reasons = found.reasons
        if found.offset is not None:
            offset, confidence = found.offset.offset_ms, found.offset.confidence
        if found.tracks and variant.name == PUBLISHED:
            longest = max((t.curves for t in found.tracks), key=lambda curves: len(curves.times))
            fitting = [k for k in CONTEXTS if len(longest.times) >= k - 4]
            windows |= {k: accuracy(longest, k) for k in fitting}
    return Row(
        name=clip.name,
        corpus=clip.corpus,
        kind=clip.kind,
        seconds=clip.seconds,
        variant=variant.name,
        truth_ms=variant.truth_ms,
        offset_ms=offset,
        confidence=confidence,
        trusted=offset is not None and not reasons,
        windows=windows,
        reasons=reasons,
        model=", ".join(f"{k} {v}" for k, v in encoder.model.identity.items()),
    )


def work(most: int | None, dressed: int) -> list[tuple[Clip, Variant]]:
    """Every copy of every clip that is to be measured, the plain ones first."""
    chosen = clips("dev") if most is None else even(clips("dev"), most)
    long = even([c for c in chosen if c.seconds >= LONG_S], dressed) if dressed else []
    plain = [(c, Variant(PUBLISHED)) for c in chosen]
    return plain + [(c, v) for c in chosen for v in shifted(c)] + [(c, Variant(d)) for c in long for d in DRESSES]


def groups(rows: list[Row]) -> Iterator[tuple[str, list[Row]]]:
    """All rows, then by kind, then by source."""
    yield "all", rows
    for kind in sorted({r.kind for r in rows}):
        yield f"{kind} faces", [r for r in rows if r.kind == kind]
    for corpus in sorted({r.corpus for r in rows}):
        yield f"  {corpus}", [r for r in rows if r.corpus == corpus]


def print_plain(rows: list[Row], title: str) -> None:
    """Single windows, K frames and whole clips as published, by kind and source."""
    print(f"\n{title}")
    heads = "".join(f"{f'K={k}':>7s}" for k in CONTEXTS)
    print(f"{'':22s} clips{heads}   >= 4 s: within 40 ms  median |error|   trusted ones right")
    for name, part in groups([r for r in rows if r.variant == PUBLISHED]):
        cells = "".join(f"{_mean([r.windows[k] for r in part]):>7s}" for k in CONTEXTS)
        print(f"{name:22s} {len(part):5d}{cells}   {_whole([r for r in part if r.seconds >= LONG_S])}")
    print("K=5: single windows within 1 frame (40 ms) of 31 candidates, %; K: K - 4 neighbouring windows averaged")


def print_shifted(rows: list[Row], title: str) -> None:
    """Whole clips of 4 s and longer, as published and with a known shift put in."""
    print(f"\n{title}")
    for variant in (PUBLISHED, *SHIFTED):
        part = [r for r in rows if r.variant == variant]
        print(f"{variant:24s} {f'>= {LONG_S:g} s':7s} {_whole([r for r in part if r.seconds >= LONG_S])}")
        print(f"{variant:24s} {'all':7s} {_whole(part)}")


def print_moved(rows: list[Row]) -> None:
    """Whether the answer moves by what was put in: this asks nothing of where the clip itself stands."""
    plain = {r.name: r for r in rows if r.variant == PUBLISHED and r.offset_ms is not None}
    print("\nchange of the answer against the shift that was put in")
    for variant in SHIFTED:
        for least in (LONG_S, 0.0):
            part = [r for r in rows if r.variant == variant and r.seconds >= least and r.name in plain]
            away = [abs(r.error_ms - (plain[r.name].offset_ms or 0.0)) for r in part]
            near = sum(v <= TOLERANCE_MS for v in away)
            if away:
                share = f"{near:3d} of {len(away):3d} = {100 * near / len(away):5.1f} % within 40 ms"
                print(f"{variant:24s} {f'>= {least:g} s':7s} {share}   median {np.median(away):6.1f} ms")


def print_dressed(rows: list[Row]) -> None:
    """By how much another container, codec, frame rate or start moves the answer."""
    plain = {r.name: r for r in rows if r.variant == PUBLISHED}
    print("\nthe same clip in other dress: change of the answer, |ms| (wanted: median under 20)")
    for dress in DRESSES:
        pairs = [(plain[r.name], r) for r in rows if r.variant == dress]
        both = [abs(b.offset_ms - a.offset_ms) for a, b in pairs if a.offset_ms is not None and b.offset_ms is not None]
        lost = sum((a.offset_ms is None) != (b.offset_ms is None) for a, b in pairs)
        if both:
            figures = f"median {np.median(both):6.1f}   90 % {np.quantile(both, 0.9):6.1f}"
            near = f"{sum(v < 20 for v in both):3d} of {len(both):3d} under 20"
            print(f"{dress:24s} {figures}   {near}   answer won or lost {lost}")


def _mean(values: list[float | None]) -> str:
    known = [v for v in values if v is not None and np.isfinite(v)]
    return f"{100 * np.mean(known):.1f}" if known else "-"


def _whole(rows: list[Row]) -> str:
    if not rows:
        return "-"
    right = sum(r.right for r in rows)
    trusted = [r for r in rows if r.trusted]
    median = float(np.median([abs(r.error_ms) for r in rows]))
    share = f"{right:3d} of {len(rows):3d} = {100 * right / len(rows):5.1f} %"
    return f"{share}   {median:8.1f} ms   {sum(r.right for r in trusted):3d} of {len(trusted):3d}"


def natural_offsets() -> dict[str, float]:
    """Clips whose own offset is shown not to be 0, by name, ms."""
    with NATURAL.open(newline="") as file:
        return {r["file"].removeprefix("clips/").rsplit(".", 1)[0]: float(r["offset_ms"]) for r in csv.DictReader(file)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Accuracy on the dev split (clips that were never trained on).")
    parser.add_argument("--quick", action="store_true", help=f"an even choice of {QUICK} clips")
    parser.add_argument("--plain", action="store_true", help="clips as published only: no shifts, no other dress")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--no-cache", action="store_true", help="look at every file anew and keep nothing")
    parser.add_argument("--json", type=Path, help="also write every row to this file")
    given = parser.parse_args()
    jobs = work(QUICK if given.quick else None, 6 if given.quick else DRESSED)
    if given.plain:
        jobs = [(c, v) for c, v in jobs if v.name == PUBLISHED]
    began, rows = time.monotonic(), []
    with ProcessPoolExecutor(given.jobs) as pool:
        runs = [pool.submit(measure, c, v, given.model, None if given.no_cache else KEPT) for c, v in jobs]
        for n, run in enumerate(as_completed(runs), 1):
            run.result()
            print(f"\r{n} of {len(jobs)} copies, {time.monotonic() - began:.0f} s", end="", file=sys.stderr, flush=True)
        rows = [run.result() for run in runs]
    print(file=sys.stderr)
    report(rows)
    if given.json:
        given.json.write_text(json.dumps([asdict(r) for r in rows], indent=1))


def report(rows: list[Row]) -> None:
    """Print every table."""
    models = sorted({r.model for r in rows})
    print("split: dev (people not trained on; one clip prompted the face finder's thresholds)")
    print("model:", models[0] if len(models) == 1 else f"changed while it was measured: {' and '.join(models)}")
    print_plain(rows, "all clips, as published, truth 0")
    listed = natural_offsets()
    if listed:
        rest = [r for r in rows if r.name not in listed]
        print_plain(rest, f"without the {len(listed)} clips of natural_offsets.csv")
    if any(r.variant in SHIFTED for r in rows):
        print_shifted(rows, "known shifts, whole clips: within 40 ms, median |error|, trusted ones right")
        if listed:
            print_shifted(rest, "the same without the listed clips")
        print_moved(rows)
        print_dressed(rows)
    print("\nclips of 4 s and longer, as published, farther than 40 ms from 0:")
    for r in rows:
        if r.variant == PUBLISHED and r.seconds >= LONG_S and not r.right:
            shown = "no answer" if r.offset_ms is None else f"{r.offset_ms:+7.1f} ms"
            notes = "trusted" if r.trusted else "unsure" if r.offset_ms is not None else "; ".join(r.reasons)[:60]
            notes += " (listed)" if r.name in listed else ""
            print(f"    {r.name:40s} {shown:>10s}  confidence {r.confidence:4.1f}  {notes}")


if __name__ == "__main__":
    main()
