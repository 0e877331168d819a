"""What training asks of the embeddings: nearest in time must be nearest in space. Three ways, chosen by config.

- `contrastive`: 1/2N sum y d^2 + (1 - y) max(margin - d, 0)^2 (Chung & Zisserman 2016), negatives of the same clip.
- `softmax`: every window picks its partner among all windows of the other stream in the clip, both directions
  (after Chung et al., "Perfect Match", 2019), with a target that may be spread over a few ms.
- `binary`: balanced cross-entropy of in-sync against off-sync pairs, a calibrated probability.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FRAME_S = 0.04


@dataclass(frozen=True)
class LossConfig:
    kind: Literal["softmax", "contrastive", "binary"] = "softmax"
    tau: float = 7.0  # first temperature of d^2 / (2 tau); learned from there
    sigma_ms: float = 20.0  # spread of the softmax target in time; 0: the nearest window only
    margin: float = 10.0  # of the contrastive loss, in units of distance (0 ... 2 * radius)
    far_ms: float = 80.0  # a pair further apart than this is off-sync (contrastive, binary)
    reach_s: float = 2.0  # negatives come from at most this far away
    guided: float = 0.0  # share of the softmax target that the heads with context give to those without
    other_clips: float = 0.0  # weight of windows of other clips among the softmax candidates


def squared_distances(video: Tensor, audio: Tensor) -> Tensor:
    """(B, W, D) and (B, N, D) -> (B, W, N) squared Euclidean distances."""
    product = torch.einsum("bwd,bnd->bwn", video, audio)
    squares = video.square().sum(-1).unsqueeze(2) + audio.square().sum(-1).unsqueeze(1)
    return (squares - 2 * product).clamp(min=0.0)


class SyncLoss(nn.Module):
    """Loss of a batch of clips. Its two parameters (temperature, threshold) are learned with the network."""

    def __init__(self, config: LossConfig) -> None:
        super().__init__()
        self.config = config
        self.log_tau = nn.Parameter(torch.tensor(math.log(config.tau)), requires_grad=config.kind != "contrastive")
        self.threshold = nn.Parameter(torch.tensor(10.0), requires_grad=config.kind == "binary")

    @property
    def temperature(self) -> float:
        return float(self.log_tau.detach().exp())

    def forward(self, video: Tensor, audio: Tensor, mask: Tensor, audio_times: Tensor,
                guide: Tensor | None = None) -> Tensor:
        """video (B, W, 256), audio (B, N, 256), mask (B, N) of real audio windows, audio_times (B, N) in seconds
        from the first video window; `guide` (B, W, N): logits of a better judge, whose softmax is mixed into the target
        (Hinton et al., "Distilling the knowledge in a neural network", 2015). Returns the mean loss (scalar)."""
        with torch.autocast(video.device.type, enabled=False):
            video, audio = video.float(), audio.float()
            video_times = torch.arange(video.shape[1], device=video.device) * FRAME_S
            lag = audio_times.unsqueeze(1) - video_times[None, :, None]  # (B, W, N) seconds, 0 = in sync
            d2 = squared_distances(video, audio)
            if self.config.kind == "softmax":
                return self._softmax(video, audio, d2, lag, mask, guide)
            near = _nearest(lag, mask)
            far = (lag.abs() * 1000 > self.config.far_ms) & (lag.abs() <= self.config.reach_s) & mask.unsqueeze(1)
            if self.config.kind == "contrastive":
                return contrastive(d2, near, far, self.config.margin)
            logits = (self.threshold - (d2 + 1e-6).sqrt()) / self.log_tau.exp()
            return balanced_binary(logits, near, far)

    @torch.no_grad()
    def logits(self, video: Tensor, audio: Tensor) -> Tensor:
        """(B, W, N) logits of each pair being in sync, without gradient: what another loss takes as its guide."""
        return squared_distances(video.float(), audio.float()) * (-0.5 / self.log_tau.exp())

    def _softmax(self, video: Tensor, audio: Tensor, d2: Tensor, lag: Tensor, mask: Tensor,
                 guide: Tensor | None) -> Tensor:
        scale = -0.5 / self.log_tau.exp()
        sigma, share = self.config.sigma_ms / 1000, self.config.guided
        extra_video, extra_audio = self._other_clips(video, audio, mask, scale)
        real = mask.unsqueeze(1).expand_as(d2)
        guides: tuple[Tensor | None, Tensor | None] = (None, None)
        if guide is not None and share > 0:
            guides = guide.masked_fill(~real, -1e4).softmax(2), guide.transpose(1, 2).softmax(2)
        to_audio = soft_cross_entropy((d2 * scale).masked_fill(~real, -1e4), lag, real, sigma, reach_s=0.015,
                                      extra=extra_video, guide=guides[0], guided=share)
        to_video = soft_cross_entropy((d2 * scale).transpose(1, 2), lag.transpose(1, 2), real.transpose(1, 2), sigma,
                                      reach_s=0.025, extra=extra_audio, guide=guides[1], guided=share)
        return 0.5 * (to_audio + to_video)

    def _other_clips(self, video: Tensor, audio: Tensor, mask: Tensor, scale: Tensor) -> tuple[Tensor | None, ...]:
        """Log-sum-exp over the windows of all other clips, for each video and each audio window; None if not asked."""
        if self.config.other_clips <= 0 or video.shape[0] < 2:
            return None, None
        clips, windows, size = video.shape
        d2 = squared_distances(video.reshape(1, -1, size), audio.reshape(1, -1, size))
        logits = (d2 * scale).reshape(clips, windows, clips, -1) + math.log(self.config.other_clips)
        same = torch.eye(clips, dtype=torch.bool, device=video.device)[:, None, :, None]
        logits = logits.masked_fill(same | ~mask[None, None], -1e4)
        return logits.logsumexp((2, 3)), logits.logsumexp((0, 1))


def _nearest(lag: Tensor, mask: Tensor) -> Tensor:
    """(B, W, N) bool: the audio window nearest to each video window, where there is one within 15 ms."""
    away = lag.abs().masked_fill(~mask.unsqueeze(1), 1e3)
    best = away.argmin(2, keepdim=True)
    return torch.zeros_like(away, dtype=torch.bool).scatter_(2, best, away.gather(2, best) <= 0.015)


def soft_cross_entropy(logits: Tensor, lag: Tensor, allowed: Tensor, sigma_s: float, *, reach_s: float,
                       extra: Tensor | None = None, guide: Tensor | None = None, guided: float = 0.0) -> Tensor:
    """Cross-entropy of each row's softmax with a Gaussian over `lag` (seconds) of deviation `sigma_s` (0: nearest).

    logits, lag, allowed: (B, R, C). Rows whose nearest allowed candidate is further than `reach_s` do not count.
    `extra` (B, R): log-sum-exp of further candidates that are all wrong. `guide` (B, R, C): probabilities that take the
    share `guided` of the target.
    """
    away = lag.abs().masked_fill(~allowed, 1e3)
    counts = (away.amin(2) <= reach_s).float()
    if sigma_s > 0:
        target = torch.exp(-0.5 * (away / sigma_s).square())
        target = target / target.sum(2, keepdim=True).clamp(min=1e-12)
    else:
        target = F.one_hot(away.argmin(2), logits.shape[2]).float()
    if guide is not None:
        target = (1.0 - guided) * target + guided * guide
    log_sum = logits.masked_fill(~allowed, -1e4).logsumexp(2)
    if extra is not None:
        log_sum = torch.logaddexp(log_sum, extra)
    loss = log_sum - (target * logits).sum(2)
    return (loss * counts).sum() / counts.sum().clamp(min=1.0)


def contrastive(d2: Tensor, near: Tensor, far: Tensor, margin: float) -> Tensor:
    """The paper's loss, halves of positives and negatives weighted alike (there are many more negatives)."""
    positive = (d2 * near).sum() / near.sum().clamp(min=1)
    short = (margin - (d2 + 1e-6).sqrt()).clamp(min=0.0).square()
    negative = (short * far).sum() / far.sum().clamp(min=1)
    return 0.25 * (positive + negative)


def balanced_binary(logits: Tensor, near: Tensor, far: Tensor) -> Tensor:
    """Binary cross-entropy, in-sync and off-sync pairs with half the weight each."""
    positive = (F.softplus(-logits) * near).sum() / near.sum().clamp(min=1)
    negative = (F.softplus(logits) * far).sum() / far.sum().clamp(min=1)
    return 0.5 * (positive + negative)
