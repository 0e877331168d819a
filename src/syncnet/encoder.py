"""Windows -> embeddings: the two streams run by onnxruntime, and the registry of models that ship with the package."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from syncnet.errors import InputError
from syncnet.media import FPS
from syncnet.model_names import DEFAULT_MODEL as DEFAULT_MODEL
from syncnet.model_names import EMBEDDING_MODEL as EMBEDDING_MODEL

WINDOW_FRAMES = 5
"""Frames in a video window: 0.2 s at 25 fps."""

WIDE_FRAMES = 19
"""Frames that a window of a wide model depends on, together with its neighbours."""

WINDOW_COLUMNS = 20
"""MFCC columns in an audio window: 0.2 s at 100 Hz."""

WINDOW_S = WINDOW_FRAMES / FPS
"""Length of a window in seconds; windows are named by the time of their middle, `WINDOW_S / 2` after their start."""

EMBEDDING = 256
PARTS = ("video_trunk", "video_head", "audio_trunk", "audio_head")

_WEIGHTS = Path(__file__).parent / "weights"
_EPS = 1e-2  # least standard deviation of a feature, so that one that never moves stays 0
_VIDEO_CHUNK = 30  # frames through the trunk at once: twice as many take 100 MB more and save a tenth of its time
_AUDIO_CHUNK = 1000  # MFCC columns through the trunk at once


@dataclass(frozen=True)
class ModelInfo:
    """Name, folder and description (config, figures, licence, hashes) of a model in the registry."""

    name: str
    folder: Path
    description: dict[str, Any]

    @property
    def files(self) -> dict[str, Path]:
        """The ONNX file of each part; a model may stand on the trunks of another one beside it."""
        trunks = self.folder.parent / str(self.description["trunks"]) if "trunks" in self.description else self.folder
        return {part: (trunks if part.endswith("trunk") else self.folder) / f"{part}.onnx" for part in PARTS}

    @property
    def zero_ms(self) -> float:
        """What the bare network says of recordings as published, in the median (ms): taken off every answer."""
        return float(self.description.get("zero_ms", 0.0))

    @property
    def identity(self) -> dict[str, str]:
        """Name, version and hash as every result states them."""
        return {k: str(self.description[k]) for k in ("name", "version", "hash") if k in self.description}


def models() -> dict[str, ModelInfo]:
    """The models inside the package by name."""
    found = sorted(_WEIGHTS.glob("*/syncnet-model.json"))
    return {p.parent.name: ModelInfo(p.parent.name, p.parent, json.loads(p.read_text())) for p in found}


def find_model(name: str | Path = DEFAULT_MODEL) -> ModelInfo:
    """Look a model up by its registry name or by the folder that `syncnet export` wrote; raises `InputError`."""
    known = models()
    if str(name) in known:
        return known[str(name)]
    folder = Path(name)
    described = folder / "syncnet-model.json"
    if described.is_file():
        return ModelInfo(folder.name, folder, json.loads(described.read_text()))
    raise InputError(f"no model {str(name)!r}: known are {', '.join(known) or 'none'}, or give an exported folder.")


class Encoder:
    """The two streams of one model, ready to run.

    Embeddings lie on a sphere of radius 10, so Euclidean distances go from 0 (same) over about 14 (unrelated) to 20.
    Pictures, MFCC and trunk features are standardised by the statistics of the stretch they come from: hand in a whole
    track or a long piece of one (1 s at the very least), not single windows.
    """

    def __init__(self, model: ModelInfo | str | Path = DEFAULT_MODEL, *, threads: int = 2) -> None:
        import onnxruntime as ort

        self.model = model if isinstance(model, ModelInfo) else find_model(model)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.enable_cpu_mem_arena = False  # it never gives back what the largest piece took
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # the faces are followed meanwhile

        files = self.model.files
        absent = sorted(str(path) for path in files.values() if not path.is_file())
        if absent:
            raise InputError(f"the model {self.model.name} is not whole: {', '.join(absent)} missing.")

        def session(part: str) -> Any:
            return ort.InferenceSession(files[part], options, providers=["CPUExecutionProvider"])

        self._video_trunk, self._video_head = session("video_trunk"), session("video_head")
        self._audio_trunk, self._audio_head = session("audio_trunk"), session("audio_head")

    @property
    def frames_seen(self) -> int:
        """Frames of picture that one embedding depends on: 5, or 19 of a wide model."""
        return WIDE_FRAMES if self.model.description.get("wide") else WINDOW_FRAMES

    @property
    def zero_s(self) -> float:
        """What is taken off every answer, in seconds: where recordings in sync stand for the bare network."""
        return self.model.zero_ms / 1000.0

    def embed_video(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embed every window of five mouth crops: `(T, 111, 111)` uint8 -> `(T - 4, 256)` float32.

        Window i covers frames i ... i + 4. Fewer than five frames give `(0, 256)`.
        """
        if len(crops) < WINDOW_FRAMES:
            return np.zeros((0, EMBEDDING), np.float32)
        return self.embed_video_features(self.video_features(crops))

    def video_features(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What the picture trunk makes of every window, before the head: `(T, 111, 111)` uint8 -> `(T - 4, F)` float32.

        T must be at least 5.
        """
        mean, std = _picture_statistics(crops)
        features = [
            _run(self._video_trunk, ((crops[a:b].astype(np.float32) - mean) / std)[None])[0]
            for a, b in _chunks(len(crops), _VIDEO_CHUNK, WINDOW_FRAMES - 1)
        ]
        return np.concatenate(features)

    def embed_video_features(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """The embeddings of a stretch from its trunk features: `(W, F)` float32 -> `(W, 256)` float32."""
        return _run(self._video_head, standardise(features))

    def embed_audio(self, mfcc: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embed every window of twenty MFCC columns: `(13, N)` float32 -> `(N - 19, 256)` float32.

        Window j covers columns j ... j + 19. Fewer than twenty columns give `(0, 256)`.
        """
        if mfcc.shape[1] < WINDOW_COLUMNS:
            return np.zeros((0, EMBEDDING), np.float32)
        columns = np.ascontiguousarray(standardise(mfcc.T).T)
        features = [
            _run(self._audio_trunk, columns[None, :, a:b])[0]
            for a, b in _chunks(columns.shape[1], _AUDIO_CHUNK, WINDOW_COLUMNS - 1)
        ]
        return _run(self._audio_head, standardise(np.concatenate(features)))


@lru_cache(maxsize=2)
def default_encoder(name: str = DEFAULT_MODEL, threads: int = 2) -> Encoder:
    """The encoder of a registry model, loaded once per process."""
    return Encoder(name, threads=threads)


def standardise(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give every column of `(T, F)` zero mean and unit variance over the T rows: what a clip is made of, not who."""
    mean = features.mean(axis=0, dtype=np.float64)
    std = np.sqrt(features.var(axis=0, dtype=np.float64) + _EPS**2)
    out = features - mean.astype(np.float32)
    out /= std.astype(np.float32)
    return np.asarray(out, np.float32)


def _picture_statistics(crops: NDArray[np.uint8]) -> tuple[np.float32, np.float32]:
    """Mean and standard deviation over all pixels of a stretch, from its histogram (exact, no float copy)."""
    counts = np.zeros(256)
    for first in range(0, len(crops), _VIDEO_CHUNK):  # in parts, for counting takes eight bytes a pixel
        counts += np.bincount(crops[first : first + _VIDEO_CHUNK].reshape(-1), minlength=256)
    levels = np.arange(256.0)
    mean = (counts * levels).sum() / counts.sum()
    variance = (counts * (levels - mean) ** 2).sum() / counts.sum()
    return np.float32(mean), np.float32(np.sqrt(variance) + 1.0)


def _chunks(length: int, size: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Ranges of `size + overlap` that step by `size`, so that windows of `overlap + 1` are each met exactly once."""
    for first in range(0, max(length - overlap, 1), size):
        yield first, min(length, first + size + overlap)


def _run(session: Any, array: NDArray[np.float32]) -> NDArray[np.float32]:
    name = session.get_inputs()[0].name
    return np.asarray(session.run(None, {name: np.ascontiguousarray(array, np.float32)})[0], np.float32)
