"""Media that several tests share, made once a session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import face_speech
from clips import MAKERS, SPEECHLESS

NO_VOICE = "needs espeak-ng (apt-get install espeak-ng, or pip install espeakng-loader)"


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function from the name of a maker in `clips.MAKERS` to its file; skips where espeak-ng is missing."""
    folder = tmp_path_factory.mktemp("clips")
    made: dict[str, Path] = {}

    def get(name: str) -> Path:
        maker, suffix = MAKERS[name]
        if name not in SPEECHLESS and not face_speech.available():
            pytest.skip(NO_VOICE)
        if name not in made:
            made[name] = maker(folder / f"{name}{suffix}")
        return made[name]

    return get
