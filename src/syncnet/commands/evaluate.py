"""`syncnet evaluate`: how right the product is where the truth is known. A group, one command for each question."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from syncnet.commands.evaluate_speakers import speakers
from syncnet.commands.output import check_writable, write_text
from syncnet.errors import InputError
from syncnet.model_names import DEFAULT_MODEL

if TYPE_CHECKING:
    from syncnet.model.evaluate import Figures


class _SyncUnlessNamed(typer.core.TyperGroup):
    """`syncnet evaluate FOLDER` means `syncnet evaluate sync FOLDER`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("--help",):
            args = ["sync", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_SyncUnlessNamed,
    no_args_is_help=True,
    help="Measure how right the product is: `syncnet evaluate FOLDER` for offsets of single windows and whole clips.",
)

Paths = Annotated[
    list[Path],
    typer.Argument(help="Folders of clips, or CSV manifests (file, and if known speaker, corpus, kind, split, "
                        "offset_ms)."),
]
Split = Annotated[str | None, typer.Option(help="Only rows of this split of the manifests.")]
Model = Annotated[str, typer.Option(help="Model by name, or a folder written by syncnet export.")]
Limit = Annotated[int | None, typer.Option(min=1, help="An even choice of so many clips.")]
Jobs = Annotated[int, typer.Option(min=1, help="Clips measured at once.")]
Resume = Annotated[Path | None, typer.Option(help="Journal: keep every result here, and go on from those it has.")]
HeldOut = Annotated[
    float | None,
    typer.Option(min=0.0, max=1.0, help="Only speakers that training with this share held out did not learn from."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]


@app.command()
def sync(
    paths: Paths,
    split: Split = None,
    model: Model = DEFAULT_MODEL,
    limit: Limit = None,
    held_out: HeldOut = None,
    jobs: Jobs = 1,
    resume: Resume = None,
    calibration: Annotated[
        Path | None, typer.Option(help="A fit of `syncnet evaluate calibrate`: also say how its probabilities hold.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    csv_out: Annotated[Path | None, typer.Option("--csv", help="Write a table, one row per clip.")] = None,
    plots: Annotated[Path | None, typer.Option(help="Folder for pictures: distances, accuracy, reliability.")] = None,
    quiet: Quiet = False,
) -> None:
    """The paper's tables for clips whose offset is known (0 unless the manifest's offset_ms says otherwise).

    Distances of pairs with ROC, accuracy of single windows and of K frames, whole clips, what viewers would notice, and
    all of it by source, head turn, face size and noise. Exit code 3 when no clip gave an answer.

    Example: syncnet evaluate recordings/ --csv clips.csv --plots pictures/
    """
    check_writable(csv_out)
    from syncnet.encoder import find_model
    from syncnet.model.calibration import load_calibration
    from syncnet.model.evaluation import as_csv, in_words, tables
    from syncnet.model.evaluation_plots import save_plots

    identity = find_model(model).identity
    fit = None if calibration is None else load_calibration(calibration)
    if fit is not None and fit.model != identity:
        raise InputError(f"{calibration} was fitted for another model ({fit.model}), not for {identity}: fit it again.")
    clips = _measured(paths, split, model, limit, held_out, jobs, resume, quiet)
    if csv_out is not None:
        write_text(csv_out, as_csv(clips, fit))
    if plots is not None:
        save_plots(clips, plots, fit)
    if as_json:
        typer.echo(json.dumps({"model": identity, "split": split, **tables(clips, fit)}))
    else:
        typer.echo(f"model {identity.get('name')} {identity.get('version', '')} on {len(clips)} clips"
                   f"{f', split {split}' if split else ''}; truth as the manifest says, else 0")
        if find_model(model).description.get("wide"):
            typer.echo("each window of this model is embedded with its neighbours, 19 frames in all: its K = 5 is not "
                       "the published single window (--model syncnet sees five frames)")
        for line in in_words(clips, fit):
            typer.echo(line)
        for clip in clips:
            if clip.problem:
                typer.secho(f"{clip.name}: {clip.problem}", err=True)
    if all(clip.offset_ms is None for clip in clips):
        raise typer.Exit(3)


@app.command()
def calibrate(
    paths: Paths,
    out: Annotated[Path, typer.Option(help="File for the fit (JSON).")],
    split: Split = "train",
    model: Model = DEFAULT_MODEL,
    limit: Limit = None,
    held_out: HeldOut = None,
    jobs: Jobs = 1,
    resume: Resume = None,
    quiet: Quiet = False,
) -> None:
    """Fit the probability that an offset is right to its confidence and windows, on clips not measured on later.

    Give clips that the network did not learn from (--held-out with the share that training held out), else it will look
    surer than it is.

    Example: syncnet evaluate calibrate recordings/ --split train --held-out 0.06 --out calibration.json
    """
    check_writable(out)
    import numpy as np

    from syncnet.encoder import find_model
    from syncnet.model.calibration import RIGHT_MS, fit_calibration
    from syncnet.model.evaluation import answers, held_up

    clips = _measured(paths, split, model, limit, held_out, jobs, resume, quiet)
    confidence, windows, error, weight = answers(clips)
    fit = fit_calibration(confidence.tolist(), windows.tolist(), (np.abs(error) <= RIGHT_MS).tolist(), weight.tolist(),
                          clips=len(clips), split=split or "all", model=find_model(model).identity)
    fit.save(out)
    held = held_up(clips, fit)
    assert held is not None
    typer.echo(f"{out}: fitted on {fit.answers} answers of {fit.clips} clips; calibration error on these clips "
               f"{100 * held.calibration_error:.1f} points, Brier score {held.brier:.3f}")


def _measured(paths: list[Path], split: str | None, model: str, limit: int | None, held_out: float | None, jobs: int,
              resume: Path | None, quiet: bool) -> list[Figures]:
    """Figures of the clips asked for, from the journal where it has them, in the order of the list."""
    check_writable(resume)
    from syncnet.commands.progress import file_progress
    from syncnet.encoder import find_model
    from syncnet.journal import Journal
    from syncnet.model.evaluate import Figures, labelled_clips, measure_clips
    from syncnet.model.held_out import is_held_out

    clips = [clip for path in paths for clip in labelled_clips(path, split)]
    if held_out is not None:
        clips = [c for c in clips if is_held_out(c.speaker, held_out)]
        if not clips:
            raise InputError(f"no clip is of a speaker held out at a share of {held_out:g}: give more clips.")
    if limit is not None and limit < len(clips):
        clips = [clips[round(k * (len(clips) - 1) / max(1, limit - 1))] for k in range(limit)]
    journal = Journal(resume, {"evaluate": 1, "model": find_model(model).identity}) if resume else None
    done: dict[str, Figures] = {}
    if journal is not None:
        done = {name: Figures.from_dict(record) for name, record in journal.records.items()}
    todo = [c for c in clips if str(c.path) not in done]
    with file_progress(f"{len(clips)} clips", quiet=quiet) as on_progress:
        for number, (clip, figures) in enumerate(measure_clips(todo, model, jobs), 1):
            done[str(clip.path)] = figures
            if journal is not None:
                journal.append({"file": str(clip.path), **figures.to_dict()})
            if on_progress:
                on_progress(number, len(todo))
    return [done[str(c.path)] for c in clips]


app.command()(speakers)
