"""Colour faces and sound to the embeddings of the released v2 network, run by onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from syncnet.score import COLUMNS_PER_FRAME, WINDOW_COLUMNS, WINDOW_FRAMES

FACE = 224  # pixels on a side
EMBEDDING = 1024
BATCH = 8  # windows of pictures through the network at once: 24 MB of input


class V2Encoder:
    """The two streams of v2 from the folder where `syncnet weights` has put them."""

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1

        def session(part: str) -> Any:
            return ort.InferenceSession(folder / f"{part}.onnx", options, providers=["CPUExecutionProvider"])

        self._video, self._audio = session("video"), session("audio")

    def video_windows(self) -> VideoWindows:
        """A place to put the faces of one track as they come."""
        return VideoWindows(self._embed)

    def embed_video(self, faces: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Embed every window of five faces: T of (224, 224, 3) uint8 BGR, one per 40 ms, to (T - 4, 1024) float32.

        Fewer than five give (0, 1024).
        """
        windows = self.video_windows()
        for face in faces:
            windows.push(face)
        return windows.finish()

    def embed_audio(self, columns: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embed a window of twenty columns of coefficients every four, 40 ms: (13, N) float32 to (W, 1024) float32.

        W = 1 + (N - 20) // 4, 0 where N is less than 20.
        """
        if columns.shape[1] < WINDOW_COLUMNS:
            return np.empty((0, EMBEDDING), np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(columns, WINDOW_COLUMNS, axis=1)[:, ::COLUMNS_PER_FRAME]
        batch = np.ascontiguousarray(windows.transpose(1, 0, 2)[:, None])
        parts = [self._audio.run(None, {"columns": batch[k : k + 256]})[0] for k in range(0, len(batch), 256)]
        return np.concatenate(parts)

    def _embed(self, planes: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Windows of the given frames (3, 224, 224): channel 5 c + t is colour c of frame t."""
        stacked = np.stack(planes, axis=1)
        count = len(planes) - WINDOW_FRAMES + 1
        windows = np.stack([stacked[:, k : k + WINDOW_FRAMES] for k in range(count)])
        embedded: NDArray[np.float32] = self._video.run(None, {"faces": windows.reshape(count, -1, FACE, FACE)})[0]
        return embedded


class VideoWindows:
    """Takes the faces of one track one by one and embeds their windows in batches: bounded memory, whatever the length.

    Only the embeddings are kept, 4 kB per frame.
    """

    def __init__(self, embed: Callable[[list[NDArray[np.float32]]], NDArray[np.float32]]) -> None:
        self._embed = embed
        self._recent: list[NDArray[np.float32]] = []
        self._done = [np.empty((0, EMBEDDING), np.float32)]

    def push(self, face: NDArray[np.uint8]) -> None:
        """Add the next face, (224, 224, 3) uint8 BGR."""
        self._recent.append(_planes(face))
        if len(self._recent) == BATCH + WINDOW_FRAMES - 1:
            self._done.append(self._embed(self._recent))
            del self._recent[:BATCH]

    def finish(self) -> NDArray[np.float32]:
        """All embeddings of the track, (T - 4, 1024) float32, T the faces pushed; call it once, at the end."""
        if len(self._recent) >= WINDOW_FRAMES:
            self._done.append(self._embed(self._recent))
            self._recent = []
        return np.concatenate(self._done)


def _planes(face: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A picture (224, 224, 3) uint8 as three planes of floats, 0 to 255."""
    if face.shape != (FACE, FACE, 3):
        raise ValueError(f"v2 takes faces of ({FACE}, {FACE}, 3), not {face.shape}")
    return np.ascontiguousarray(face.transpose(2, 0, 1), dtype=np.float32)
