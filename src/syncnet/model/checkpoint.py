"""Checkpoints: one file with the network's config, its weights and all that an exact resume needs."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from syncnet.errors import InputError
from syncnet.model.network import SyncNet, SyncNetConfig

FORMAT = 1


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint beside its place and move it there, so that a kill leaves the old or the new one whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with part.open("wb") as file:
        torch.save({"format": FORMAT, **state}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU; raises InputError when it is missing, damaged or of another kind."""
    if not path.is_file():
        raise InputError(f"{path} does not exist: give a checkpoint written by `syncnet train`.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise InputError(f"{path} is not a readable checkpoint ({type(error).__name__}: {error}).") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise InputError(f"{path} is not a checkpoint of `syncnet train` (format {FORMAT}).")
    return state


@dataclass(frozen=True)
class Trained:
    """A model read back from a checkpoint, with what is known about its making."""

    model: SyncNet
    step: int
    metrics: dict[str, float]
    recipe: dict[str, Any]


def load_model(path: Path, *, averaged: bool = True) -> Trained:
    """The network of a checkpoint in eval mode; `averaged`: the running mean of the weights (what is shipped)."""
    state = load(path)
    model = SyncNet(SyncNetConfig.from_dict(state["network"]))
    weights: dict[str, Tensor] = state["average"] if averaged else state["model"]
    model.load_state_dict(weights)
    return Trained(model.eval(), int(state["step"]), dict(state.get("metrics", {})), dict(state.get("recipe", {})))
