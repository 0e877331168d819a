"""Ten minutes of dev clips whose sound drifts or steps: what is found, and what each minute is off by after the repair.

python benchmarks/repair_long.py [--aligned] [--quick] [--forced] [--minutes 10] [--only N,N] [--work DIR]
python benchmarks/repair_long.py --hours 2 [--measured]     a long file: peak memory, time, and a known shift undone

What is left is found by correlation with the sound that was never moved, so that what clips were off by when they were
published does not count as left; since the repair takes that out too, it is also told what is left beside its median.
All variants show the same pictures, which are watched once. Two films are made of the clips. In the film as published
every clip keeps its own offset, so that the sound jumps at every join besides. With `--aligned` there follows a film in
which each clip's sound was first moved by what the product measures for that clip, as in a production of one recording
with many cuts: it judges the class, the rate and the writing, not how well a clip is measured. `--forced` tells the
repair the truth, which proves the stretching and cutting apart from the network. `--work` keeps the joined pictures,
and what was seen in them, for the next time; `--only` takes some of the variants, by their number from 0.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pickle
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from corpus import ffmpeg
from long_film import Film, Variant, aligned, make_film, off, variants, write
from true_shift import Floats, heard, lag_ms

from syncnet.curves import Curves, join
from syncnet.encoder import DEFAULT_MODEL
from syncnet.errors import NoAnswer, SyncNetError
from syncnet.offset import clip_offset
from syncnet.results import TrackResult
from syncnet.timeline import Segment, Timeline

GOOD_MS = 45.0
SYNCNET = Path(sys.executable).parent / "syncnet"


@dataclass(frozen=True)
class Row:
    """What came of a variant of a film.

    `minutes`: ms off in each minute of the repaired file, empty when none was written. `sure`: it was written, and
    nothing was said against it.
    """

    film: str
    name: str
    kind: str
    found: str
    trusted: bool
    outcome: str
    why: str
    rate: float
    true_rate: float
    edges: tuple[float, ...]
    true_edges: tuple[float, ...]
    minutes: tuple[float, ...]
    sure: bool
    seconds: float

    @property
    def worst(self) -> float:
        """What the worst minute is off by in ms; NaN counts as off."""
        return max((abs(ms) if np.isfinite(ms) else np.inf for ms in self.minutes), default=0.0)

    @property
    def boundary_error(self) -> float:
        """Largest distance in s of a true boundary from one that was found."""
        if len(self.edges) != len(self.true_edges):
            return float("inf")
        return max((abs(a - b) for a, b in zip(self.edges, self.true_edges, strict=True)), default=0.0)


def truth(film: Film, variant: Variant) -> Timeline:
    """The timeline of a variant, as a perfect measurement would give it."""
    segments = []
    for first, last, (start, rate) in zip(variant.edges, variant.edges[1:], variant.lines, strict=False):
        there = start + (last - first) / 60 * rate
        segments.append(Segment(first, last, start, there, (start, start), 5.0, 1000))
    drifts = variant.kind == "drift"
    rate = variant.lines[0][1] if drifts else 0.0
    return Timeline("drift" if drifts else "steps", 0.0, film.seconds, tuple(segments), rate_ms_per_min=rate)


def run_variant(
    name: str, film: Film, variant: Variant, folder: Path, reference: Floats, measure: object, *, forced: bool,
    unsure: bool,
) -> Row:  # fmt: skip
    """Write the variant, repair it, and see what each minute is off by."""
    from syncnet.repair import repair
    from syncnet.timeline import constant

    began = time.monotonic()
    source = write(film, off(film, variant), folder / "off.mp4")
    out = folder / "fixed.mp4"
    out.unlink(missing_ok=True)
    known = truth(film, variant)
    answers = [known, constant(0.0, 0.0, film.seconds)]
    found: list[Timeline] = []

    def told(path: Path, on_time: object) -> Timeline:
        found.append(answers.pop(0) if forced else measure(path, on_time))  # type: ignore[operator]
        return found[-1]

    outcome, why, sure = "failed", "", False
    try:
        result = repair(source, out, measure=told, unsure=unsure)
        outcome, why, sure = result.outcome, "; ".join(result.reasons), result.trusted
    except SyncNetError as error:
        outcome, why = type(error).__name__, str(error)
    minutes = _minutes(heard(out), reference) if out.exists() else ()
    first = found[0]
    edges = tuple(s.start_s for s in first.segments[1:])
    rate = first.rate_ms_per_min
    spent = time.monotonic() - began
    true_edges = variant.edges[1:-1]
    return Row(
        name, variant.name, variant.kind, first.kind, first.trusted, outcome, why, rate, known.rate_ms_per_min, edges,
        true_edges, minutes, sure, spent,
    )  # fmt: skip


def _minutes(sound: Floats, reference: Floats) -> tuple[float, ...]:
    """Median lag of each minute, ms, over stretches of 8 s."""
    length = len(reference) / 16000
    found = []
    for minute in range(max(1, round(length / 60))):
        starts = np.arange(minute * 60 + 1, min(minute * 60 + 53, length - 8), 10)
        lags = [lag_ms(sound, reference, float(start), 8.0) for start in starts]
        found.append(float(np.nanmedian(lags)))
    return tuple(found)


def own_offsets(film: Film, tracks: list[TrackResult]) -> list[float | None]:
    """What the product measures for each clip of the unshifted film in ms, None where it is not sure of it."""
    every = join([track.curves for track in tracks])
    found: list[float | None] = []
    for start, end in film.spans:
        inside = (every.times >= start) & (every.times < end)
        try:
            clip = clip_offset(Curves(every.times[inside], every.offsets_s, every.distance[inside]))
            found.append(clip.offset_ms if clip.trusted else None)
        except (NoAnswer, ValueError, IndexError):
            found.append(None)
    return found


def tell_own(film: Film, own: list[float | None]) -> None:
    """Print what the clips are off by themselves."""
    middles = np.array([(start + end) / 120 for start, end in film.spans])
    known = np.array([ms is not None for ms in own])
    ms = np.array([ms for ms in own if ms is not None])
    low, median, high = np.percentile(ms, [5, 50, 95])
    slope = float(np.polyfit(middles[known], ms, 1)[0])
    print(f"own offsets of {known.sum()} of {len(own)} clips, as measured: median {median:+.0f} ms, 5 to 95 % ", end="")
    print(f"{low:+.0f} to {high:+.0f} ms; a straight line through them rises by {slope:+.1f} ms a minute")


def table(rows: list[Row], minutes: float, own_ms: float) -> None:
    """Print what was found of each variant and what is left, also beside the median of the clips' own offsets."""
    print(
        f"  {'variant':42s} {'found':13s} {'rate':>14s} {'boundaries':>11s} {'outcome':12s} worst minute (beside own)"
    )
    for r in rows:
        rate = f"{r.rate:+.1f} of {r.true_rate:+.0f}" if r.kind == "drift" else ""
        edges = f"{r.boundary_error:.2f} s" if r.kind == "steps" and np.isfinite(r.boundary_error) else ""
        edges = edges or (f"{len(r.edges)} of {len(r.true_edges)}" if r.kind == "steps" else "")
        beside = max((abs(ms + own_ms) for ms in r.minutes), default=0.0)  # a repair takes the own offsets out too
        worst = f"{r.worst:6.1f} ms ({beside:.1f})" if r.minutes else "not written"
        doubt = "" if r.trusted else "?"
        sure = "" if r.sure or not r.minutes else " not trusted:"
        print(
            f"  {r.name:42s} {r.found + doubt:13s} {rate:>14s} {edges:>11s} {r.outcome:12s} {worst}{sure} {r.why[:90]}"
        )
    right = sum(r.found == r.kind for r in rows)
    drifts = [r for r in rows if r.kind == "drift"]
    near = sum(r.found == "drift" and abs(r.rate - r.true_rate) <= 0.15 * abs(r.true_rate) for r in drifts)
    steps = [r for r in rows if r.kind == "steps"]
    sharp = sum(r.found == "steps" and r.boundary_error <= 0.5 for r in steps)
    done = [r for r in rows if r.minutes]
    good = sum(r.worst <= GOOD_MS for r in done)
    near_own = sum(all(abs(ms + own_ms) <= GOOD_MS for ms in r.minutes) for r in done)
    wrong = sum(r.worst > GOOD_MS and r.sure for r in done)
    print(f"  class right: {right} of {len(rows)}; drifts with a rate within 15 %: {near} of {len(drifts)};")
    print(f"  steps with all boundaries within 0.5 s: {sharp} of {len(steps)};")
    print(f"  no minute off by more than {GOOD_MS:g} ms: {good} of {len(done)} repaired files of {minutes:.1f} minutes")
    print(f"  the same beside the median of the clips' own offsets, {own_ms:+.0f} ms: {near_own} of {len(done)}")
    print(f"  called trusted with a minute off by more: {wrong} of {len(done)}")


