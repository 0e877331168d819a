"""Measure how far sound and lips are apart in talking video, repair it, and find who speaks."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from syncnet.errors import InputError, NoAnswer, SyncNetError

if TYPE_CHECKING:
    from syncnet.analysis import analyse as detect
    from syncnet.embeddings import Embeddings, embed
    from syncnet.mend import fix
    from syncnet.repair import FixResult, NotBetter
    from syncnet.results import SyncResult, TrackResult
    from syncnet.speaker_analysis import speakers
    from syncnet.speaker_results import SpeakersResult

# The official builds of onnxruntime report to their maker unless told not to before they are loaded (its Privacy.md).
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
__all__ = [
    "Embeddings",
    "FixResult",
    "InputError",
    "NoAnswer",
    "NotBetter",
    "SpeakersResult",
    "SyncNetError",
    "SyncResult",
    "TrackResult",
    "detect",
    "embed",
    "fix",
    "speakers",
]

_HOME = {
    "detect": ("syncnet.analysis", "analyse"),
    "SyncResult": ("syncnet.results", "SyncResult"),
    "TrackResult": ("syncnet.results", "TrackResult"),
    "embed": ("syncnet.embeddings", "embed"),
    "Embeddings": ("syncnet.embeddings", "Embeddings"),
    "fix": ("syncnet.mend", "fix"),
    "FixResult": ("syncnet.repair", "FixResult"),
    "NotBetter": ("syncnet.repair", "NotBetter"),
    "speakers": ("syncnet.speaker_analysis", "speakers"),
    "SpeakersResult": ("syncnet.speaker_results", "SpeakersResult"),
}


def __getattr__(name: str) -> Any:
    """Load what a public name stands for when it is first used, so that `import syncnet` stays light."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOME[name]
    return getattr(import_module(module), attribute)
