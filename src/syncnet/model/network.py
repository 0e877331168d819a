"""The two streams of SyncNet: a per-frame picture trunk and a dense sound trunk that share work between windows.

An embedding sees its own 0.2 s only (5 frames, 20 MFCC columns): every convolution is *valid* in time and the
taps of a stream add up to exactly that view, so that a whole track is computed at once and equals the windows
computed one by one. Between trunk and head the features are standardised over the windows of the clip.

After Chung & Zisserman, "Out of time: automated lip sync in the wild" (2016). The picture trunk has the layer
shapes of LR-ASD's video encoder (Liao et al., IJCV 2025) so that it can start from those weights.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from syncnet.model.conv_norm import ConvNorm
from syncnet.model.heads import ContextHead, Head

FROZEN_PIECE = 16  # frames
STANDARD_EPS = 1e-2  # least deviation of a feature over a clip: a dead feature stays 0, with a finite gradient


@dataclass(frozen=True)
class SyncNetConfig:
    """Everything that fixes the shape of the network; saved in every checkpoint and ONNX file."""

    name: str = "syncnet"
    crop_size: int = 111
    frames: int = 5
    coefficients: int = 13
    columns: int = 20
    video_widths: tuple[tuple[int, int], ...] = ((16, 32), (32, 64), (64, 128))
    video_taps: tuple[tuple[int, int], ...] = ((1, 1), (1, 3), (1, 3))
    shape_width: int = 96
    shape_features: int = 384
    audio_widths: tuple[int, int, int, int] = (64, 128, 256, 256)
    audio_taps: tuple[int, int, int, int, int] = (5, 5, 5, 5, 4)
    audio_features: int = 512
    hidden: int = 512
    embedding: int = 256
    radius: float = 10.0
    context: int = 0  # width of the second pair of heads, which see 19 frames; 0: there is none

    def __post_init__(self) -> None:
        view = 1 + sum(t - 1 for pair in self.video_taps for t in pair)
        if view != self.frames:
            raise ValueError(f"video_taps see {view} frames, the config promises {self.frames}")
        view = 1 + sum(t - 1 for t in self.audio_taps)
        if view != self.columns:
            raise ValueError(f"audio_taps see {view} columns, the config promises {self.columns}")

    @property
    def video_features(self) -> int:
        return self.video_widths[-1][1] + self.shape_features

    @property
    def map_size(self) -> int:
        """Side of the last feature map of the picture trunk, in cells."""
        size = (self.crop_size - 1) // 2 + 1
        for _ in self.video_widths[1:]:
            size = (size - 1) // 2 + 1
        return size

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "SyncNetConfig":
        """Read a config back from JSON types (lists become tuples); unknown keys raise ValueError."""
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ValueError(f"unknown network settings: {', '.join(unknown)}")
        return cls(**{key: _tuples(value) for key, value in values.items()})


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list | tuple) else value


def standardise(x: Tensor, mask: Tensor | None = None) -> Tensor:
    """Zero mean and unit deviation over axis 1, (B, N, F) -> (B, N, F); `mask` (B, N) says which rows count."""
    x = x.float()
    if mask is None:
        centred = x - x.mean(1, keepdim=True)
        return centred * (centred.square().mean(1, keepdim=True) + STANDARD_EPS**2).rsqrt()
    weight = mask.to(x.dtype).unsqueeze(-1)
    count = weight.sum(1, keepdim=True).clamp(min=1.0)
    centred = (x - (x * weight).sum(1, keepdim=True) / count) * weight
    return centred * (centred.square().sum(1, keepdim=True) / count + STANDARD_EPS**2).rsqrt()


class VideoBlock(nn.Module):
    """5x5 and 3x3 over the picture, then two convolutions over time (valid); the weights of one LR-ASD block."""

    def __init__(self, inputs: int, widths: tuple[int, int], taps: tuple[int, int], *, stride: int) -> None:
        super().__init__()
        middle, outputs = widths
        self.s_1 = ConvNorm(inputs, middle, (5, 5), stride=stride, padding=(2, 2))
        self.s_2 = ConvNorm(middle, outputs, (3, 3), padding=(1, 1))
        self.t_1 = ConvNorm(outputs, outputs, (taps[0], 1))
        self.t_2 = ConvNorm(outputs, outputs, (taps[1], 1))
        self.taps = taps

    def forward(self, x: Tensor, clips: int) -> Tensor:
        """(clips * T, C, H, W) -> (clips * T', C', H', W'): T' = T less what the taps eat."""
        x = self.s_2(self.s_1(x))
        layer: ConvNorm
        for layer, taps in ((self.t_1, self.taps[0]), (self.t_2, self.taps[1])):
            x = over_time(layer, x, clips) if taps > 1 else layer(x)
        return x


