"""How many words a lip reader reads rightly: of what it learned from, of its speakers' other sentences, of others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from syncnet.lipread import LipReader
from syncnet.model.lip_features import Sentence, trunk_features
from syncnet.sentences import GRID

LEARNT, HELD_OUT, OTHERS = "learnt from", "held out, speaker known", "other speakers"


@dataclass(frozen=True)
class Group:
    """Sentences measured together; `right`: how many of each slot's words were read rightly; `whole`: sentences."""

    name: str
    sentences: int
    speakers: int
    right: tuple[int, ...]
    whole: int

    @property
    def words(self) -> float:
        """Share of words read rightly, all slots alike."""
        return sum(self.right) / (len(GRID) * self.sentences)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON; shares from 0 to 1."""
        slots = {slot.name: right / self.sentences for slot, right in zip(GRID, self.right, strict=True)}
        return {"group": self.name, "sentences": self.sentences, "speakers": self.speakers, "words": self.words,
                "whole_sentences": self.whole / self.sentences, **slots}  # fmt: skip


CHANCE = sum(1 / len(slot.words) for slot in GRID) / len(GRID)
"""Share of words that guessing gets right."""


def group_names(sentences: Sequence[Sentence], learnt_from: Sequence[str]) -> list[str]:
    """Which group each sentence belongs to, given the names of the recordings that the reader learned from."""
    known = set(learnt_from)
    speakers = {name.rsplit("_", 1)[0] for name in known}
    return [
        LEARNT if s.name in known else HELD_OUT if s.name.rsplit("_", 1)[0] in speakers else OTHERS
        for s in sentences
    ]


def grouped(sentences: Sequence[Sentence], right: NDArray[np.bool_], learnt_from: Sequence[str]) -> list[Group]:
    """Add up `right`, (sentences, 6) bool, over the groups that have sentences."""
    names = np.array(group_names(sentences, learnt_from))
    found = []
    for name in (LEARNT, HELD_OUT, OTHERS):
        rows = right[names == name]
        if len(rows):
            speakers = {s.speaker for s, n in zip(sentences, names, strict=True) if n == name}
            whole = int(rows.all(axis=1).sum())
            found.append(Group(name, len(rows), len(speakers), tuple(int(v) for v in rows.sum(axis=0)), whole))
    return found


def evaluate(
    reader: LipReader, sentences: Sequence[Sentence], cache: Path, on_done: Callable[[int, int], None] | None = None
) -> list[Group]:
    """Read every sentence with the exported reader, as `syncnet lipread read` would, and count."""
    features = trunk_features(sentences, reader.encoder, cache, on_done)
    right = []
    for sentence, rows in zip(sentences, features, strict=True):
        read = [int(np.argmax(chances)) for chances in reader.probabilities(rows)]
        right.append([a == b for a, b in zip(read, sentence.numbers, strict=True)])
    return grouped(sentences, np.array(right), list(reader.card["learnt_from"]))


def as_table(groups: Sequence[Group]) -> str:
    """A Markdown table, one row per group, in per cent, and what guessing would get."""
    head = ["group", "sentences", "speakers", *(slot.name for slot in GRID), "words", "whole sentences"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for group in groups:
        shares = [right / group.sentences for right in group.right] + [group.words, group.whole / group.sentences]
        cells = [group.name, str(group.sentences), str(group.speakers), *(f"{100 * share:.1f}" for share in shares)]
        lines.append("| " + " | ".join(cells) + " |")
    chance = [1 / len(slot.words) for slot in GRID]
    cells = ["(guessing)", "", "", *(f"{100 * share:.1f}" for share in [*chance, CHANCE]), "0.0"]
    return "\n".join([*lines, "| " + " | ".join(cells) + " |"])
