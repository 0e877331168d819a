"""`syncnet evaluate speakers`: how right the answer to "who speaks" is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from syncnet.errors import InputError
from syncnet.model_names import DEFAULT_MODEL


def speakers(
    labels: Annotated[
        Path, typer.Argument(help="True labels: a table in the AVA-ActiveSpeaker layout, or turns in an .rttm file.")
    ],
    recordings: Annotated[
        list[Path] | None, typer.Argument(help="Recordings, named as in the labels (without the ending).")
    ] = None,
    found: Annotated[
        Path | None, typer.Option(help="Compare this table or .rttm instead of finding out who speaks.")
    ] = None,
    window: Annotated[
        list[int] | None, typer.Option(help="Window in frames; repeat it for several. 10, 25, 50, 75, 100 otherwise.")
    ] = None,
    model: Annotated[str, typer.Option(help="Model by name, or a folder written by syncnet export.")] = DEFAULT_MODEL,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")] = False,
) -> None:
    """Compare who is found to speak with true labels, for windows of several lengths.

    Faces (AVA tables): average precision as AVA computes it, accuracy, F1; a found face is the labelled one where
    their boxes overlap by more than half. Turns (RTTM): accuracy of the moments with speech, F1.

    Example: syncnet evaluate speakers panel-labels.csv panel.mp4
    """
    if (found is None) == (not recordings):
        raise InputError("Give recordings to find the speakers in, or --found FILE with an answer: one of the two.")

    from syncnet.active_speaker import WINDOWS
    from syncnet.commands.progress import file_progress
    from syncnet.speaker_analysis import Watched, watch
    from syncnet.speaker_evaluation import (
        compare_tables,
        evaluate_recordings,
        figures_dict,
        figures_table,
        read_labels,
    )

    truth = read_labels(labels)

    def watched(path: Path) -> Watched:
        with file_progress(path.name, quiet=quiet) as on_progress:
            return watch(path, model=model, on_progress=on_progress)

    if found is not None:
        figures = [compare_tables(truth, read_labels(found))]
    else:
        figures = evaluate_recordings(truth, recordings or [], windows=window or WINDOWS, watched=watched)
    if as_json:
        typer.echo(json.dumps({"labels": str(labels), "figures": figures_dict(figures)}))
    else:
        for line in figures_table(figures):
            typer.echo(line)
