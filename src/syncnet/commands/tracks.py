"""`syncnet tracks`: which faces are followed, and what the network sees of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from syncnet.commands.output import check_writable
from syncnet.errors import NoAnswer


def tracks(
    file: Annotated[Path, typer.Argument(help="A recording.")],
    sheet: Annotated[Path | None, typer.Option(help="Write a contact sheet of the mouth crops to this PNG.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per track and line.")] = False,
) -> None:
    """List the face tracks of a recording; with --sheet also draw the mouth crops as the network gets them.

    Example: syncnet tracks talk.mp4 --sheet mouths.png
    """
    check_writable(sheet)
    import numpy as np

    from syncnet.media import frames
    from syncnet.sheet import save_sheet, sheet_row
    from syncnet.tracks import mouth_tracks

    rows = []
    problems: list[str] = []
    for track in mouth_tracks(frames(file, on_problem=problems.append)):
        rows.append(sheet_row(track))
        if as_json:
            line = {
                "id": track.id,
                "shot": track.shot,
                "start_s": round(track.start, 3),
                "end_s": round(track.end, 3),
                "frames": len(track.crops),
                "face_px": round(float(np.median(track.size)), 1),
                "yaw_deg": round(float(np.median(track.yaw)), 1),
                "seen": round(float(track.seen.mean()), 3),
            }
            typer.echo(json.dumps(line))
        else:
            typer.echo(rows[-1].caption)
    for text in problems:
        typer.secho(f"note: {text}", err=True)
    if not rows:
        raise NoAnswer(f"{file}: no face was found that could be followed for 0.4 s.")
    if sheet is not None:
        save_sheet(rows, sheet)
        typer.echo(f"contact sheet: {sheet}", err=True)
