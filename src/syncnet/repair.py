"""A file whose sound is early or late -> the same file with its sound in place, measured again before it is kept."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av

from syncnet.errors import InputError, NoAnswer, SyncNetError
from syncnet.media import MediaInfo, probe
from syncnet.placement import misplaced_ms
from syncnet.remainder import LEFT_MS
from syncnet.remux import NewSound, write_copy
from syncnet.repair_plan import Mode, Plan, plan_repair
from syncnet.retime import Tape, pieces, reach_back, retimed
from syncnet.source_sound import source_sound
from syncnet.stretch import INAUDIBLE
from syncnet.timeline import Timeline, constant

Progress = Callable[[str, float, float | None], None]
"""Called with the phase in words, seconds done and seconds in all (None when unknown)."""
OnTime = Callable[[float, float | None], None]
Measure = Callable[[Path, "OnTime | None"], Timeline]
"""Measures a file: its timeline. Raises as `syncnet.detect` does."""

MISPLACED_MS = 5.0
"""A repaired sound further than this from where it was meant to be is a fault of the writing."""
STRETCHED_MS = 15.0
"""The same for sound stretched with its pitch kept, whose pieces stray by up to 10 ms."""

Outcome = Literal["repaired", "planned", "already in sync"]


class NotBetter(SyncNetError):
    """The repaired file did not measure better than the original; it was not kept."""


@dataclass(frozen=True)
class FixResult:
    """What was done. `target` is None when nothing was written; `before`, `after` are None where not measured.

    `outcome` says what came of it, `notes` what could not be kept or checked, `misplaced_ms` how far the new sound lies
    from where the plan wanted it, by correlation with the original's sound (None where that cannot be told). `reasons`
    say why the result is not to be trusted, as measured anew; empty when nothing speaks against it.
    """

    source: Path
    target: Path | None
    outcome: Outcome
    before: Timeline | None
    after: Timeline | None
    plan: Plan | None
    misplaced_ms: float | None = None
    notes: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def trusted(self) -> bool:
        """Whether nothing speaks against the result."""
        return not self.reasons

    @property
    def words(self) -> str:
        """What was found and done, in one or two sentences."""
        found = self.before.words if self.before else "not measured"
        if self.outcome == "already in sync":
            return f"{found}: nothing to repair, nothing written"
        plan = "; ".join(self.plan.words) if self.plan else ""
        if self.outcome == "planned":
            return f"{found}. Would {plan}"
        now = self.after.words if self.after else "not measured"
        doubt = f". Not to be trusted: {'; '.join(self.reasons)}" if self.reasons else ""
        return f"before: {found}. Done: {plan}. After: {now}{doubt}"


def repair(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str] | None = None,
    *,
    measure: Measure,
    mode: Mode = "samples",
    offset_ms: float | None = None,
    audio_track: int = 0,
    codec: str | None = None,
    in_place: bool = False,
    dry_run: bool = False,
    verify: bool = True,
    unsure: bool = False,
    on_progress: Progress | None = None,
) -> FixResult:
    """Write a copy of `source` with its sound in sync, and keep it only if it measures better.

    `mode`: "samples" re-times the sound and codes it again, "timestamps" copies every packet and moves times only (one
    constant offset). `offset_ms` corrects by this much instead of what is measured (positive: the sound is late, so it
    is moved earlier). `codec` for the new sound instead of the original's. `in_place` replaces the source. `dry_run`
    only plans. `verify=False` keeps the result unmeasured. `unsure` goes by an answer that is not to be trusted too. A
    result that is better but does not measure as in sync throughout, or was unsure, is kept with `reasons`, and never
    replaces its source.

    Raises InputError (wrong use, unreadable or unwritable), NoAnswer (nothing to go by), NotBetter (measured again and
    not better: nothing is kept). Whatever happens, the source stays whole and `target` is whole or not there.
    """
    origin = Path(source)
    info = probe(origin)
    _check_streams(info, audio_track)
    goal = _goal(origin, target, in_place=in_place, dry_run=dry_run)
    before = None
    if offset_ms is None or verify:
        before = measure(origin, _phase(on_progress, "measuring"))
    correction = _correction(before, info, offset_ms, unsure=unsure and not in_place)
    doubtful = () if before is None or offset_ms is not None else before.reasons  # of what is corrected by
    if correction is None:
        return FixResult(origin, None, "already in sync", before, None, None, reasons=doubtful)
    plan = plan_repair(info, audio_track, correction, mode, goal or origin, codec)
    if dry_run or goal is None:
        return FixResult(origin, None, "planned", before, None, plan, reasons=doubtful)
    part = goal.with_name(f".{goal.stem}.part{goal.suffix}")
    try:
        notes = _write(origin, part, plan, audio_track, _phase(on_progress, "writing"), info)
        misplaced = _placed_right(origin, part, audio_track, correction)
        after = measure(part, _phase(on_progress, "measuring again")) if verify else None
        _check_better(before, after, forced=offset_ms is not None)
        reasons = tuple(dict.fromkeys((*doubtful, *doubts(after))))
        if reasons and in_place:
            raise NotBetter(
                f"the result is not to be trusted: {'; '.join(reasons)}. The original was not replaced; "
                "-o OUT keeps the result beside it."
            )
        if before is not None and before.kind == "undecided":
            notes = (*notes, "the offset could not be measured, so it could not be checked")
        _keep(part, goal, origin)
    except OSError as error:
        raise InputError(f"{goal} could not be written: {error.strerror or error}. Nothing was kept.") from error
    finally:
        part.unlink(missing_ok=True)
    return FixResult(origin, goal, "repaired", before, after, plan, misplaced, notes, reasons)


def doubts(after: Timeline | None) -> tuple[str, ...]:
    """Why a result is not to be trusted, going by how it measures: it must be in sync or off by one small offset.

    Empty when nothing speaks against it, or nothing was measured.
    """
    if after is None or not after.segments:
        return ()
    if after.kind not in ("in sync", "constant"):
        return (*after.reasons, f"the result does not measure as in sync throughout: {after.words}")
    if abs(after.segments[0].offset_ms) > LEFT_MS:
        return (*after.reasons, f"the result still measures as off: {after.words}")
    return after.reasons


def _check_streams(info: MediaInfo, audio_track: int) -> None:
    if not info.audio:
        raise InputError(f"{info.path}: no sound in this file, so there is nothing to repair.")
    if not 0 <= audio_track < len(info.audio):
        raise InputError(f"{info.path}: there is no audio track {audio_track}; it has {len(info.audio)}, from 0.")


def _goal(origin: Path, target: str | os.PathLike[str] | None, *, in_place: bool, dry_run: bool) -> Path | None:
    """Where the result goes; found out before the long work whether it can be written."""
    if target is None and not in_place:
        if dry_run:
            return None
        raise InputError("say where the result goes: -o OUT, or --in-place to replace the original.")
    goal = origin if target is None else Path(target)
    same = goal.exists() and goal.samefile(origin)
    if same and not in_place:
        raise InputError(f"{goal} is the original: name another file, or say --in-place to replace it.")
    if in_place and not same:
        raise InputError("--in-place replaces the original: leave out -o OUT.")
    if goal.is_symlink():
        goal = goal.resolve()
    if goal.is_dir():
        raise InputError(f"{goal} is a directory: name a file in it.")
    if not goal.parent.is_dir() or not os.access(goal.parent, os.W_OK):
        raise InputError(f"{goal} cannot be written: {goal.parent} is missing or not writable.")
    if goal.exists() and not os.access(goal, os.W_OK):
        raise InputError(f"{goal} cannot be written: it is read-only.")
    needed, free = origin.stat().st_size, shutil.disk_usage(goal.parent).free
    if free < needed and not dry_run:
        raise InputError(
            f"{goal.parent} has {free / 1e6:.0f} MB free and the result takes about {needed / 1e6:.0f} MB: "
            "make room or name another place."
        )
    return goal


def _correction(
    before: Timeline | None, info: MediaInfo, offset_ms: float | None, *, unsure: bool
) -> Timeline | None:
    """What to correct; None when there is nothing to do. Raises NoAnswer when that cannot be told."""
    start, end = span_of(info)
    if offset_ms is not None:
        return constant(offset_ms, start, end)
    assert before is not None
    if before.kind == "undecided" or not (before.trusted or unsure):
        likely = "" if before.kind == "undecided" else " --unsure with -o OUT goes by the likeliest answer."
        raise NoAnswer(
            f"{info.path}: not repaired, since the offset is not sure: {'; '.join(before.reasons)}. "
            f"If you know it, say it with --offset MS.{likely}"
        )
    return None if before.kind == "in sync" else before


def span_of(info: MediaInfo) -> tuple[float, float]:
    """Start and end of a file's pictures (of its sound, where there are none) in s of presentation time."""
    streams = info.video or info.audio
    start = streams[0].start
    length = streams[0].duration or info.duration or 0.0
    return start, start + length


