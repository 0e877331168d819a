"""Parts of the training loop that stand on their own: rates, parameter groups, averages of weights, statistics."""

import ctypes
import math
from collections.abc import Collection, Iterable
from typing import Any

import torch
from torch import nn

from syncnet.model.conv_norm import ConvNorm
from syncnet.model.course import TrainConfig
from syncnet.model.network import SyncNet
from syncnet.model.pairs import Batch


def rate(progress: float, step: int, config: TrainConfig) -> float:
    """Learning-rate factor at `progress` (0 to 1) of the course: linear warm-up by steps, then a cosine."""
    warm = min(1.0, (step + 1) / max(1, config.warmup))
    cosine = 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
    return warm * (config.final_lr + (1.0 - config.final_lr) * cosine)


def parameter_groups(learner: nn.Module, from_teacher: Collection[str], config: TrainConfig) -> list[dict[str, Any]]:
    """Parameters by learning-rate factor and weight decay (norms, biases and the loss's own do not decay)."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in learner.named_parameters():
        if not parameter.requires_grad:
            continue
        factor = config.teacher_lr if name.removeprefix("model.") in from_teacher else 1.0
        decay = config.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((factor, decay), []).append(parameter)
    return [{"params": p, "factor": f, "weight_decay": d, "lr": config.lr * f} for (f, d), p in groups.items()]


class WeightAverage:
    """Exponential moving average of a model's weights and norm statistics; young averages forget faster."""

    def __init__(self, model: SyncNet, decay: float) -> None:
        self.decay = decay
        self.state = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: SyncNet, step: int) -> None:
        decay = min(self.decay, (step + 1) / (step + 10))
        floats, now = [], []
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                floats.append(self.state[name])
                now.append(value)
            else:
                self.state[name].copy_(value)
        torch._foreach_lerp_(floats, now, 1.0 - decay)


@torch.no_grad()
def calibrate_norms(learner: nn.Module, batches: Iterable[Batch]) -> None:
    """Set the running statistics of all norms from some batches, as plain means."""
    layers = [m for m in learner.modules() if isinstance(m, ConvNorm)]
    before = [(layer.frozen_norm, layer.norm.momentum) for layer in layers]
    for layer in layers:
        layer.norm.reset_running_stats()
        layer.frozen_norm, layer.norm.momentum = False, None
    learner.train()
    for batch in batches:
        learner(batch)
    for layer, (frozen, momentum) in zip(layers, before, strict=True):
        layer.frozen_norm, layer.norm.momentum = frozen, momentum


def keep_memory() -> None:
    """Have glibc keep freed memory for the next step instead of giving it back: page faults cost half the speed."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # glibc only; elsewhere it is merely slower
        libc.mallopt(-4, 0)  # M_MMAP_MAX: no block of its own for large arrays
        libc.mallopt(-1, -1)  # M_TRIM_THRESHOLD: never shrink the heap
