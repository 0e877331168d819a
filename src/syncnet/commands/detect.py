"""`syncnet detect`: by how many milliseconds sound and lips are apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from syncnet.commands.output import check_picture, check_writable, write_text
from syncnet.commands.verdict_options import CHECK_HELP, NORM_HELP, TOLERANCE_HELP, limits_from, worse
from syncnet.errors import InputError, SyncNetError
from syncnet.model_names import DEFAULT_MODEL

if TYPE_CHECKING:
    from syncnet.results import SyncResult


def detect(
    files: Annotated[list[Path], typer.Argument(help="Recordings with a talking face, in any container.")],
    range_s: Annotated[float, typer.Option("--range", help="Search offsets up to this many seconds, 0.1 to 10.")] = 1.0,
    audio_track: Annotated[int, typer.Option(help="Which sound track, counted from 0.")] = 0,
    track: Annotated[int | None, typer.Option(help="Answer from this face track alone (its id).")] = None,
    model: Annotated[str, typer.Option(help="Model by name, or a folder written by syncnet export.")] = DEFAULT_MODEL,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per file and line.")] = False,
    csv_out: Annotated[Path | None, typer.Option("--csv", help="Write a table of single windows.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw distances and offsets over time (one file only).")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a report that stands alone (one file only).")] = None,
    norm: Annotated[str | None, typer.Option(help=NORM_HELP)] = None,
    tolerance: Annotated[str | None, typer.Option(help=TOLERANCE_HELP)] = None,
    check: Annotated[bool, typer.Option("--check", help=CHECK_HELP)] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")] = False,
) -> None:
    """Measure the offset between sound and lips, in words and milliseconds.

    Negative: audio is early (leads the picture). Positive: audio is late (lags). Exit code 0: measured; 1: --check
    was given and a file is outside the limits; 2: a file could not be read or the command is wrong; 3: a file holds no
    answer (no face, no speech, too short) or, with --check, none that could be judged.

    Example: syncnet detect talk.mp4 --norm ebu-r37 --check --html talk.html
    """
    if not 0.1 <= range_s <= 10.0:
        raise InputError(f"--range must be between 0.1 and 10 seconds, not {range_s:g}.")
    if (plot is not None or html is not None) and len(files) > 1:
        raise InputError("--plot and --html show one file: give a single recording.")
    limits = limits_from(norm, tolerance, check=check)
    check_writable(html)
    check_writable(csv_out)
    check_picture(plot)

    from syncnet.analysis import analyse
    from syncnet.commands.progress import file_progress
    from syncnet.html_report import html_report
    from syncnet.over_time import timeline_of
    from syncnet.plot import save_plot
    from syncnet.repair_report import timeline_dict, timeline_lines, verdict_dict
    from syncnet.report import lines_in_words, result_dict, windows_csv
    from syncnet.results import only_track
    from syncnet.strips import Strips
    from syncnet.verdict import judge_timeline

    worst = 0
    strips = Strips()
    results: list[SyncResult] = []
    for path in files:
        try:
            with file_progress(path.name, quiet=quiet) as on_progress:
                result = analyse(
                    path,
                    range_s=range_s,
                    audio_track=audio_track,
                    model=model,
                    on_progress=on_progress,
                    on_track=strips.watch if html is not None else None,
                )
            if track is not None:
                result = only_track(result, track)
        except SyncNetError as error:
            worst = worse(worst, error.exit_code)
            _report_failure(path, error, as_json)
            continue
        results.append(result)
        if result.offset is None:
            worst = worse(worst, 3)
        found = timeline_of(result)
        verdict = judge_timeline(limits, found) if limits else None
        if verdict and check:
            worst = worse(worst, verdict.exit_code)
        if as_json:
            told = result_dict(result) | {"timeline": timeline_dict(found)}
            typer.echo(json.dumps(told | ({"verdict": verdict_dict(verdict)} if verdict else {})))
        else:
            more = [*timeline_lines(found), *([verdict.words] if verdict else [])]
            for line in [*lines_in_words(result), *(f"  {line}" for line in more)]:
                typer.echo(line)
        if html is not None:
            shown = [s for s in strips.chosen() if track in (None, s.track)]
            write_text(html, html_report(result, found, verdict, shown, audio_track=audio_track))
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