def _write(
    origin: Path, part: Path, plan: Plan, track: int, on_time: OnTime | None, info: MediaInfo
) -> tuple[str, ...]:
    try:
        return _written(origin, part, plan, track, on_time, info)
    except av.FFmpegError as error:
        if isinstance(error, OSError) and error.errno and error.errno > 0:
            raise
        raise InputError(f"{part.suffix} could not be written: {error}. Nothing was kept.") from error


def _written(
    origin: Path, part: Path, plan: Plan, track: int, on_time: OnTime | None, info: MediaInfo
) -> tuple[str, ...]:
    start, end = span_of(info)
    told = (lambda time: on_time(time - start, end - start)) if on_time else None
    if plan.encoding is None:
        return write_copy(origin, part, track, delay_s=-plan.timeline.segments[0].offset_ms / 1e3, on_time=told)
    problems: list[str] = []
    sound = source_sound(origin, track, problems.append)
    rate = plan.source.rate
    cuts = pieces(plan.timeline, plan.start_s, plan.end_s, rate, sound.start)
    tape = Tape(sound.chunks, plan.source.channels, reach_back(cuts, rate))
    new = NewSound(plan.encoding, plan.start_s, rate, plan.source.layout, retimed(tape, cuts, rate))
    notes = write_copy(origin, part, track, sound=new, on_time=told)
    return (*notes, *dict.fromkeys(problems))


