"""Repairs of dev clips shifted by known amounts: what true shift is left, by correlation with the unshifted original.

python benchmarks/repair.py [--quick] [--forced] [--mode timestamps] [--cases N] [--jobs 2] [--model NAME] [--rows FILE]

Every case is one clip, one shift and one container with its codecs; neighbouring cases go through all 45 pairs of
shift and container and through all clips. `--forced` tells the repair the true offset and measures nothing, which
proves the writing apart from the network. `--rows` keeps every row in a file of one JSON object a line; cases whose row
is there already are not run again, so that a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from corpus import Clip, ffmpeg
from corpus import clips as clips_of
from true_shift import complaints, heard, kept, lag_ms

from syncnet.encoder import DEFAULT_MODEL

LONG_S = 4.0
SEEN = Path(__file__).parents[1] / ".cache" / "accuracy"
SHIFTS_MS = (80, -80, 160, -160, 320, -320, 640, -640, 900)
CONTAINERS = {
    "mp4": ("-c:v", "copy", "-c:a", "aac", "-b:a", "128k"),
    "mkv": ("-c:v", "copy", "-c:a", "libopus", "-b:a", "96k"),
    "mov": ("-c:v", "copy", "-c:a", "pcm_s16le"),
    "ts": ("-c:v", "copy", "-c:a", "ac3", "-b:a", "192k"),
    "webm": (
        "-c:v",
        "libvpx",
        "-deadline",
        "realtime",
        "-cpu-used",
        "5",
        "-b:v",
        "1500k",
        "-c:a",
        "libopus",
        "-b:a",
        "96k",
    ),
}
GOOD_MS = 40.0
FRAME_S = 0.0401
FULL, QUICK = 180, 9


@dataclass(frozen=True)
class Case:
    """One clip, shifted, in one container."""

    clip: Clip
    shift_ms: float
    container: str


@dataclass(frozen=True)
class Row:
    """What came of a case. `made_ms`, `left_ms`: true shift before and after (NaN: cannot be told)."""

    name: str
    container: str
    shift_ms: float
    outcome: str
    made_ms: float
    left_ms: float
    measured_ms: float | None
    why: str
    pictures_same: bool
    sound_same: bool
    longer_s: float
    complaints: str
    seconds: float

    @property
    def repaired(self) -> bool:
        return self.outcome == "repaired"


def cases(count: int) -> list[Case]:
    """So many cases: every run of 45 has all pairs of shift and container, every run of clips all clips."""
    clips = [clip for clip in clips_of("dev") if clip.seconds >= LONG_S]
    stride = next(s for s in range(round(len(clips) * 0.38), len(clips) + 2) if np.gcd(s, len(clips)) == 1)
    names = list(CONTAINERS)
    return [
        Case(clips[k * stride % len(clips)], SHIFTS_MS[k % len(SHIFTS_MS)], names[k % len(names)]) for k in range(count)
    ]


def make(case: Case, out: Path) -> None:
    """Write the clip with its sound late by the shift (early where negative)."""
    late = f"{case.shift_ms / 1e3:.3f}"
    sources = ("-i", case.clip.path, "-itsoffset", late, "-i", case.clip.path, "-map", "0:v:0", "-map", "1:a:0")
    ffmpeg(*sources, "-af", "aresample=48000:async=1:first_pts=0", *CONTAINERS[case.container], out)


def measure(case: Case, mode: str, forced: bool, model: str) -> Row:
    """Make a case, repair it by the product, and find what is left."""
    import cv2

    from syncnet.encoder import default_encoder
    from syncnet.errors import SyncNetError
    from syncnet.mend import fix

    cv2.setNumThreads(1)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        source, out = (Path(folder) / f"{name}.{case.container}" for name in ("shifted", "fixed"))
        make(case, source)
        reference = heard(case.clip.path)
        made = lag_ms(heard(source), reference)
        outcome, why, found, left = "failed", "", None, made
        same, alike, longer, said = True, True, 0.0, ""
        try:
            result = fix(
                source,
                out,
                mode=mode,  # type: ignore[arg-type]
                offset_ms=made if forced else None,
                verify=not forced,
                encoder=default_encoder(model, threads=1),
            )
            outcome = result.outcome
            found = result.before.offset_ms if result.before else None
        except SyncNetError as error:
            outcome, why = type(error).__name__, str(error).split(": ", 1)[-1]
        if out.exists():
            before, after = kept(source), kept(out)
            same, alike = before.pictures == after.pictures, before.sound == after.sound
            longer = after.seconds - before.seconds
            said = complaints(out) if not complaints(source) else ""
            left = lag_ms(heard(out), reference)
    spent = time.monotonic() - began
    name, shift = case.clip.name, case.shift_ms
    return Row(name, case.container, shift, outcome, made, left, found, why, same, alike, longer, said, spent)


def read_rows(journal: Path | None) -> list[Row]:
    """The rows of an earlier run."""
    if journal is None or not journal.is_file():
        return []
    return [Row(**json.loads(line)) for line in journal.read_text().splitlines()]


def table(rows: Sequence[Row], mode: str) -> None:
    """Print what was left of the shifts, by container and by shift, and what must hold besides."""
    for name, chosen in (
        ("all", list(rows)),
        *((c, [r for r in rows if r.container == c]) for c in CONTAINERS),
        *((f"{s:+d} ms", [r for r in rows if r.shift_ms == s]) for s in SHIFTS_MS),
    ):
        print(f"  {name:8s} {_line(chosen)}")
    done = [r for r in rows if r.repaired]
    worse = [r for r in done if not abs(r.left_ms) <= max(abs(r.made_ms), GOOD_MS)]
    print(f"  made worse without saying so: {len(worse)} of {len(done)}")
    print(f"  picture packets identical: {sum(r.pictures_same for r in done)} of {len(done)}")
    if mode == "timestamps":
        print(f"  sound packets identical: {sum(r.sound_same for r in done)} of {len(done)}")
    near = sum(abs(r.longer_s) <= FRAME_S for r in done)
    print(
        f"  length within a frame: {near} of {len(done)}; decoded without a word: {sum(not r.complaints for r in done)}"
    )
    for r in rows:
        bad = r.repaired and (not abs(r.left_ms) <= GOOD_MS or not r.pictures_same or r.complaints)
        if bad or (not r.repaired and r.outcome not in ("NoAnswer", "already in sync")):
            place = f"{r.name} {r.container} {r.shift_ms:+.0f} ms"
            print(f"    {place:60s} {r.outcome}, left {r.left_ms:+.0f} ms {r.why[:90]} {r.complaints[:90]}")


def _line(rows: Sequence[Row]) -> str:
    done = [r for r in rows if r.repaired]
    good = sum(abs(r.left_ms) <= GOOD_MS for r in done)
    outcomes = {o: sum(r.outcome == o for r in rows) for o in ("NoAnswer", "already in sync", "NotBetter")}
    others = len(rows) - len(done) - sum(outcomes.values())
    left = np.array([abs(r.left_ms) for r in done if np.isfinite(r.left_ms)])
    middle = f"median {np.median(left):5.1f}, worst {left.max():6.1f} ms" if len(left) else "-"
    share = f"{100 * good / len(done):5.1f} %" if done else "    -  "
    rest = f"not sure {outcomes['NoAnswer']}, in sync {outcomes['already in sync']}, not better {outcomes['NotBetter']}"
    repaired = f"repaired {len(done):3d}, within 40 ms {good:3d} = {share}"
    return f"{len(rows):4d} cases: {repaired}; {middle}; {rest}, failed {others}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Repairs of shifted dev clips, checked by correlation.")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} cases instead of {FULL}")
    parser.add_argument("--cases", type=int, help="so many cases")
    parser.add_argument("--forced", action="store_true", help="tell the true offset: checks the writing alone")
    parser.add_argument("--mode", choices=("samples", "timestamps"), default="samples")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--rows", type=Path, help="keep every row in this file and go on from what it holds")
    given = parser.parse_args()
    chosen = cases(given.cases or (QUICK if given.quick else FULL))
    known = {(r.name, r.container, r.shift_ms): r for r in read_rows(given.rows)}

    with ProcessPoolExecutor(given.jobs) as pool:
        left = [c for c in chosen if (c.clip.name, c.container, c.shift_ms) not in known]
        futures = [pool.submit(measure, case, given.mode, given.forced, given.model) for case in left]
        for number, future in enumerate(futures, 1):
            row = future.result()
            known[row.name, row.container, row.shift_ms] = row
            if given.rows:
                with given.rows.open("a") as journal:
                    journal.write(json.dumps(asdict(row)) + "\n")
            print(f"\r{number} of {len(left)}", end="", file=sys.stderr, flush=True)
    rows = [known[c.clip.name, c.container, c.shift_ms] for c in chosen]
    print(file=sys.stderr)
    clips = len({r.name for r in rows})
    how = "true offset told" if given.forced else f"offset measured by {given.model}"
    work = f"{sum(r.seconds for r in rows):.0f} s of work"
    print(f"dev split, {clips} clips of {LONG_S:g} s and longer, mode {given.mode}, {how}; {work}")
    table(rows, given.mode)
    if not given.forced:
        print("the same against where the product puts the unshifted clip itself (clips are not at 0 by nature):")
        own = own_offsets({r.name for r in rows if r.repaired}, given.model)
        print(f"  all      {_line([replace(r, left_ms=r.left_ms + own.get(r.name, float('nan'))) for r in rows])}")


def own_offsets(names: set[str], model: str) -> dict[str, float]:
    """What the product answers for clips as published, in ms; clips without an answer are left out."""
    from seen import seen
    from variants import PUBLISHED, Variant

    from syncnet.analysis import compare
    from syncnet.encoder import default_encoder

    found = {}
    for clip in (c for c in clips_of("dev") if c.name in names):
        shown = seen(clip.path, Variant(PUBLISHED), SEEN)
        answer = compare(shown.stretches, shown.sound, default_encoder(model)).offset
        if answer is not None:
            found[clip.name] = answer.offset_ms
    return found


if __name__ == "__main__":
    main()
