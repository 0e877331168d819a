"""Recorded sentences and what the picture trunk makes of them, computed once per trunk and kept on disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from syncnet.encoder import Encoder
from syncnet.errors import InputError
from syncnet.model.augment import centre_crops
from syncnet.model.shards import Clip, read_crops, read_manifests
from syncnet.sentences import code_in, word_numbers
from syncnet.tracks import CROP

LEAST_FRAMES = 50
"""Shorter pieces (2 s) do not hold a whole sentence."""


@dataclass(frozen=True)
class Sentence:
    """One recorded sentence: its code of six letters, who says it, and the mouth crops it is seen in."""

    code: str
    speaker: str
    clip: Clip

    @property
    def name(self) -> str:
        """The recording's file name without folder and ending, by which sentences are ordered."""
        return Path(self.clip.source).stem

    @property
    def numbers(self) -> tuple[int, ...]:
        """The number of each word in its slot."""
        return word_numbers(self.code)


def find_sentences(shards: Sequence[Path]) -> list[Sentence]:
    """The sentences in folders of `syncnet prepare`, by file name: recordings whose name ends with a sentence's code.

    Of a recording in several pieces the longest counts, if it has 50 frames. Raises InputError where there is none.
    """
    longest: dict[str, Clip] = {}
    for clip in read_manifests(shards):
        if code_in(clip.source) and clip.frames >= max(LEAST_FRAMES, getattr(longest.get(clip.source), "frames", 0)):
            longest[clip.source] = clip
    if not longest:
        raise InputError(
            "no recording in these shards is named by a sentence of the GRID corpus (such as s1_bbaf2n): lip reading "
            "learns from such recordings only, made into shards by `syncnet prepare`."
        )
    found = [Sentence(str(code_in(source)), clip.speaker, clip) for source, clip in longest.items()]
    return sorted(found, key=lambda sentence: (sentence.name, sentence.clip.source))


def hold_out(sentences: Sequence[Sentence], count: int) -> tuple[list[Sentence], list[Sentence]]:
    """(to learn from, held out): the last `count` sentences by file name of every speaker who has twice as many."""
    held: set[str] = set()
    for speaker in {s.speaker for s in sentences}:
        own = [s for s in sentences if s.speaker == speaker]
        if count and len(own) >= 2 * count:
            held.update(s.clip.key for s in own[-count:])
    learn = [s for s in sentences if s.clip.key not in held]
    return learn, [s for s in sentences if s.clip.key in held]


def trunk_features(
    sentences: Sequence[Sentence], encoder: Encoder, cache: Path, on_done: Callable[[int, int], None] | None = None
) -> list[NDArray[np.float32]]:
    """The trunk features of every sentence, (T - 4, F) float32 each, rounded to half precision.

    They are kept below `cache`, one file per clip in a folder named by the trunk's hash, so that a stopped run goes on
    where it was and models on one trunk share them.
    """
    folder = cache / hashlib.sha256(encoder.model.files["video_trunk"].read_bytes()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    features = []
    for number, sentence in enumerate(sentences, 1):
        file = folder / f"{sentence.clip.key.replace('/', '_')}.npy"
        if not file.is_file():
            crops = centre_crops(read_crops(sentence.clip), CROP)
            _save(file, encoder.video_features(crops).astype(np.float16))
        features.append(np.load(file).astype(np.float32))
        if on_done:
            on_done(number, len(sentences))
    return features


def _save(file: Path, array: NDArray[np.float16]) -> None:
    part = file.with_suffix(f".{os.getpid()}.part")
    with part.open("wb") as out:
        np.save(out, array)
    os.replace(part, file)
