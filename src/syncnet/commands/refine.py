"""`syncnet refine`: a cleaned manifest of shards, by what a trained network hears and sees in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from syncnet.errors import InputError


def refine(
    shards: Annotated[list[Path], typer.Argument(help="Shard folders made by `syncnet prepare`.")],
    model: Annotated[
        Path, typer.Option(help="What judges the clips: a checkpoint of `syncnet train`, or a model that ships.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the cleaned manifest; run again to go on after a stop.")],
    found: Annotated[float, typer.Option(min=0.5, max=0.999, help="Share of wrong clips to be refused ...")] = 0.92,
    lost: Annotated[
        float, typer.Option(min=0.0, max=0.5, help="... unless this share of good clips would go too (estimated).")
    ] = 0.02,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Judge an even choice of so many clips; the rest stay.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=2.0, help="Judge long clips by so many seconds at their start: quicker.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")] = False,
) -> None:
    """Clean a training set: re-align clips whose sound is steadily early or late, drop those whose sound does not fit.

    Writes manifest.jsonl (train on OUT as on any shard folder) and verdicts.jsonl (every clip, with the reason).
    Pictures and sound are not copied: they stay in SHARDS. Scores are kept in OUT/scores, so that other settings cost
    seconds.

    Example: syncnet refine shards/base shards/more --model runs/first/best.pt --out shards/clean
    """
    from syncnet.model import require_torch

    require_torch()
    from dataclasses import replace

    from syncnet.commands.progress import file_progress
    from syncnet.model.cleaned import read_rows, summary, write_refined
    from syncnet.model.fits import score_clips
    from syncnet.model.optimise import keep_memory
    from syncnet.model.refine import RefineConfig, judge
    from syncnet.model.shards import FPS, read_manifests
    from syncnet.model.shipped import identity, trained_model

    clips = read_manifests(shards)
    if any(folder.resolve() == out.resolve() for folder in shards):
        raise InputError(f"{out} is one of the shard folders: give the cleaned manifest a folder of its own.")
    rows = read_rows(shards)
    trained = trained_model(model)
    size = trained.model.config.crop_size
    if any(c.crop_size < size for c in clips):
        raise InputError(f"some clips have crops smaller than the {size} pixels {model} needs.")
    chosen = list(range(len(clips))) if limit is None else _even(len(clips), limit)
    most = max(c.frames for c in clips) if seconds is None else round(seconds * FPS)
    judged = [replace(clips[n], frames=min(clips[n].frames, most)) for n in chosen]
    frames = sum(c.frames for c in judged)
    keep_memory()
    done = 0
    with file_progress(f"{len(chosen)} clips", quiet=quiet) as on_progress:

        def advance(more: int) -> None:
            nonlocal done
            done += more
            if on_progress:
                on_progress(done, frames)

        scored = score_clips(trained.model, judged, store=out / "scores", identity=identity(model),
                             on_done=advance)
    fits: list[Any] = [None] * len(clips)
    for n, fit in zip(chosen, scored, strict=True):
        fits[n] = fit
    refined = judge(clips, fits, RefineConfig(found=found, lost=lost))
    write_refined(out, rows, refined)
    told = summary(clips, refined)
    if as_json:
        typer.echo(json.dumps(told))
        return
    for line in _in_words(told):
        typer.echo(line)
    typer.echo(f"cleaned manifest and reasons in {out}")


def _even(count: int, most: int) -> list[int]:
    """Up to `most` numbers below `count`, spread evenly."""
    return sorted({round(k * (count - 1) / max(1, min(most, count) - 1)) for k in range(min(most, count))})


def _in_words(told: dict[str, Any]) -> list[str]:
    words = ", ".join(f"{number} {word}" for word, number in sorted(told["verdicts"].items()))
    lines = [f"{told['clips']} clips: {words}; {told['frames']['dropped'] / 1500:.1f} of "
             f"{(told['frames']['kept'] + told['frames']['dropped']) / 1500:.1f} min dropped"]
    for name, line in zip(("under 2 s", "2 to 4 s", "4 s and longer"), told["lines"], strict=True):
        if line:
            lines.append(f"  {name}: about {line['wrong']:.0%} of the clips look wrong; the line refuses "
                         f"{line['found']:.0%} of wrong sound and about {line['lost']:.0%} of the good clips")
        else:
            lines.append(f"  {name}: too few clips to draw a line, nothing refused")
    for corpus, offset in told["corpus_offset_ms"].items():
        if abs(offset) >= 10.0:
            lines.append(f"  {corpus}: audio {abs(offset):.0f} ms {'late' if offset > 0 else 'early'} throughout")
    return lines
