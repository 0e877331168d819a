"""Read a GRID sentence from the lips: mouth crops to embeddings, and those to the words of the sentence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from syncnet.encoder import Encoder, standardise
from syncnet.errors import InputError, NoAnswer
from syncnet.media import frames
from syncnet.sentences import GRID
from syncnet.tracks import mouth_tracks

CARD = "lipread.json"
GRAPH = "classifier.onnx"
SHIPPED = Path(__file__).parent / "weights" / "lipread"
LEAST_S = 2.0  # a shorter piece holds no whole sentence
MOST_S = 6.0  # a longer one holds more than the one sentence that can be read
USUAL_S = (2.5, 3.5)

ONLY_KNOWS = (
    "it only knows sentences of the GRID corpus (command, colour, preposition, letter, digit, adverb, such as "
    '"bin blue at f two now") in recordings like that corpus: one face from the front, one sentence in about 3 s. '
    "To anything else it also finds such a sentence, which then means nothing"
)


@dataclass(frozen=True)
class Word:
    """The word read in one slot, how probable it is (0 to 1), and the other words from likely to unlikely."""

    slot: str
    word: str
    probability: float
    others: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Reading:
    """The sentence read from one face, `start_s` to `end_s` seconds of presentation time; `notes`: doubts in words."""

    track: int
    start_s: float
    end_s: float
    words: tuple[Word, ...]
    notes: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The likeliest word of every slot."""
        return " ".join(word.word for word in self.words)


class LipReader:
    """A classifier and the encoder whose embeddings it learned from."""

    def __init__(self, folder: Path | None = None, encoder: Encoder | None = None, *, threads: int = 2) -> None:
        """`folder`: what `syncnet lipread train` wrote; None: the classifier in the package.

        `encoder`: None: the one that the classifier names.

        Raises InputError where there is none, or where it learned from another encoder.
        """
        import onnxruntime as ort

        self.folder = folder or SHIPPED
        self.card = read_card(self.folder)
        self.encoder = encoder or Encoder(self.card["encoder"]["name"], threads=threads)
        learned, given = self.card["encoder"].get("hash"), self.encoder.model.identity.get("hash")
        if learned != given:
            raise InputError(
                f"the lip reader in {self.folder} learned from the model with hash {learned}, not from "
                f"{self.encoder.model.name} ({given}): train it again with `syncnet lipread train`."
            )
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = ort.InferenceSession(self.folder / GRAPH, options, providers=["CPUExecutionProvider"])

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Name, version and hash of the classifier and of its encoder, as every result states them."""
        return {**{k: self.card[k] for k in ("name", "version", "hash")}, "encoder": self.card["encoder"]}

    def probabilities(self, features: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """The probability of every word of every slot, six arrays of (4, 4, 4, 25, 10, 4), each with the sum 1.

        `features`: (W, F) float32 of `Encoder.video_features`, one sentence.
        """
        fed = classifier_input(features, str(self.card["source"]), self.encoder)
        scores = np.asarray(self._session.run(None, {"windows": fed[None]})[0][0], np.float64)
        parts = np.split(scores, np.cumsum([len(slot.words) for slot in GRID])[:-1])
        powers = [np.exp(part - part.max()) for part in parts]
        return [np.asarray(power / power.sum(), np.float32) for power in powers]

    def read_crops(self, crops: NDArray[np.uint8]) -> tuple[Word, ...]:
        """The words of one sentence from (T, 111, 111) uint8 mouth crops, T at least 5."""
        return as_words(self.probabilities(self.encoder.video_features(crops)))


def classifier_input(features: NDArray[np.float32], source: str, encoder: Encoder) -> NDArray[np.float32]:
    """What a classifier is fed from trunk features (W, F): their embeddings (W, 256), or themselves standardised."""
    if source == "embeddings":
        return encoder.embed_video_features(features)
    return standardise(features)


def as_words(probabilities: Sequence[NDArray[np.float32]]) -> tuple[Word, ...]:
    """The likeliest word of every slot, and the others in order."""
    found = []
    for slot, chances in zip(GRID, probabilities, strict=True):
        order = np.argsort(-chances, kind="stable")
        ranked = [(slot.words[k], float(chances[k])) for k in order]
        found.append(Word(slot.name, *ranked[0], tuple(ranked[1:])))
    return tuple(found)


def read(path: str | PathLike[str], reader: LipReader | None = None) -> tuple[Reading, ...]:
    """Read the sentence that each face of a file says, in order of time, without its sound.

    Raises InputError for what cannot be read, NoAnswer where no face can be followed for 2 s or one talks for more
    than 6 s, which is more than one sentence.
    """
    reader = reader or LipReader()
    problems: list[str] = []
    readings: list[Reading] = []
    too_short: list[float] = []
    for track in mouth_tracks(frames(path, on_problem=problems.append), piece_s=2 * MOST_S):
        lasts = track.end - track.start
        if lasts > MOST_S:
            raise NoAnswer(
                f"{path}: a face is seen for more than {MOST_S:g} s, which is more than one sentence. Cut out a single "
                f"sentence of about 3 s; {ONLY_KNOWS}."
            )
        if lasts < LEAST_S:
            too_short.append(lasts)
            continue
        notes = list(dict.fromkeys(problems))
        if not USUAL_S[0] <= lasts <= USUAL_S[1]:
            notes.append(f"the face is seen for {lasts:.1f} s; the sentences it learned from last 3 s")
        words = reader.read_crops(track.crops)
        readings.append(Reading(track.id, track.start, track.end, words, tuple(notes)))
    if not readings:
        seen = f"the longest is seen for {max(too_short):.1f} s" if too_short else "none was found"
        raise NoAnswer(f"{path}: a face must be followed for {LEAST_S:g} s to be read; {seen}.")
    return tuple(sorted(readings, key=lambda reading: (reading.start_s, reading.track)))


def read_card(folder: Path) -> dict[str, Any]:
    """What is known of the classifier in a folder; raises InputError where there is none."""
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        whole = isinstance(card, dict) and {"name", "version", "hash", "source", "encoder", "learnt_from"} <= set(card)
    except (OSError, ValueError):
        whole = False
    if not whole or not (folder / GRAPH).is_file():
        raise InputError(f"{folder} holds no lip reader: make one with `syncnet lipread train`.")
    return dict(card)
