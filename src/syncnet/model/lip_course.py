"""From recorded sentences to a lip reader in a folder: hold some out, learn from the rest, measure, export."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from syncnet.encoder import Encoder
from syncnet.errors import InputError
from syncnet.lipread import ONLY_KNOWS
from syncnet.model.lip_alignment import align
from syncnet.model.lip_evaluate import LEARNT, Group, as_table, grouped
from syncnet.model.lip_export import export
from syncnet.model.lip_features import Sentence, hold_out
from syncnet.model.lip_network import LipClassifier
from syncnet.model.lipread import Example, Features, LipTraining, correct, head_of, inputs_for, train


@dataclass(frozen=True)
class Learnt:
    """What a course gave: the classifier, what it reads of each group of sentences, and whom it learned from."""

    model: LipClassifier
    groups: tuple[Group, ...]
    learnt_from: tuple[Sentence, ...]


def learn(
    sentences: Sequence[Sentence],
    features: Sequence[Features],
    encoder: Encoder,
    settings: LipTraining,
    *,
    held_out: int,
    threads: int = 1,
    also: Sequence[str] = (),
    on_epoch: Callable[[int, int], None] | None = None,
) -> Learnt:
    """Learn from all sentences but the last `held_out` of each large speaker, then count words rightly read.

    `features`: trunk features of each sentence. `also`: names of recordings that are not to be learned from either.
    Raises InputError where too little is left.
    """
    learnt_from, _ = hold_out([s for s in sentences if s.name not in set(also)], held_out)
    if len(learnt_from) < 2:
        raise InputError(f"{len(learnt_from)} sentences are left to learn from: give more, or hold fewer out.")
    torch.set_num_threads(threads)
    names = {s.name for s in learnt_from}
    inputs = inputs_for(features, settings.source, encoder)
    front = head_of(encoder) if settings.source == "tuned" else None
    by_name = dict(zip((s.name for s in sentences), inputs, strict=True))
    model = train(
        examples_of(learnt_from, [by_name[s.name] for s in learnt_from]), settings, front,
        (lambda epoch, _loss, _model: on_epoch(epoch, settings.epochs)) if on_epoch else None,
    )  # fmt: skip
    groups = grouped(sentences, correct(model, inputs, [s.numbers for s in sentences]), sorted(names))
    return Learnt(model, tuple(groups), tuple(learnt_from))


def examples_of(sentences: Sequence[Sentence], inputs: Sequence[Features]) -> list[Example]:
    """Sentences to learn from, with the times of their words taken from their sound."""
    found = zip(sentences, inputs, align(sentences), strict=True)
    return [
        Example(x, s.numbers, times.windows(len(x)), times.window_sounds(len(x)), s.speaker) for s, x, times in found
    ]


def write_reader(
    learnt: Learnt, out: Path, encoder: Encoder, settings: LipTraining, *, version: str = "1", licence: str = ""
) -> float:
    """Write the reader's folder, its figures in the card; returns the graph's largest difference to torch."""
    figures = {g.name: g.to_dict() for g in learnt.groups if g.name != LEARNT}
    text = card_text(learnt, encoder, settings, version, licence)
    return export(learnt.model, out, encoder, learnt.learnt_from, settings, figures=figures, text=text, version=version)


def card_text(learnt: Learnt, encoder: Encoder, settings: LipTraining, version: str, licence: str) -> str:
    """The model card of a lip reader."""
    identity = encoder.model.identity
    speakers: dict[str, int] = {}
    for sentence in learnt.learnt_from:
        speakers[sentence.speaker] = speakers.get(sentence.speaker, 0) + 1
    shares = ", ".join(f"{name} {count}" for name, count in sorted(speakers.items(), key=lambda item: -item[1]))
    return f"""# Model card: lipread {version}

Reads one sentence of the GRID corpus from the mouth alone: {ONLY_KNOWS}.

- **What it is.** A recurrent network ({settings.cell.upper()}) \
over the `{settings.source}` of the picture stream of `{identity.get("name")}` \
{identity.get("version", "")} (hash {identity.get("hash")}), and for each of the six slots a place to look and a class \
per word. It works with that model alone.
- **Data.** {len(learnt.learnt_from)} sentences of the GRID corpus (CC BY 4.0), by speaker: {shares}.
- **Recipe.** `syncnet lipread train`, {settings.epochs} epochs, seed {settings.seed}; all settings are in \
`lipread.json`.
- **Figures**, per cent of words read rightly; none of these sentences was learned from (the picture stream itself has \
met the held-out pictures with their sound, but no words, if its own training took them in):

{as_table([g for g in learnt.groups if g.name != LEARNT])}

- **Limits.** Almost all it knows of is one speaker; other people are read far worse. No other words, no other grammar.
{licence}"""
