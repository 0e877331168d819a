"""Accuracy of a checkpoint on the held-out speakers of training shards, by both pairs of heads.

python benchmarks/held_out.py CHECKPOINT SHARDS... [--clips 150]

Give the shards as `syncnet prepare` made them for the truth as published, or what `syncnet refine` wrote for
the truth as an earlier network saw it. Split: train, people never trained on; the best checkpoint was chosen on them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from syncnet.model.accuracy import measure
from syncnet.model.pairs import split_speakers
from syncnet.model.shards import read_manifests
from syncnet.model.shipped import trained_model
from syncnet.model.train import evenly_by_speaker


def main() -> None:
    parser = argparse.ArgumentParser(description="Accuracy of a checkpoint on held-out speakers of training shards.")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("shards", type=Path, nargs="+")
    parser.add_argument("--clips", type=int, default=150)
    given = parser.parse_args()
    trained = trained_model(given.checkpoint)
    share, salt = float(trained.recipe["held_out"]), str(trained.recipe["held_out_salt"])
    held = split_speakers(read_manifests(given.shards), share, salt)[1]
    clips = evenly_by_speaker(held, given.clips)
    speakers = len({c.speaker for c in clips})
    print(f"{given.checkpoint}, step {trained.step}: {len(clips)} clips of {speakers} held-out speakers (split: train)")
    print(f"  5 frames: {measure(trained.model, clips, device=torch.device('cpu'))}")
    if trained.model.config.context:
        print(f" 19 frames: {measure(trained.model, clips, device=torch.device('cpu'), wide=True)}")


if __name__ == "__main__":
    main()
