"""The peer: LR-ASD (Liao et al., IJCV 2025), an active-speaker network, run from its published weights.

It is here to be compared with, and no part of the product: it sees 19 frames of the whole face at once and was trained
on thousands of people to tell whether a face speaks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from corpus import SHARED
from numpy.typing import NDArray

SIDE = 112
"""Pixels on a side of the face that it takes."""

WEIGHTS = SHARED / "teachers" / "lr_asd_talkset.pt"

_STEADY = 6  # frames on either side of the running median of the box
_MEAN, _DEVIATION = 0.4161, 0.1688
_EPS = 1e-3
_PIECE = 64  # frames through the picture encoder at once
_SEES = 9  # frames that it sees on either side of one
_HIDDEN = 64


def face_square(luma: NDArray[np.uint8], boxes: NDArray[np.float32], at: int) -> NDArray[np.uint8]:
    """The lower middle of a face, `(112, 112)` uint8 of full range: 1.4 half sides of its box wide."""
    near = boxes[max(0, at - _STEADY) : at + _STEADY + 1]
    x = np.median(near[:, [0, 2]].mean(axis=1))
    y = np.median(near[:, [1, 3]].mean(axis=1))
    half = float(np.median(np.maximum(near[:, 2] - near[:, 0], near[:, 3] - near[:, 1]))) / 2
    step = 1.4 * half / SIDE
    left, top = x - 0.7 * half, y + (0.4 - 0.7) * half
    picture, shrink = luma, 1.0
    if step > 1.5:
        size = (max(1, round(luma.shape[1] / step)), max(1, round(luma.shape[0] / step)))
        picture = np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.uint8)
        shrink = luma.shape[1] / size[0]
    scale = step / shrink
    to_picture = np.array([[scale, 0, left / shrink], [0, scale, top / shrink]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    square = cv2.warpAffine(picture, to_picture, (SIDE, SIDE), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    full = (square.astype(np.float32) - 16.0) * (255.0 / 219.0)
    return np.asarray(np.clip(np.rint(full), 0, 255), np.uint8)


class Peer:
    """LR-ASD ready to run: pictures of a face and MFCC in, the score that it speaks at each frame out."""

    def __init__(self, weights: Path = WEIGHTS) -> None:
        import torch

        self._torch = torch
        self._state = torch.load(weights, map_location="cpu", weights_only=True)

    def video(self, faces: NDArray[np.uint8]) -> Any:
        """Features of the pictures: `(T, 112, 112)` uint8 -> `(T, 128)`."""
        torch, pool = self._torch, self._torch.nn.functional.max_pool2d
        parts = []
        with torch.inference_mode():
            for first in range(0, len(faces), _PIECE):
                last = min(len(faces), first + _PIECE)
                low, high = max(0, first - _SEES), min(len(faces), last + _SEES)
                x = torch.from_numpy(faces[low:high].astype(np.float32))[:, None]
                x = (x / 255.0 - _MEAN) / _DEVIATION
                for block in (1, 2, 3):
                    name = f"model.visualEncoder.block{block}."
                    x = self._spatial(x, name, 1, stride=2 if block == 1 else 1)
                    x = self._spatial(x, name, 2, stride=1)
                    x = self._along_time(self._along_time(x, name, 1), name, 2)
                    if block < 3:
                        x = pool(x, 3, 2, 1)
                parts.append(x.amax((2, 3))[first - low : last - low])
        return torch.cat(parts)

    def _spatial(self, x: Any, block: str, number: int, stride: int) -> Any:
        weight = self._state[f"{block}s_{number}.weight"][:, :, 0]
        x = self._torch.nn.functional.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)
        return self._normed(x, f"{block}s_norm_{number}").relu_()

    def _along_time(self, x: Any, block: str, number: int) -> Any:
        weight = self._state[f"{block}t_{number}.weight"][..., 0]  # (O, I, taps, 1)
        frames, channels, height, width = x.shape
        line = x.permute(1, 0, 2, 3).reshape(1, channels, frames, height * width)
        line = self._torch.nn.functional.conv2d(line, weight, padding=(weight.shape[2] // 2, 0))
        line = self._normed(line, f"{block}t_norm_{number}").relu_()
        return line.reshape(-1, frames, height, width).permute(1, 0, 2, 3)

    def audio(self, mfcc: NDArray[np.float32]) -> Any:
        """Features of the sound: `(13, 4 T)` float32 at 100 Hz -> `(T, 128)`."""
        functional = self._torch.nn.functional
        with self._torch.inference_mode():
            x = self._torch.from_numpy(np.ascontiguousarray(mfcc, np.float32))[None, None]
            for block in (1, 2, 3):
                for part in ("m_1", "m_2", "t_1", "t_2"):
                    name = f"model.audioEncoder.block{block}."
                    weight = self._state[f"{name}{part}.weight"]
                    padding = (weight.shape[2] // 2, weight.shape[3] // 2)
                    x = functional.conv2d(x, weight, padding=padding)
                    x = self._normed(x, f"{name}{part[0]}_norm_{part[2]}").relu_()
                if block < 3:
                    x = functional.max_pool2d(x, (1, 3), (1, 2), (0, 1))
            return x.mean(2)[0].T

    def scores(self, video: Any, audio: Any) -> NDArray[np.float64]:
        """Score of speaking at each frame from both features, `(T,)`: above 0 it speaks."""
        count = min(len(video), len(audio))
        with self._torch.inference_mode():
            x = self._gated(self._torch.cat([audio[:count], video[:count]], 1), "model.fusion.")
            there = self._gru(x, "forward")
            back = self._gru(x.flip(0), "backward").flip(0)
            x = self._gated(self._torch.cat([there, back], 1), "model.detector.attention.")
            logits = x @ self._state["lossAV.FC.weight"].T + self._state["lossAV.FC.bias"]
        return np.asarray(logits[:, 1], np.float64)

    def _gated(self, x: Any, name: str) -> Any:
        gate = x @ self._state[f"{name}attention.weight"][..., 0].T
        return x * self._normed(gate, f"{name}bn").sigmoid()

    def _gru(self, x: Any, way: str) -> Any:
        gru = self._torch.nn.GRU(x.shape[1], _HIDDEN)
        prefix = f"model.detector.gru_{way}."
        gru.load_state_dict({k.removeprefix(prefix): v for k, v in self._state.items() if k.startswith(prefix)})
        return gru(x)[0]

    def _normed(self, x: Any, name: str) -> Any:
        mean, var = self._state[f"{name}.running_mean"], self._state[f"{name}.running_var"]
        weight, bias = self._state[f"{name}.weight"], self._state[f"{name}.bias"]
        return self._torch.nn.functional.batch_norm(x, mean, var, weight, bias, eps=_EPS)
