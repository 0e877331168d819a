"""`syncnet.fix`: a file is measured, its sound put in place, and the new file measured again."""

from __future__ import annotations

import os
from pathlib import Path

from syncnet.curves import MAX_RANGE_S
from syncnet.encoder import DEFAULT_MODEL, Encoder, default_encoder
from syncnet.errors import InputError
from syncnet.measuring import Measuring
from syncnet.repair import FixResult, Progress, repair
from syncnet.repair_plan import Mode

__all__ = ["FixResult", "fix"]


def fix(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str] | None = None,
    *,
    mode: Mode = "samples",
    offset_ms: float | None = None,
    range_s: float = 1.0,
    audio_track: int = 0,
    codec: str | None = None,
    in_place: bool = False,
    dry_run: bool = False,
    verify: bool = True,
    unsure: bool = False,
    model: str | Path = DEFAULT_MODEL,
    encoder: Encoder | None = None,
    on_progress: Progress | None = None,
) -> FixResult:
    """Write a copy of a file with its sound in sync, measure it again, and keep it only if it is better.

    `mode`: "samples" re-times the sound (constant offset, drift, steps) and copies the picture bit for bit;
    "timestamps" copies every packet and moves times only (one constant offset). `offset_ms`: correct by this much
    instead of what is measured, positive when the sound is late. `range_s`: offsets searched, seconds either way, up to
    10. `audio_track`: which sound track, from 0. `codec`: of the new sound, by default the original's. `in_place`
    replaces the source. `dry_run` plans and writes nothing. `verify=False` with `offset_ms` measures nothing at all.
    `unsure`: go by the likeliest answer even where it is not to be trusted; neither is the result then.
    `on_progress(phase, seconds done, seconds in all)`.

    Raises InputError (wrong use, unreadable or unwritable), NoAnswer (the offset is not sure, so nothing is touched)
    and NotBetter (measured again and not better: nothing is kept). The source stays whole whatever happens, and the
    target is whole or not there.
    """
    if not 0.1 <= range_s <= MAX_RANGE_S:
        raise InputError(f"the range must be between 0.1 and {MAX_RANGE_S:g} seconds, not {range_s:g}.")
    encoder = encoder or default_encoder(str(model))
    return repair(
        source,
        target,
        measure=Measuring(encoder, range_s=range_s, audio_track=audio_track),
        mode=mode,
        offset_ms=offset_ms,
        audio_track=audio_track,
        codec=codec,
        in_place=in_place,
        dry_run=dry_run,
        verify=verify,
        unsure=unsure,
        on_progress=on_progress,
    )
