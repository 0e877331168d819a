"""Random weights in the place of the released v2 ones, in a private cache: for what depends on the procedure alone."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import nn

from syncnet import weights_store
from syncnet.model import v2

LEVEL = {"netcnnaud": 10.0, "netcnnlip": 128.0}  # size of what the two streams are fed


def use_random_weights(folder: Path, seed: int = 0) -> None:
    """Install random weights under the name v2 in a cache below `folder`, for this process and its children.

    Figures made with them mean nothing for lip sync; they show what a procedure does to the same clip.
    """
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["XDG_CACHE_HOME"] = str(folder)
    model = folder / "random.model"
    if not model.is_file():
        part = model.with_suffix(".part")
        torch.save(_network(seed).state_dict(), part)
        part.replace(model)
    released = weights_store.Release(
        "v2", f"random weights, seed {seed}", "http://127.0.0.1:9/random.model", model.stat().st_size,
        weights_store.sha256(model),
    )  # fmt: skip
    weights_store.RELEASES["v2"] = released
    if not (weights_store.cache_dir() / "v2").exists():
        weights_store.install(released, model, v2.convert)


def _network(seed: int) -> v2.V2:
    """Weights that keep signals of the order 1 from layer to layer."""
    torch.manual_seed(seed)
    network = v2.V2()
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            assert module.bias is not None
            nn.init.normal_(module.bias, std=0.1)
            if name.endswith(".0") and not name.startswith("netfc"):
                module.weight.data /= LEVEL[name.split(".")[0]]
    return network
