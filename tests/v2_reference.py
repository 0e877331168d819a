"""An independent transcription of the released scoring code, from its published description, for the tests.

It calls the programs that the release calls (ffmpeg, OpenCV, python_speech_features, torch) and shares no code with the
package.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

State = dict[str, torch.Tensor]

# The published table, one row per layer: kind, index in the Sequential, kernel, stride, padding.
AUDIO: list[tuple[str, int, tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = [
    ("conv", 0, (64, 1, 3, 3), (1, 1), (1, 1)),
    ("pool", 3, (1, 1), (1, 1), (0, 0)),
    ("conv", 4, (192, 64, 3, 3), (1, 1), (1, 1)),
    ("pool", 7, (3, 3), (1, 2), (0, 0)),
    ("conv", 8, (384, 192, 3, 3), (1, 1), (1, 1)),
    ("conv", 11, (256, 384, 3, 3), (1, 1), (1, 1)),
    ("conv", 14, (256, 256, 3, 3), (1, 1), (1, 1)),
    ("pool", 17, (3, 3), (2, 2), (0, 0)),
    ("conv", 18, (512, 256, 5, 4), (1, 1), (0, 0)),
]
LIP: list[tuple[str, int, tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = [
    ("conv", 0, (96, 3, 5, 7, 7), (1, 2, 2), (0, 0, 0)),
    ("pool", 3, (1, 3, 3), (1, 2, 2), (0, 0, 0)),
    ("conv", 4, (256, 96, 1, 5, 5), (1, 2, 2), (0, 1, 1)),
    ("pool", 7, (1, 3, 3), (1, 2, 2), (0, 1, 1)),
    ("conv", 8, (256, 256, 1, 3, 3), (1, 1, 1), (0, 1, 1)),
    ("conv", 11, (256, 256, 1, 3, 3), (1, 1, 1), (0, 1, 1)),
    ("conv", 14, (256, 256, 1, 3, 3), (1, 1, 1), (0, 1, 1)),
    ("pool", 17, (1, 3, 3), (1, 2, 2), (0, 0, 0)),
    ("conv", 18, (512, 256, 1, 6, 6), (1, 1, 1), (0, 0, 0)),
]


def random_state(seed: int = 0) -> State:
    """A v2 state dict of random numbers, written from the table alone, scaled so that signals stay of the order 1."""
    random = np.random.default_rng(seed)
    state: State = {}

    def normal(*shape: int, mean: float = 0.0, std: float = 1.0) -> torch.Tensor:
        return torch.from_numpy(random.normal(mean, std, shape).astype(np.float32))

    def norm(name: str, width: int) -> None:
        state[f"{name}.weight"] = normal(width, mean=1.0, std=0.1)
        state[f"{name}.bias"] = normal(width, std=0.1)
        state[f"{name}.running_mean"] = normal(width, std=0.3)
        state[f"{name}.running_var"] = torch.from_numpy(random.uniform(0.5, 2.0, width).astype(np.float32))
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    for stream, table, level in (("netcnnaud", AUDIO, 10.0), ("netcnnlip", LIP, 128.0)):
        for kind, index, shape, *_ in table:
            if kind == "conv":
                std = float(np.sqrt(2.0 / np.prod(shape[1:]))) / (level if index == 0 else 1.0)
                state[f"{stream}.{index}.weight"] = normal(*shape, std=std)
                state[f"{stream}.{index}.bias"] = normal(shape[0], std=0.1)
                norm(f"{stream}.{index + 1}", shape[0])
    for head in ("netfcaud", "netfclip"):
        for index, width in ((0, 512), (3, 1024)):
            state[f"{head}.{index}.weight"] = normal(width, 512, std=float(np.sqrt(2.0 / 512)))
            state[f"{head}.{index}.bias"] = normal(width, std=0.1)
        norm(f"{head}.1", 512)
    return state


def embed(state: State, stream: str, x: torch.Tensor) -> torch.Tensor:
    """One stream, "audio" or "video", layer by layer with torch's functions (three-dimensional, nothing folded)."""

    def norm(name: str, x: torch.Tensor) -> torch.Tensor:
        mean, var, weight, bias = (state[f"{name}.{p}"] for p in ("running_mean", "running_var", "weight", "bias"))
        return F.relu(F.batch_norm(x, mean, var, weight, bias))

    sound = stream == "audio"
    conv: Any = F.conv2d if sound else F.conv3d
    pool: Any = F.max_pool2d if sound else F.max_pool3d
    trunk, head = ("netcnnaud", "netfcaud") if sound else ("netcnnlip", "netfclip")
    for kind, index, shape, stride, padding in AUDIO if sound else LIP:
        if kind == "pool":
            x = pool(x, shape, stride, padding)
        else:
            x = conv(x, state[f"{trunk}.{index}.weight"], state[f"{trunk}.{index}.bias"], stride, padding)
            x = norm(f"{trunk}.{index + 1}", x)
    x = x.reshape(len(x), 512)
    x = norm(f"{head}.1", F.linear(x, state[f"{head}.0.weight"], state[f"{head}.0.bias"]))
    return F.linear(x, state[f"{head}.3.weight"], state[f"{head}.3.bias"])


@dataclass(frozen=True)
class Evaluation:
    """What the release prints, and the mean distances behind it."""

    offset: int
    min_distance: float
    confidence: float
    curve: NDArray[np.float32]


def evaluate(state: State, video: Path, sound: Path, work: Path, shift: int = 15) -> Evaluation:
    """The nine steps of the release on a film (its pictures) and a file with its sound; dumps go to `work`."""
    import python_speech_features
    from scipy.io import wavfile

    ffmpeg("-i", video, "-threads", "1", "-f", "image2", work / "%06d.jpg")
    ffmpeg("-i", sound, "-async", "1", "-ac", "1", "-vn", "-acodec", "pcm_s16le", "-ar", "16000", work / "audio.wav")
    pictures = [cv2.imread(str(file)) for file in sorted(work.glob("*.jpg"))]
    stack = np.stack([cv2.resize(p, (224, 224)) for p in pictures if p is not None])
    faces = torch.from_numpy(stack.astype(np.float32)).permute(3, 0, 1, 2)
    rate, samples = wavfile.read(work / "audio.wav")
    columns = torch.from_numpy(python_speech_features.mfcc(samples, rate).T.astype(np.float32))
    last = min(len(stack), len(samples) // 640) - 5
    with torch.inference_mode():
        lips = torch.cat([embed(state, "video", faces[None, :, k : k + 5]) for k in range(last)])
        heard = embed(state, "audio", torch.stack([columns[None, :, 4 * k : 4 * k + 20] for k in range(last)]))
        padded = F.pad(heard, (0, 0, shift, shift))
        rows = [
            F.pairwise_distance(lips[[k]].repeat(2 * shift + 1, 1), padded[k : k + 2 * shift + 1])
            for k in range(last)
        ]
        mean = torch.stack(rows, 1).mean(1)
        least, index = torch.min(mean, 0)
        return Evaluation(shift - int(index), float(least), float(torch.median(mean) - least), mean.numpy())


def ffmpeg(*arguments: object) -> None:
    """Run the ffmpeg program; raises where it fails."""
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True)