def long_file(folder: Path, hours: float, measured: bool, model: str) -> None:
    """Undo a known shift in a file of hours and print memory, time and what is left."""
    film = make_film(folder, min(120.0, hours * 600))
    shift = 240.0
    late = Variant("late", "constant", (0.0, film.seconds), ((shift, 0.0),))
    short, long, out = folder / "short.mp4", folder / "long.mp4", folder / "fixed.mp4"
    write(film, off(film, late), short)
    rounds = round(hours * 3600 / film.seconds)
    ffmpeg("-stream_loop", str(rounds - 1), "-i", short, "-c", "copy", long)
    how = () if measured else ("--offset", f"{shift:g}", "--no-verify")
    command = [str(SYNCNET), "fix", str(long), "-o", str(out), "--model", model, *how]
    began = time.monotonic()
    process = os.posix_spawn(command[0], command, os.environ)
    _, status, used = os.wait4(process, 0)
    spent = time.monotonic() - began
    print(f"{hours:g} h of looped dev clips, {'offset measured' if measured else f'offset {shift:g} ms told'}:")
    print(
        f"  exit code {os.waitstatus_to_exitcode(status)}, peak memory {used.ru_maxrss / 1024:.0f} MiB, {spent:.0f} s,"
    )
    print(f"  {used.ru_utime + used.ru_stime:.0f} s of processor time, {long.stat().st_size / 1e6:.0f} MB in")
    if out.exists():
        was, now = heard(long), heard(out)
        for minute in np.linspace(0.5, max(1.0, hours * 60 - 1.5), 5):
            left = lag_ms(now, was, minute * 60 + 1.0, 10.0)
            print(f"  at {minute:5.1f} min the sound now comes {-left:.1f} ms earlier than it did")


