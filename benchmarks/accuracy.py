"""Accuracy on the dev split, as a table: single windows, K frames, whole clips; as published and shifted.

python benchmarks/accuracy.py [--clips N] [--jobs 2] [--model NAME] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from corpus import DevClip, dev_clips, shift_samples, shift_timestamps

from syncnet.errors import SyncNetError
from syncnet.protocol import accuracy

CONTEXTS = (5, 15, 25, 50, 100)
SHIFTS = {"as published": None, "timestamps": shift_timestamps, "re-encoded": shift_samples}
LONG_S = 4.0
TOLERANCE_MS = 40.0
NATURAL = Path(__file__).parent / "natural_offsets.json"


@dataclass(frozen=True)
class Row:
    """What one clip (or one shifted copy of it) gave. `windows`: share of right windows by K, None where untested."""

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

    @property
    def error_ms(self) -> float:
        return float("inf") if self.offset_ms is None else self.offset_ms - self.truth_ms


def measure(clip: DevClip, variant: str, model: str) -> Row:
    """Run the product on a clip and compare with the truth."""
    import cv2

    from syncnet.analysis import analyse
    from syncnet.encoder import default_encoder

    cv2.setNumThreads(1)
    encoder = default_encoder(model, threads=1)
    shift = SHIFTS[variant]
    chosen = random.Random(f"{clip.name} {variant}")
    truth = 0.0 if shift is None else float(chosen.choice((-1, 1)) * chosen.randint(40, 900))
    with tempfile.TemporaryDirectory() as folder:
        path = clip.path
        if shift is not None:
            path = Path(folder) / ("clip.mkv" if variant == "timestamps" else "clip.mp4")
            shift(clip.path, path, truth)
        # A second and a half either way, so that 31 candidates around a shifted truth are within the range.
        try:
            whole = analyse(path, encoder=encoder, range_s=1.0)
        except SyncNetError as error:
            none = dict.fromkeys(CONTEXTS)
            return Row(
                clip.name, clip.corpus, clip.kind, clip.seconds, variant, truth, None, 0.0, False, none, (str(error),)
            )
    windows: dict[int, float | None] = dict.fromkeys(CONTEXTS)
    if shift is None and whole.tracks:
        longest = max(whole.tracks, key=lambda t: len(t.curves.times))
        for k in CONTEXTS:
            if len(longest.curves.times) >= k - 4:
                windows[k] = accuracy(longest.curves, k)
    return Row(
        clip.name,
        clip.corpus,
        clip.kind,
        clip.seconds,
        variant,
        truth,
        whole.offset_ms,
        whole.confidence,
        whole.trusted,
        windows,
        whole.reasons,
    )


def table(rows: list[Row], title: str) -> None:
    """Print the tables over a set of rows."""
    plain = [r for r in rows if r.variant == "as published"]
    print(f"\n{title}: {len(plain)} clips")
    print("  windows within 1 frame (40 ms) of 31 candidates, mean over clips")
    for name, chosen in groups(plain):
        cells = "".join(f"  K={k} {_share([r.windows[k] for r in chosen])}" for k in CONTEXTS)
        print(f"    {name:26s} {len(chosen):4d}{cells}")
    for least in (LONG_S, 0.0):
        print(f"  whole clips of {least:g} s and longer: within 40 ms, median |error|; among trusted ones")
        for variant in SHIFTS:
            part = [r for r in rows if r.variant == variant and r.seconds >= least]
            for name, chosen in groups(part):
                if name.startswith(("corpus", "kind")) and variant != "as published":
                    continue
                print(f"    {variant:13s} {name:26s} {_whole(chosen)}")


def groups(rows: list[Row]) -> Iterable[tuple[str, list[Row]]]:
    """All rows, then by kind, then by corpus."""
    yield "all", rows
    for kind in sorted({r.kind for r in rows}):
        yield f"kind {kind}", [r for r in rows if r.kind == kind]
    for corpus in sorted({r.corpus for r in rows}):
        yield f"corpus {corpus}", [r for r in rows if r.corpus == corpus]


def _share(values: list[float | None]) -> str:
    known = [v for v in values if v is not None and np.isfinite(v)]
    return f"{100 * np.mean(known):5.1f} %" if known else "     - "


def _whole(rows: list[Row]) -> str:
    if not rows:
        return "   -"
    errors = np.array([abs(r.error_ms) for r in rows])
    right = errors <= TOLERANCE_MS
    trusted = np.array([r.trusted for r in rows])
    sure = f"{right[trusted].sum():3d} of {trusted.sum():3d}" if trusted.any() else "none"
    return (
        f"{right.sum():3d} of {len(rows):3d} = {100 * right.mean():5.1f} %   median {np.median(errors):6.1f} ms   "
        f"trusted right {sure}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Accuracy on the dev split (clips that were never trained on).")
    parser.add_argument("--clips", type=int, help="measure an even choice of this many clips")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--model", default="syncnet")
    parser.add_argument("--plain", action="store_true", help="leave the shifted copies out")
    parser.add_argument("--json", type=Path, help="also write every row to this file")
    given = parser.parse_args()
    work = [(c, v) for v in SHIFTS for c in dev_clips(given.clips) if v == "as published" or not given.plain]
    rows: list[Row] = []
    with ProcessPoolExecutor(given.jobs) as pool:
        for n, row in enumerate(pool.map(measure, *zip(*((c, v, given.model) for c, v in work), strict=True)), 1):
            rows.append(row)
            print(f"\r{n} of {len(work)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    print("split: dev (people not trained on; one clip prompted the face finder's thresholds). Model:", given.model)
    table(rows, "all clips, truth as published (offset 0)")
    listed = json.loads(NATURAL.read_text()) if NATURAL.is_file() else {}
    if listed:
        table([r for r in rows if r.name not in listed], "without clips whose natural offset is shown not to be 0")
    print("\nclips of 4 s and longer, as published, that stand elsewhere than within 40 ms of 0:")
    for r in rows:
        if r.variant == "as published" and r.seconds >= LONG_S and not abs(r.error_ms) <= TOLERANCE_MS:
            shown = "no answer" if r.offset_ms is None else f"{r.offset_ms:+7.1f} ms"
            notes = ("trusted" if r.trusted else "unsure") + (" (listed)" if r.name in listed else "")
            print(f"    {r.name:40s} {shown}  confidence {r.confidence:4.1f}  {notes}")
    if given.json:
        given.json.write_text(json.dumps([asdict(r) for r in rows], indent=1))


if __name__ == "__main__":
    main()
