"""`syncnet train`: shards in, checkpoints out."""

from pathlib import Path
from typing import Annotated

import typer

from syncnet.errors import InputError


def train(
    shards: Annotated[list[Path], typer.Argument(help="Shard folders made by `syncnet prepare`.")],
    out: Annotated[Path, typer.Option(help="Folder for checkpoints and logs; training resumes from it.")],
    teacher: Annotated[
        Path | None, typer.Option(help="LR-ASD state dict (.pt): the picture stream starts from its weights.")
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(help="Checkpoint whose averaged weights to start from, or a model that ships: syncnet-wide."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="JSON file of training settings (the `recipe` of a checkpoint has all names).")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="One setting as name=JSON, for example pairs.batch_frames=400. Repeatable."),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Length of the course in steps.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Length of the course by the clock, instead of steps.")] = None,
    loss: Annotated[str | None, typer.Option(help="softmax, contrastive or binary.")] = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    freeze: Annotated[int | None, typer.Option(help="Leading picture blocks that keep their weights.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights, draws and changes.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that prepare batches; 0: none.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
) -> None:
    """Train the two streams on shards; killed at any moment, the same command goes on where it stopped.

    Example: syncnet train shards/* --out runs/first --teacher lr_asd_talkset.pt --minutes 60

    On several devices: torchrun --nproc-per-node 4 -m syncnet train shards/* --out runs/first
    """
    from syncnet.model import require_torch
    from syncnet.model.settings import read_settings

    require_torch()
    from syncnet.model.train import TrainConfig
    from syncnet.model.train import train as run

    short = {"steps": steps, "minutes": minutes, "loss.kind": loss, "lr": lr, "freeze_blocks": freeze, "seed": seed,
             "workers": workers, "compute": device}
    given = {name: value for name, value in short.items() if value is not None}
    if steps is not None and minutes is not None:
        raise InputError("--steps and --minutes exclude each other: give one.")
    if teacher is not None and not teacher.is_file():
        raise InputError(f"{teacher} does not exist: give the teacher's state dict, or leave --teacher out.")
    settings = read_settings(TrainConfig(frozen_norms=teacher is not None), config, set_ or [], given)
    best = run(shards, out, settings, teacher=teacher, start=start, say=lambda text: typer.echo(text, err=True))
    typer.echo(best)