def main() -> None:
    parser = argparse.ArgumentParser(description="Drift, steps and long files, checked by correlation.")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--quick", action="store_true", help="two variants of one minute")
    parser.add_argument("--unsure", action="store_true", help="repair also by answers that are not trusted")
    parser.add_argument("--forced", action="store_true", help="tell the truth: checks the writing alone")
    parser.add_argument("--hours", type=float, help="repair one file of this many hours instead")
    parser.add_argument("--measured", action="store_true", help="with --hours: measure the offset, do not tell it")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--aligned", action="store_true", help="then a film of clips moved into sync with each other")
    parser.add_argument("--only", metavar="N,N", help="these variants only")
    parser.add_argument("--work", type=Path, help="keep the joined pictures in this folder, and take them from there")
    parser.add_argument("--rows", type=Path, help="write every row to this file, one JSON object a line")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if given.hours:
            long_file(folder, given.hours, given.measured, given.model)
            return
        if given.work:
            given.work.mkdir(parents=True, exist_ok=True)
        film = make_film(given.work or folder, 60 * (1.0 if given.quick else given.minutes))
        films = {"as published": film}
        measure: object = None
        usual_ms = 0.0
        if not given.forced:
            from syncnet.encoder import default_encoder
            from syncnet.measuring import Measuring

            tracks: list[TrackResult] = []
            encoder = default_encoder(given.model)
            known = f"{film.pictures.name}-{hashlib.sha256(repr(encoder.model.identity).encode()).hexdigest()[:12]}"
            kept = given.work and given.work / f"{known}.pickle"
            measure = Measuring(
                encoder,
                on_tracks=lambda new: tracks.__setitem__(slice(None), new),
                seen=pickle.loads(kept.read_bytes()) if kept and kept.exists() else None,
            )
            measure(write(film, film.sound, (given.work or folder) / "unshifted.mp4"))
            if kept:
                kept.write_bytes(pickle.dumps(measure.seen))
            own = own_offsets(film, tracks)
            usual_ms = float(np.median([ms for ms in own if ms is not None]))
            tell_own(film, own)
            if given.aligned:
                films["aligned"] = aligned(film, [ms or 0.0 for ms in own])
        listed = variants(film)[2::4] if given.quick else variants(film)
        if given.only:
            listed = [listed[int(number)] for number in given.only.split(",")]
        for title, shown in films.items():
            rows: list[Row] = []
            reference = heard(write(shown, shown.sound, folder / "clean.mkv", "-c:a", "pcm_s16le"))
            for variant in listed:
                asked = {"forced": given.forced, "unsure": given.unsure}
                row = run_variant(title, shown, variant, folder, reference, measure, **asked)
                rows.append(row)
                print(f"{len(rows)}: {variant.name}, {row.seconds:.0f} s", file=sys.stderr, flush=True)
                if given.rows:
                    with given.rows.open("a") as journal:
                        journal.write(json.dumps(asdict(row)) + "\n")
            how = "the truth told" if given.forced else f"measured by {given.model}"
            what = "each with its own offset" if title == "as published" else "each first moved into sync as measured"
            print(f"dev split, {len(film.cuts) + 1} clips end to end, {title}: {what}; {how}; ", end="")
            print(f"{sum(r.seconds for r in rows):.0f} s of work")
            table(rows, film.seconds / 60, usual_ms if title == "as published" else 0.0)


if __name__ == "__main__":
    main()
