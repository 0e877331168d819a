"""Learn to read GRID sentences from a model's picture features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from syncnet.encoder import Encoder
from syncnet.errors import InputError
from syncnet.lipread import classifier_input
from syncnet.model.devices import autocast
from syncnet.model.heads import Head
from syncnet.model.lip_network import Cell, LipClassifier, LipConfig, Source, lip_loss
from syncnet.sentences import GRID

Rng = np.random.Generator
Features = NDArray[np.float32]


@dataclass(frozen=True)
class LipTraining:
    """How the classifier learns. `recombine`: share of words that are taken from another sentence of the same speaker.
    `speed`: clips are played up to so much faster or slower; `shift`: and moved by so many windows; `windows`: and so
    many of it shown, 0: all; `noise`: in units of the features' deviation; `hidden_windows`: longest stretch blanked
    out, of two. `cell`, `layers`: of the recurrent network. `bf16`: it learns in bfloat16, on processors
    that have it."""

    source: Source = "features"
    epochs: int = 30
    batch: int = 16
    lr: float = 1.5e-3
    head_lr: float = 0.1  # of lr, for the head of the source "tuned"
    weight_decay: float = 0.02
    smoothing: float = 0.1
    sounds_weight: float = 0.3
    look_weight: float = 0.1
    recombine: float = 0.5
    speed: float = 0.12
    shift: float = 3.0
    noise: float = 0.3
    hidden_windows: int = 6
    windows: int = 0
    cell: Cell = "gru"
    layers: int = 2
    bf16: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Example:
    """A sentence to learn from. `windows`: (W, F) float32; `numbers`: its words; `bounds`: (7,) int64, the windows at
    which the words begin, and the last one ends; `sounds`: (W,) int64, the sound at each window, 0 for none."""

    windows: Features
    numbers: tuple[int, ...]
    bounds: NDArray[np.int64]
    sounds: NDArray[np.int64]
    speaker: str

    @property
    def places(self) -> NDArray[np.int64]:
        """The slot whose word is being said at each window, -1 for none: (W,)."""
        slot = np.searchsorted(self.bounds, np.arange(len(self.windows)), side="right") - 1
        return np.where(slot < len(GRID), slot, -1)


Pool = dict[tuple[str, int, int], list[Example]]
"""Examples by speaker, slot and word."""


def train(
    examples: Sequence[Example],
    settings: LipTraining,
    front: Head | None = None,
    on_epoch: Callable[[int, float, LipClassifier], None] | None = None,
) -> LipClassifier:
    """Learn from examples; the same seed gives the same classifier.

    `front` is the head that learns along for the source `tuned`, which takes standardised trunk features.
    """
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    shape = LipConfig(settings.source, examples[0].windows.shape[1], layers=settings.layers, cell=settings.cell)
    model = LipClassifier(shape, front)
    head = list(front.parameters()) if front is not None else []
    rest = [p for p in model.parameters() if all(p is not q for q in head)]
    groups = [{"params": rest, "lr": settings.lr}, {"params": head, "lr": settings.lr * settings.head_lr}]
    optimiser = torch.optim.AdamW([g for g in groups if g["params"]], weight_decay=settings.weight_decay)
    rates = [float(group["lr"]) for group in optimiser.param_groups]
    pool = pooled(examples)
    batches = -(-len(examples) // settings.batch)
    for epoch in range(settings.epochs):
        model.train()
        total = 0.0
        for number, chosen in enumerate(np.array_split(rng.permutation(len(examples)), batches)):
            made = [changed(recombined(examples[k], pool, settings.recombine, rng), settings, rng) for k in chosen]
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * _rate((epoch + number / batches) / settings.epochs)
            x, lengths = padded([e.windows for e in made])
            with autocast(torch.device("cpu"), settings.bf16):
                read = model(x, lengths)
            loss = lip_loss(
                read, torch.tensor([e.numbers for e in made]), _steps([e.sounds for e in made], -100),
                _steps([e.places for e in made], -1), smoothing=settings.smoothing,
                sounds_weight=settings.sounds_weight, look_weight=settings.look_weight,
            )  # fmt: skip
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimiser.step()
            total += float(loss.detach()) * len(chosen)
        model.eval()
        if on_epoch:
            on_epoch(epoch + 1, total / len(examples), model)
    return model


def _rate(done: float) -> float:
    """Share of the learning rate when a share `done` of the course is over: up for a twentieth, then a cosine down."""
    return min(1.0, 0.02 + done / 0.05) * (0.5 + 0.5 * float(np.cos(np.pi * done)))


def pooled(examples: Sequence[Example]) -> Pool:
    """Examples by who says what in which slot."""
    pool: Pool = {}
    for example in examples:
        for slot, word in enumerate(example.numbers):
            pool.setdefault((example.speaker, slot, word), []).append(example)
    return pool


def recombined(example: Example, pool: Pool, share: float, rng: Rng) -> Example:
    """The same sentence with about a `share` of its words said anew: a word of the slot, all alike, from a sentence of
    the same speaker that has it.

    So no word is known by its neighbours, nor rare because the recordings happen to have it seldom.
    """
    first, last = int(example.bounds[0]), int(example.bounds[-1])
    parts, sounds = [example.windows[:first]], [example.sounds[:first]]
    numbers, bounds = [], [first]
    for slot, word in enumerate(example.numbers):
        donor = example
        if rng.random() < share:
            known = [w for w in range(len(GRID[slot].words)) if (example.speaker, slot, w) in pool]
            word = known[int(rng.integers(len(known)))]
            donors = pool[example.speaker, slot, word]
            donor = donors[int(rng.integers(len(donors)))]
        begin, end = int(donor.bounds[slot]), int(donor.bounds[slot + 1])
        parts.append(donor.windows[begin:end])
        sounds.append(donor.sounds[begin:end])
        numbers.append(word)
        bounds.append(bounds[-1] + end - begin)
    return Example(
        np.concatenate([*parts, example.windows[last:]]), tuple(numbers), np.array(bounds),
        np.concatenate([*sounds, example.sounds[last:]]), example.speaker,
    )  # fmt: skip


def changed(example: Example, settings: LipTraining, rng: Rng) -> Example:
    """A sentence as it might also have been: other speed, a little earlier or later, noise, stretches unseen.

    With `settings.windows` all are made equally long: cut off, or the last window held.
    """
    clip = example.windows
    speed = 1.0 + rng.uniform(-settings.speed, settings.speed)
    moved_by = rng.uniform(-settings.shift, settings.shift)
    count = settings.windows or max(8, round(len(clip) / speed))
    at = np.clip(np.arange(count) * speed + moved_by, 0, len(clip) - 1)
    low = np.minimum(at.astype(int), len(clip) - 2)
    share = (at - low)[:, None].astype(np.float32)
    moved = (1 - share) * clip[low] + share * clip[low + 1]
    moved += rng.standard_normal(moved.shape, dtype=np.float32) * np.float32(settings.noise * clip.std())
    for _ in range(2):
        hidden = int(rng.integers(settings.hidden_windows + 1))
        first = int(rng.integers(count - hidden + 1)) if hidden < count else 0
        moved[first : first + hidden] = 0.0
    bounds = np.clip(np.rint((example.bounds - moved_by) / speed), 0, count).astype(np.int64)
    return Example(np.asarray(moved, np.float32), example.numbers, bounds, example.sounds[np.rint(at).astype(int)],
                   example.speaker)


def padded(clips: Sequence[Features]) -> tuple[Tensor, Tensor]:
    """Clips of several lengths as (B, T, F) with zeros behind, and their lengths (B,)."""
    lengths = [len(clip) for clip in clips]
    x = np.zeros((len(clips), max(lengths), clips[0].shape[1]), np.float32)
    for row, clip in zip(x, clips, strict=True):
        row[: len(clip)] = clip
    return torch.from_numpy(x), torch.tensor(lengths)


def _steps(labels: Sequence[NDArray[np.int64]], past: int) -> Tensor:
    """Labels of windows as those of the classifier's steps, every second one: (B, T), `past` behind the end."""
    rows = np.full((len(labels), (max(len(row) for row in labels) + 1) // 2), past)
    for row, own in zip(rows, labels, strict=True):
        row[: (len(own) + 1) // 2] = own[::2]
    return torch.from_numpy(rows)


def inputs_for(features: Sequence[Features], source: Source, encoder: Encoder) -> list[Features]:
    """What a classifier of that source is fed, clip by clip, from trunk features."""
    return [classifier_input(f, source, encoder) for f in features]


def head_of(encoder: Encoder) -> Head:
    """The picture head of a model as a torch module, to learn along. Raises InputError for a head of another kind."""
    from onnx import load, numpy_helper

    graph = load(str(encoder.model.files["video_head"])).graph
    weights = {
        t.name.removesuffix(".half"): torch.from_numpy(numpy_helper.to_array(t).astype(np.float32))
        for t in graph.initializer
    }
    missing = {"hidden.weight", "hidden.bias", "norm.weight", "norm.bias", "out.weight", "out.bias"} - set(weights)
    if missing:
        raise InputError(f"the head of {encoder.model.name} is not one that can learn along: use --input features.")
    hidden, features = weights["hidden.weight"].shape
    radius = float(encoder.model.description["config"]["radius"])
    head = Head(features, hidden, weights["out.weight"].shape[0], radius)
    head.load_state_dict({name: weights[name] for name in head.state_dict()})
    return head


def correct(model: LipClassifier, inputs: Sequence[Features], numbers: Sequence[tuple[int, ...]]) -> NDArray[np.bool_]:
    """Which words the classifier reads rightly: (sentences, 6) bool."""
    sizes = [len(slot.words) for slot in GRID]
    rows = []
    with torch.inference_mode():
        for first in range(0, len(inputs), 64):
            scores = model(*padded(inputs[first : first + 64])).scores
            rows.append(torch.stack([part.argmax(1) for part in torch.split(scores, sizes, 1)], 1).numpy())
    return np.asarray(np.concatenate(rows) == np.array(numbers))
