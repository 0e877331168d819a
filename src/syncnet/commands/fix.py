"""`syncnet fix`: put the sound of a file in place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from syncnet.errors import InputError, SyncNetError
from syncnet.model_names import DEFAULT_MODEL

if TYPE_CHECKING:
    from syncnet.repair_plan import Mode


def fix(
    file: Annotated[Path, typer.Argument(help="A recording with a talking face.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where the repaired copy goes.")] = None,
    mode: Annotated[
        str,
        typer.Option(help="samples: re-time the sound; timestamps: copy every packet, move times only."),
    ] = "samples",
    offset: Annotated[
        float | None,
        typer.Option(help="Correct by this many ms instead of what is measured; positive: the audio is late."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, write nothing.")] = False,
    in_place: Annotated[bool, typer.Option("--in-place", help="Replace the original, at once and whole.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Measure the result and keep it only if it is better.")
    ] = True,
    unsure: Annotated[
        bool, typer.Option("--unsure", help="Go by the likeliest answer though it is not to be trusted (exit code 3).")
    ] = False,
    range_s: Annotated[float, typer.Option("--range", help="Search offsets up to this many seconds, 0.1 to 10.")] = 1.0,
    audio_track: Annotated[int, typer.Option(help="Which sound track, counted from 0.")] = 0,
    audio_codec: Annotated[str | None, typer.Option(help="Code the new sound as this instead of as it was.")] = None,
    model: Annotated[str, typer.Option(help="Model by name, or a folder written by syncnet export.")] = DEFAULT_MODEL,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")] = False,
) -> None:
    """Write a copy of a recording with its sound in sync, and measure that copy.

    A constant offset is moved away, a drift is stretched away, steps are cut and cross-faded. Picture, other tracks,
    chapters and titles are copied. The original is not touched without --in-place; nothing half-done is ever kept.

    Exit code 0: repaired, or nothing to repair; 1: the result did not measure better and was not kept; 2: the command
    is wrong, or a file could not be read or written; 3: the offset is not sure, so nothing was done, or the result is
    better but not to be trusted.

    Example: syncnet fix talk.mp4 -o talk-in-sync.mp4
    """
    if mode not in ("samples", "timestamps"):
        raise InputError(f"--mode is samples or timestamps, not {mode}.")
    if out is None and not in_place and not dry_run:
        raise InputError("say where the result goes: -o OUT, or --in-place to replace the original.")

    from syncnet.commands.progress import phase_progress
    from syncnet.mend import fix as mend
    from syncnet.repair_report import fix_dict, fix_lines

    try:
        with phase_progress(file.name, quiet=quiet) as on_progress:
            result = mend(
                file,
                out,
                mode=cast("Mode", mode),
                offset_ms=offset,
                range_s=range_s,
                audio_track=audio_track,
                codec=audio_codec,
                in_place=in_place,
                dry_run=dry_run,
                verify=verify,
                unsure=unsure,
                model=model,
                on_progress=on_progress,
            )
    except SyncNetError as error:
        if as_json:
            typer.echo(json.dumps({"file": str(file), "written": None, "outcome": "failed", "error": str(error)}))
        raise
    if as_json:
        typer.echo(json.dumps(fix_dict(result)))
    else:
        for line in fix_lines(result):
            typer.echo(line)
    if not result.trusted:
        raise typer.Exit(3)