def over_time(layer: ConvNorm, x: Tensor, clips: int) -> Tensor:
    """Run a (taps, 1) convolution along time on (clips * T, C, H, W), valid, without a copy.

    Read as one line of (clips, C, 1, T * H * W) cells, the same cell of the next frame is H * W further on: a dilated
    convolution over the line, which oneDNN learns twice as fast as one with a (taps, 1) kernel.
    """
    _, channels, height, width = x.shape
    line = x.permute(0, 2, 3, 1).reshape(clips, 1, -1, channels).permute(0, 3, 1, 2)
    out: Tensor = layer(line, height * width)
    y = out.permute(0, 2, 3, 1)
    return y.reshape(-1, height, width, y.shape[-1]).permute(0, 3, 1, 2)


class VideoTrunk(nn.Module):
    """(B, T, S, S) standardised crops -> (B, T - 4, F) features, one row per 5-frame window."""

    def __init__(self, config: SyncNetConfig) -> None:
        super().__init__()
        self.config = config
        inputs = 1
        blocks = []
        for i, (widths, taps) in enumerate(zip(config.video_widths, config.video_taps, strict=True)):
            blocks.append(VideoBlock(inputs, widths, taps, stride=2 if i == 0 else 1))
            inputs = widths[1]
        self.blocks = nn.ModuleList(blocks)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.shape_1 = ConvNorm(inputs, config.shape_width, (3, 3), stride=2, padding=(1, 1))
        self.shape_2 = ConvNorm(config.shape_width, config.shape_width, (3, 3), padding=(1, 1))
        cells = (config.map_size - 1) // 2 + 1
        self.flat = nn.Linear(config.shape_width * cells * cells, config.shape_features)
        self.frozen_blocks = 0

    def freeze(self, blocks: int) -> None:
        """Stop learning in the first `blocks` blocks; their norms use the running statistics."""
        self.frozen_blocks = blocks
        for i, block in enumerate(self.blocks):
            block.requires_grad_(i >= blocks)
            if i < blocks:
                for layer in block.modules():
                    if isinstance(layer, ConvNorm):
                        layer.frozen_norm = True

    def forward(self, crops: Tensor) -> Tensor:
        clips, frames, height, width = crops.shape
        x = crops.reshape(clips * frames, 1, height, width).contiguous(memory_format=torch.channels_last)
        learning = 0
        while learning < self.frozen_blocks and sum(self.config.video_taps[learning]) == 2:
            learning += 1
        if learning:  # frozen blocks that look at single frames run in small pieces, which stay in the cache
            with torch.no_grad():
                pieces: tuple[Tensor, ...] = torch.split(x, FROZEN_PIECE)
                x = torch.cat([self._through(piece, piece.shape[0], 0, learning) for piece in pieces])
        x = self._through(x, clips, learning, len(self.blocks))
        strongest = x.amax((2, 3))
        shape = self.flat(self.shape_2(self.shape_1(x)).flatten(1))
        return torch.cat([strongest, shape], 1).reshape(clips, frames - self.config.frames + 1, -1)

    def _through(self, x: Tensor, clips: int, first: int, last: int) -> Tensor:
        for i in range(first, last):
            x = self.blocks[i](x, clips)
            if i + 1 < len(self.blocks):
                x = self.pool(x)
        return x


