"""`syncnet detect`: by how many milliseconds sound and lips are apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from syncnet.commands.output import check_writable, write_text
from syncnet.errors import InputError, SyncNetError

if TYPE_CHECKING:
    from syncnet.analysis import SyncResult


def detect(
    files: Annotated[list[Path], typer.Argument(help="Recordings with a talking face, in any container.")],
    range_s: Annotated[float, typer.Option("--range", help="Search offsets up to this many seconds, 0.1 to 10.")] = 1.0,
    audio_track: Annotated[int, typer.Option(help="Which sound track, counted from 0.")] = 0,
    track: Annotated[int | None, typer.Option(help="Answer from this face track alone (its id).")] = None,
    model: Annotated[str, typer.Option(help="Model by name, or a folder written by syncnet export.")] = "syncnet",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per file and line.")] = False,
    csv_out: Annotated[Path | None, typer.Option("--csv", help="Write a table of single windows.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw distances and offsets over time (one file only).")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")] = False,
) -> None:
    """Measure the offset between sound and lips, in words and milliseconds.

    Negative: audio is early (leads the picture). Positive: audio is late (lags). Exit code 0: measured; 2: a file could
    not be read or the command is wrong; 3: a file holds no answer (no face, no speech, too short).

    Example: syncnet detect talk.mp4 --plot talk.png
    """
    if not 0.1 <= range_s <= 10.0:
        raise InputError(f"--range must be between 0.1 and 10 seconds, not {range_s:g}.")
    if plot is not None and len(files) > 1:
        raise InputError("--plot draws one file: give a single recording.")
    for out in (csv_out, plot):
        check_writable(out)

    from syncnet.analysis import analyse, only_track
    from syncnet.commands.progress import file_progress
    from syncnet.plot import save_plot
    from syncnet.report import lines_in_words, result_dict, windows_csv

    worst = 0
    results: list[SyncResult] = []
    for path in files:
        try:
            with file_progress(path.name, quiet=quiet) as on_progress:
                result = analyse(
                    path, range_s=range_s, audio_track=audio_track, model=model, on_progress=on_progress
                )
            if track is not None:
                result = only_track(result, track)
        except SyncNetError as error:
            worst = max(worst, error.exit_code)
            _report_failure(path, error, as_json)
            continue
        results.append(result)
        if result.offset is None:
            worst = max(worst, 3) if worst != 2 else 2
        if as_json:
            typer.echo(json.dumps(result_dict(result)))
        else:
            for line in lines_in_words(result):
                typer.echo(line)
    if csv_out is not None:
        write_text(csv_out, windows_csv(results))
    if plot is not None and results:
        save_plot(results[0], plot)
    if worst:
        raise typer.Exit(worst)


def _report_failure(path: Path, error: SyncNetError, as_json: bool) -> None:
    text = str(error)
    if as_json:
        typer.echo(json.dumps({"file": str(path), "offset_ms": None, "trusted": False, "error": text}))
    typer.secho(text if text.startswith(str(path)) else f"{path}: {text}", fg="red", err=True)
