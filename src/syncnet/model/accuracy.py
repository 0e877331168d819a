"""How often the network finds the right offset on whole clips, measured during training.

The protocol is the field's usual one: 31 candidates of one frame each, right when within one frame; K frames of
context means that the distance rows of K - 4 neighbouring windows are averaged.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from syncnet.model.devices import autocast
from syncnet.model.network import SyncNet
from syncnet.model.pairs import COLUMNS_PER_FRAME, HOP_S, read_snippet, standardised_crops
from syncnet.model.shards import FPS, Clip

REACH = 15  # candidates: -15 ... +15 frames
CONTEXTS = (5, 15, 50)


@dataclass(frozen=True)
class Accuracy:
    """Shares (0 to 1) of right answers: by context K, and of whole clips; `clips` says how many were asked."""

    windows: dict[int, float]
    whole: float
    clips: int

    def __str__(self) -> str:
        parts = [f"K{k} {100 * share:.1f} %" for k, share in self.windows.items()]
        return ", ".join([*parts, f"whole clips {100 * self.whole:.1f} % of {self.clips}"])


def distance_rows(video: NDArray[np.float32], audio: NDArray[np.float32], mask: NDArray[np.bool_],
                  lead_columns: int) -> NDArray[np.float32]:
    """Distances of every video window to the 31 audio windows around it.

    video (W, 256); audio (N, 256) every 10 ms, its row `lead_columns` in step with video row 0; mask (N,) of real
    windows. Returns (W, 31) with NaN where there is no sound.
    """
    at = lead_columns + COLUMNS_PER_FRAME * (np.arange(len(video))[:, None] + np.arange(-REACH, REACH + 1)[None])
    inside = (at >= 0) & (at < len(audio))
    at = np.where(inside, at, 0)
    rows = np.linalg.norm(video[:, None, :] - audio[at], axis=2)
    rows[~(inside & mask[at])] = np.nan
    return np.asarray(rows, np.float32)


def context_rows(rows: NDArray[np.float32], context: int) -> NDArray[np.float32]:
    """Mean of the `context` - 4 rows around each row (fewer at the ends).

    A candidate counts where at least half of the rows averaged have it, so that none wins by a lucky few.
    """
    span = context - 4
    known = ~np.isnan(rows)
    sums = np.cumsum(np.pad(np.where(known, rows, 0.0).astype(np.float64), ((1, 0), (0, 0))), axis=0)
    counts = np.cumsum(np.pad(known.astype(np.int64), ((1, 0), (0, 0))), axis=0)
    index = np.arange(len(rows))
    low = np.maximum(index - (span - 1) // 2, 0)
    high = np.minimum(index + span // 2 + 1, len(rows))
    number = counts[high] - counts[low]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (sums[high] - sums[low]) / number
    return np.where(number * 2 >= (high - low)[:, None], mean, np.nan).astype(np.float32)


def share_right(rows: NDArray[np.float32]) -> float:
    """Share of rows (W, 31) whose least distance is within one frame of 0; NaN when no row has its true candidate."""
    usable = rows[~np.isnan(rows[:, REACH])]
    if not len(usable):
        return float("nan")
    best = np.nanargmin(usable, axis=1)
    return float(np.mean(np.abs(best - REACH) <= 1))


@torch.no_grad()
def measure(model: SyncNet, clips: Sequence[Clip], *, device: torch.device, max_frames: int = 300,
            bf16: bool = True, wide: bool = False) -> Accuracy:
    """Accuracy of a model over clips (mean over clips of each clip's share), without augmentation.

    `bf16`: in bfloat16 where the device has it. `wide`: by the heads that see 19 frames, where a context K averages
    rows as before.
    """
    was_training = model.training
    model.eval()
    shares: dict[int, list[float]] = {k: [] for k in CONTEXTS}
    whole: list[float] = []
    margin = REACH / FPS
    for clip in clips:
        frames = min(clip.frames, max_frames)
        if frames < model.config.frames + 5:
            continue
        snippet = read_snippet(clip, 0, frames, model.config, margin_s=margin)
        crops = standardised_crops(torch.from_numpy(snippet.crops)[None].to(device))
        mfcc = torch.from_numpy(snippet.mfcc)[None].to(device)
        mask = torch.from_numpy(snippet.mask)[None].to(device)
        with autocast(device, bf16):
            video, audio = model(crops, mfcc, mask, wide=wide)
        rows = distance_rows(video[0].float().cpu().numpy(), audio[0].float().cpu().numpy(), snippet.mask,
                             round(margin / HOP_S))
        for k in CONTEXTS:
            shares[k].append(share_right(context_rows(rows, k)))
        middle = context_rows(rows, 2 * len(rows) + 5)[len(rows) // 2:len(rows) // 2 + 1]
        whole.append(share_right(middle))
    model.train(was_training)
    if not whole:
        return Accuracy(dict.fromkeys(CONTEXTS, float("nan")), float("nan"), 0)
    return Accuracy({k: float(np.nanmean(v)) for k, v in shares.items()}, float(np.nanmean(whole)), len(whole))
