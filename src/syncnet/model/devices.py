"""Where training runs: one device, or several processes started by torchrun."""

import os

import torch
import torch.distributed as dist

from syncnet.errors import InputError


def join() -> tuple[int, int]:
    """Rank and number of processes; joins the group when started by torchrun."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return int(os.environ.get("RANK", "0")), world


def find_device(wanted: str, rank: int) -> torch.device:
    if wanted == "cuda" and not torch.cuda.is_available():
        raise InputError("no CUDA device is available: use --device cpu.")
    if wanted == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    index = int(os.environ.get("LOCAL_RANK", rank)) % torch.cuda.device_count()
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


def agree(mine: float, world: int, device: torch.device) -> float:
    """What rank 0 says, so that all processes go on, look and stop together."""
    if world == 1:
        return mine
    value = torch.tensor([mine], dtype=torch.float64, device="cpu" if device.type == "cpu" else device)
    dist.broadcast(value, 0)
    return float(value.item())


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device convolves in bfloat16: processors with AVX-512, GPUs since Ampere."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    there = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return bool(there and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def autocast(device: torch.device, wanted: bool = True) -> torch.autocast:
    """Compute in bfloat16 inside a `with` block, where that is wanted and the device has it; else in float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted and has_bfloat16(device))
