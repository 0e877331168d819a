"""Starting the picture stream from LR-ASD's video encoder (Liao et al., IJCV 2025), layer by layer."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from syncnet.errors import InputError
from syncnet.model.conv_norm import ConvNorm
from syncnet.model.network import SyncNet


def read_teacher(path: Path) -> dict[str, Tensor]:
    """The state dict of an LR-ASD file; raises InputError when it cannot be read."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise InputError(f"cannot read the teacher {path} ({type(error).__name__}: {error}).") from error
    if not isinstance(state, dict):
        raise InputError(f"{path} is not a state dict: give LR-ASD's weights.")
    return state


def start_from_teacher(model: SyncNet, state: Mapping[str, Tensor]) -> list[str]:
    """Copy LR-ASD's video encoder into the picture trunk; returns the names of the parameters it set.

    Temporal kernels longer than ours are folded onto the taps we have (outer taps onto the outermost), which is
    exact for a still picture. Raises InputError when the shapes do not fit.
    """
    names: list[str] = []
    own = dict(model.video_trunk.named_modules())
    for i in range(len(model.config.video_widths)):
        for part in ("s_1", "s_2", "t_1", "t_2"):
            layer = own[f"blocks.{i}.{part}"]
            assert isinstance(layer, ConvNorm)
            prefix = f"model.visualEncoder.block{i + 1}."
            norm = f"{prefix}{part[0]}_norm_{part[2]}."
            try:
                weight = state[f"{prefix}{part}.weight"]
                values = {name: state[norm + name] for name in ("weight", "bias", "running_mean", "running_var")}
            except KeyError as error:
                raise InputError(f"the teacher's file lacks {error}: is it an LR-ASD state dict?") from error
            weight = weight[:, :, 0] if part[0] == "s" else fold_taps(weight[..., 0], layer.conv.weight.shape[2])
            if weight.shape != layer.conv.weight.shape:
                raise InputError(f"block {i + 1} {part}: teacher {tuple(weight.shape)}, "
                                 f"ours {tuple(layer.conv.weight.shape)}")
            with torch.no_grad():
                layer.conv.weight.copy_(weight)
                for name, value in values.items():
                    getattr(layer.norm, name).copy_(value)
            base = f"video_trunk.blocks.{i}.{part}."
            names += [base + "conv.weight", base + "norm.weight", base + "norm.bias"]
    return names


def fold_taps(weight: Tensor, taps: int) -> Tensor:
    """Shorten the temporal axis 2 of (O, I, n, 1) to `taps`, adding what is cut off to the outermost tap kept."""
    surplus = weight.shape[2] - taps
    if surplus < 0 or surplus % 2:
        raise ValueError(f"cannot make {taps} taps of {weight.shape[2]}")
    if taps == 1:
        return weight.sum(2, keepdim=True)
    cut = surplus // 2
    kept = weight[:, :, cut:cut + taps].clone()
    kept[:, :, 0] += weight[:, :, :cut].sum(2)
    kept[:, :, -1] += weight[:, :, cut + taps:].sum(2)
    return kept
