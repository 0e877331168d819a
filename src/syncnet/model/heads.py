"""From trunk features, standardised over the clip, to embeddings: of a window alone, or among its neighbours."""

import torch.nn.functional as F
from torch import Tensor, nn

CONTEXT_LAYERS = ((5, 1), (5, 2), (3, 1))  # taps and spacing in windows of picture: 7 windows before and 7 after


class Head(nn.Module):
    """(..., N, F) features -> (..., N, D) on a sphere of the given radius; every window by itself."""

    def __init__(self, features: int, hidden: int, embedding: int, radius: float) -> None:
        super().__init__()
        self.hidden = nn.Linear(features, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.out = nn.Linear(hidden, embedding)
        self.radius = radius

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """`mask` (..., N): rows that count."""
        return on_sphere(self.out(F.relu(self.norm(self.hidden(x)))), mask, self.radius)


class ContextHead(nn.Module):
    """As `Head`, but a window also sees its neighbours up to 7 windows of picture (0.28 s) away: 19 frames in all.

    `step`: rows of features in the time of one frame (1 for pictures, 4 for sound).
    """

    def __init__(self, features: int, hidden: int, embedding: int, radius: float, *, step: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(features, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.layers = nn.ModuleList(
            nn.Conv1d(hidden, hidden, taps, dilation=apart * step, padding=taps // 2 * apart * step)
            for taps, apart in CONTEXT_LAYERS)
        self.out = nn.Linear(hidden, embedding)
        self.radius = radius

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """`mask` (..., N): rows that count."""
        x = F.relu(self.norm(self.hidden(x)))
        rows = (x.unsqueeze(0) if x.ndim == 2 else x).transpose(1, 2)
        for layer in self.layers:
            rows = rows + F.relu(layer(rows))
        return on_sphere(self.out(rows.transpose(1, 2).reshape(x.shape)), mask, self.radius)


def on_sphere(x: Tensor, mask: Tensor | None, radius: float) -> Tensor:
    """(..., N, D) less its mean over the N rows (those of `mask`), then scaled to length `radius`."""
    x = x.float()
    if mask is None:
        x = x - x.mean(-2, keepdim=True)
    else:
        weight = mask.to(x.dtype).unsqueeze(-1)
        x = x - (x * weight).sum(-2, keepdim=True) / weight.sum(-2, keepdim=True).clamp(min=1.0)
    return radius * F.normalize(x, dim=-1)
