"""`syncnet prepare`: raw videos -> training shards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def prepare(
    folders: Annotated[list[Path], typer.Argument(help="Folders with videos, nested as they like.")],
    out: Annotated[Path, typer.Option(help="Folder for the shards; run again to go on after a stop.")],
    split: Annotated[str | None, typer.Option(help="Take only rows of this split of a folder's manifest.csv.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Files worked on at once.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as one JSON object.")] = False,
) -> None:
    """Turn videos into training shards: mouth crops, sound, times, speaker and source of every usable clip.

    Example: syncnet prepare recordings/ --out shards/
    """
    from rich.console import Console
    from rich.progress import Progress

    from syncnet.model.prepare import prepare as run
    from syncnet.model.prepared import Prepared
    from syncnet.model.sources import Source, find_sources

    sources = [source for folder in folders for source in find_sources(folder, split=split)]
    console = Console(stderr=True)
    with Progress(console=console) as progress:
        task = progress.add_task("preparing", total=len(sources))

        def done(source: Source, result: Prepared) -> None:
            progress.advance(task)
            for text in (*result.problems, *([result.error] if result.error else [])):
                progress.console.print(f"{source.name}: {text}", markup=False)

        counts = run(sources, out, jobs=jobs, on_done=done)
        progress.update(task, completed=len(sources))
    if as_json:
        typer.echo(json.dumps(dict(counts)))
        return
    seconds = counts["frames"] / 25
    typer.echo(f"{counts['files']} files, {counts['clips']} clips, {seconds / 60:.1f} minutes in {out}")
    for name, number in sorted(counts.items()):
        if name.startswith("left out"):
            unit = "files" if "files" in name else "frames"
            typer.echo(f"  {name.removesuffix(' (files)')}: {number} {unit}")
    if counts["errors"]:
        typer.echo(f"  files that could not be read: {counts['errors']} (see files.jsonl)")
