"""The sequence classifier that reads a GRID sentence from picture features: a GRU or LSTM, and where each slot looks.

After the lip reading of "Out of time" (Chung & Zisserman 2016, section 5: an LSTM over the frozen video features, one
class per phrase); here one class per slot of the sentence.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from syncnet.model.heads import Head
from syncnet.model.lip_sounds import SOUNDS
from syncnet.sentences import GRID

Source = Literal["embeddings", "features", "tuned"]
"""What the classifier is fed: `embeddings`, the frozen 256 numbers a window; `features`, the frozen trunk's, before the
head; `tuned`, the head's again, but the head learns along."""


Cell = Literal["gru", "lstm"]
"""The recurrent cell. The paper has an LSTM."""


@dataclass(frozen=True)
class LipConfig:
    """The shape of the classifier: `inputs` numbers a window, GRU or LSTM of `hidden` cells either way."""

    source: Source
    inputs: int
    width: int = 128
    hidden: int = 128
    layers: int = 2
    dropout: float = 0.4
    cell: Cell = "gru"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Read(NamedTuple):
    """What the classifier says of B clips in T steps of 80 ms. `scores`: (B, 51), of all words, slot after slot.

    `sounds`: (B, T, sounds), which speech sound is being said; `look`: (B, T, 6), logarithm of where each slot looks.
    Both only help to learn.
    """

    scores: Tensor
    sounds: Tensor
    look: Tensor


class LipClassifier(nn.Module):
    """(B, T, inputs) -> `Read`. `front`: the head that learns along before the rest, for the source `tuned`."""

    def __init__(self, config: LipConfig, front: Head | None = None) -> None:
        super().__init__()
        self.config = config
        self.front = front
        inputs = front.out.out_features if front is not None else config.inputs
        self.reduce = nn.Conv1d(inputs, config.width, 5, stride=2, padding=2)
        self.norm = nn.LayerNorm(config.width)
        self.drop = nn.Dropout(config.dropout)
        between = config.dropout if config.layers > 1 else 0.0
        cell = {"gru": nn.GRU, "lstm": nn.LSTM}[config.cell]
        self.recurrent = cell(
            config.width, config.hidden, config.layers, batch_first=True, bidirectional=True, dropout=between
        )
        self.look = nn.Linear(2 * config.hidden, len(GRID))
        self.words = nn.ModuleList(nn.Linear(2 * config.hidden, len(slot.words)) for slot in GRID)
        self.sounds = nn.Linear(2 * config.hidden, len(SOUNDS) + 1)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Read:
        """`lengths` (B,): how many rows of each clip count, on the CPU; None: all.

        Clips of one length go through the recurrent layers unpacked, which is faster.
        """
        if lengths is not None and bool((lengths == x.shape[1]).all()):
            lengths = None
        if self.front is not None:
            real = None if lengths is None else torch.arange(x.shape[1])[None, :] < lengths[:, None]
            x = self.front(x, real)
            x = x if real is None else x * real.unsqueeze(-1)
        steps = None if lengths is None else (lengths + 1) // 2
        x = self.reduce(x.transpose(1, 2)).transpose(1, 2)
        x = self.drop(F.relu(self.norm(x)))
        if steps is None:
            x, _ = self.recurrent(x)
        else:
            packed = pack_padded_sequence(x, steps, batch_first=True, enforce_sorted=False)
            x, _ = pad_packed_sequence(self.recurrent(packed)[0], batch_first=True, total_length=x.shape[1])
        x = self.drop(x).float()
        look = self.look(x).float()
        if steps is not None:
            past = torch.arange(x.shape[1])[None, :] >= steps[:, None]
            look = look.masked_fill(past.unsqueeze(-1), -torch.inf)
        look = torch.log_softmax(look, 1)
        seen = look.exp().transpose(1, 2) @ x
        scores = [layer(seen[:, k]) for k, layer in enumerate(self.words)]
        return Read(torch.cat(scores, 1).float(), self.sounds(x).float(), look)


def lip_loss(
    read: Read, numbers: Tensor, sounds: Tensor, places: Tensor, *, smoothing: float, sounds_weight: float,
    look_weight: float,
) -> Tensor:
    """Cross-entropy of the words (mean over slots), of the sounds, and minus the log of how much looks at the word.

    `numbers`: (B, 6), the right word of each slot. `sounds`: (B, T), the right sound of each step, -100 past the end.
    `places`: (B, T), the slot whose word is being said, -1 for none.
    """
    losses = [
        F.cross_entropy(part, numbers[:, k], label_smoothing=smoothing)
        for k, part in enumerate(torch.split(read.scores, [len(slot.words) for slot in GRID], 1))
    ]
    loss = torch.stack(losses).mean()
    loss = loss + sounds_weight * F.cross_entropy(read.sounds.transpose(1, 2), sounds, ignore_index=-100)
    there = places.unsqueeze(-1) == torch.arange(len(GRID))
    mass = torch.logsumexp(read.look.masked_fill(~there, -30.0), 1)
    return loss - look_weight * mass.clamp(min=-15.0).mean()
