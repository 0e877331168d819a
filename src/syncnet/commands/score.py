"""`syncnet score`: LSE-D and LSE-C of files or folders, by a recipe that is named in the result."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from syncnet.commands.output import check_writable, write_text


def score(
    paths: Annotated[list[Path], typer.Argument(help="Films, or folders with films in them.")],
    recipe: Annotated[str, typer.Option(help="wav2lip-lrs, wav2lip-real, latentsync or ours; see docs/metrics.md.")],
    model: Annotated[str, typer.Option(help="v2, or with --recipe ours also syncnet or an exported folder.")] = "v2",
    jobs: Annotated[int, typer.Option(min=1, help="Files scored at once.")] = 1,
    resume: Annotated[
        Path | None, typer.Option(help="Journal: keep every result here, and go on from those it has.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    csv_out: Annotated[Path | None, typer.Option("--csv", help="Write a table, one row per face track.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")] = False,
) -> None:
    """Score lip sync as published work does: LSE-D, LSE-C and the offset of each clip, and the set's mean.

    The offset is in the reference's sign, frames, positive = audio leads. Exit code 0: every file was scored; 2: a file
    could not be read or the command is wrong; 3: a file holds no answer (no face, too short). The rest is scored still.

    Example: syncnet score generated/ --recipe wav2lip-lrs --jobs 4 --resume scores.jsonl --csv scores.csv
    """
    from syncnet.commands.progress import file_progress
    from syncnet.journal import Journal, Record
    from syncnet.recipes import recipe_named
    from syncnet.score_report import as_csv, as_table
    from syncnet.score_report import as_json as json_document
    from syncnet.score_set import media_files, network_named, score_files, versions

    check_writable(csv_out)
    check_writable(resume)
    chosen = recipe_named(recipe)
    files = media_files(paths)
    network = network_named(model, chosen)
    made_with = versions()
    work = {"recipe": chosen.id, "model": network.identity, "versions": made_with}
    journal = Journal(resume, work) if resume else None
    done: list[str] = []
    with file_progress(f"{len(files)} files", quiet=quiet) as on_progress:

        def on_record(record: Record) -> None:
            done.append(record["file"])
            if on_progress:
                on_progress(len(done), len(files))

        records = score_files(files, chosen, network, jobs=jobs, journal=journal, on_record=on_record)
    failed = [record for record in records if "error" in record]
    for record in failed:
        typer.secho(f"syncnet: {' '.join(record['error'].split())}", fg="red", err=True)
    if csv_out:
        write_text(csv_out, as_csv(records, chosen, network, made_with))
    typer.echo((json_document if as_json else as_table)(records, chosen, network, made_with))
    if failed:
        raise typer.Exit(max(record["exit_code"] for record in failed))