def _placed_right(origin: Path, part: Path, track: int, correction: Timeline) -> float | None:
    """The median misplacement of the new sound in ms; raises SyncNetError where it is not where it was meant to be."""
    lags = sorted(misplaced_ms(origin, part, track, correction))
    if not lags:
        return None
    middle = lags[len(lags) // 2]
    stretched = abs(correction.rate_ms_per_min) / 60e3 > INAUDIBLE
    if abs(middle) > (STRETCHED_MS if stretched else MISPLACED_MS):
        where = f"{abs(middle):.0f} ms {'late' if middle > 0 else 'early'} of its place in {part.suffix}"
        raise SyncNetError(
            f"the new sound came out {where}: nothing was kept. Another container, such as .mkv, will do."
        )
    return middle


def _check_better(before: Timeline | None, after: Timeline | None, *, forced: bool) -> None:
    if before is None or after is None or before.mean_error_ms is None:
        return
    if after.mean_error_ms is None:
        raise NotBetter(f"after the repair no offset could be measured ({after.words}): nothing was kept.")
    if after.mean_error_ms >= before.mean_error_ms and not (after.kind == "in sync" and not forced):
        raise NotBetter(f"not better: before, {before.words}; after, {after.words}. Nothing was kept.")


def _keep(part: Path, goal: Path, origin: Path) -> None:
    """Put the finished file in its place at once, when all of it is on the disk."""
    shutil.copymode(goal if goal.exists() else origin, part)
    with part.open("rb") as finished:
        os.fsync(finished.fileno())
    os.replace(part, goal)
    folder = os.open(goal.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _phase(on_progress: Progress | None, phase: str) -> OnTime | None:
    return None if on_progress is None else lambda done, total: on_progress(phase, done, total)