class AudioTrunk(nn.Module):
    """(B, 13, N) standardised MFCC -> (B, N - 19, F) features, one row per 20-column window."""

    def __init__(self, config: SyncNetConfig) -> None:
        super().__init__()
        self.config = config
        a, b, c, d = config.audio_widths
        taps = config.audio_taps
        self.conv1 = ConvNorm(1, a, (3, taps[0]), padding=(1, 0))
        self.conv2 = ConvNorm(a, b, (3, taps[1]), padding=(1, 0))
        self.pool2 = nn.MaxPool2d((3, 1), stride=(2, 1))
        self.conv3 = ConvNorm(b, c, (3, taps[2]), padding=(1, 0))
        self.pool3 = nn.MaxPool2d((2, 1), stride=(2, 1))
        self.conv4 = ConvNorm(c, d, (3, taps[3]), padding=(1, 0))
        left = ((config.coefficients - 3) // 2 + 1) // 2
        self.conv5 = ConvNorm(d, config.audio_features, (left, taps[4]))

    def forward(self, mfcc: Tensor) -> Tensor:
        x = mfcc.unsqueeze(1).contiguous(memory_format=torch.channels_last)
        x = self.pool2(self.conv2(self.conv1(x)))
        x = self.pool3(self.conv3(x))
        x = self.conv4(x)
        features: Tensor = self.conv5(x)
        return features.squeeze(2).transpose(1, 2)


class SyncNet(nn.Module):
    """Both streams. `forward` embeds a batch of clips; the parts are also used (and exported) one by one.

    With `config.context` there is a second pair of heads on the same trunks, whose embeddings see 19 frames.
    """

    def __init__(self, config: SyncNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or SyncNetConfig()
        shape = (config.embedding, config.radius)
        self.video_trunk = VideoTrunk(config)
        self.video_head = Head(config.video_features, config.hidden, *shape)
        self.audio_trunk = AudioTrunk(config)
        self.audio_head = Head(config.audio_features, config.hidden, *shape)
        if config.context:
            self.video_context = ContextHead(config.video_features, config.context, *shape, step=1)
            self.audio_context = ContextHead(config.audio_features, config.context, *shape, step=4)

    def features(self, crops: Tensor, mfcc: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, T, S, S) crops and (B, 13, N) MFCC, both standardised per clip, `mask` (B, N - 19) of real windows of
        sound -> standardised trunk features (B, T - 4, F), (B, N - 19, F')."""
        return standardise(self.video_trunk(crops)), standardise(self.audio_trunk(mfcc), mask)

    def heads(self, wide: bool = False) -> tuple[nn.Module, nn.Module]:
        """The heads of picture and sound that see a window alone, or (`wide`) 19 frames; ValueError if it has none."""
        if not wide:
            return self.video_head, self.audio_head
        if not self.config.context:
            raise ValueError("this network has no heads with context")
        return self.video_context, self.audio_context

    def forward(self, crops: Tensor, mfcc: Tensor, mask: Tensor | None = None, *, wide: bool = False
                ) -> tuple[Tensor, Tensor]:
        """Embeddings (B, T - 4, 256) and (B, N - 19, 256) of what `features` takes."""
        video, audio = self.features(crops, mfcc, mask)
        video_head, audio_head = self.heads(wide)
        return video_head(video), audio_head(audio, mask)

    def freeze_norms(self, frozen: bool = True) -> None:
        """Use (and fold) the running statistics of the picture blocks' norms while training."""
        for module in self.video_trunk.blocks.modules():
            if isinstance(module, ConvNorm):
                module.frozen_norm = frozen
