"""Is it the data or the method that limits accuracy? Trains on a quarter, half and all of the speakers, equal steps.

    python benchmarks/learning_curve.py SHARDS... --out DIR --steps 1000 --teacher lr_asd_talkset.pt

The held-out training speakers are the same for all parts, and a smaller part is contained in every larger one. Run
again to go on after a stop: finished parts are not trained again. Prints one table; everything is of the train split.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Collection, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from syncnet.errors import SyncNetError
from syncnet.model.accuracy import Accuracy, measure
from syncnet.model.checkpoint import load, load_model
from syncnet.model.cleaned import read_rows
from syncnet.model.course import TrainConfig
from syncnet.model.pairs import split_speakers
from syncnet.model.settings import read_settings
from syncnet.model.shards import MANIFEST, Clip, read_manifests
from syncnet.model.train import evenly_by_speaker, train

PARTS = (Fraction(1, 4), Fraction(1, 2), Fraction(1, 1))


def part_of(speakers: Collection[str], part: Fraction) -> set[str]:
    """The first `part` of the speakers in an order that their names alone decide."""
    order = sorted(speakers, key=lambda s: hashlib.sha1(f"part{s}".encode()).digest())
    return set(order[: max(1, round(part * len(order)))])


def write_part(folders: Sequence[Path], keys: Collection[str], out: Path) -> None:
    """A manifest of some clips in a folder of its own; pictures and sound stay where they are."""
    out.mkdir(parents=True, exist_ok=True)
    lines: list[dict[str, Any]] = [
        {**row, "folder": str((folder / str(row.get("folder", "."))).resolve())}
        for folder, row in read_rows(folders) if row["key"] in keys]
    unfinished = out / f"{MANIFEST}.part"
    unfinished.write_text("".join(json.dumps(line) + "\n" for line in lines))
    os.replace(unfinished, out / MANIFEST)


def trained(folder: Path, run: Path, config: TrainConfig, teacher: Path | None, watched: Sequence[Clip]) -> Accuracy:
    """Accuracy on the watched clips of a course that is trained to its end, or that already was."""
    last = run / "last.pt"
    if not last.is_file() or int(load(last)["step"]) < config.steps:
        train([folder], run, config, teacher=teacher, say=lambda text: print(f"{run.name}: {text}", file=sys.stderr))
    return measure(load_model(last).model, watched, device=torch.device("cpu"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--config", type=Path, help="settings of training, a JSON file")
    parser.add_argument("--teacher", type=Path)
    parser.add_argument("--set", action="append", default=[], help="one setting as name=JSON")
    given = parser.parse_args()
    base = TrainConfig(frozen_norms=given.teacher is not None, eval_steps=10**9)
    config = read_settings(base, given.config, given.set, {"minutes": None, "steps": given.steps})

    clips = read_manifests(given.shards)
    learning, held = split_speakers(clips, config.held_out, config.held_out_salt)
    watched = evenly_by_speaker(held, config.eval_clips)
    print(f"split: train; held out: {len(watched)} clips of {len({c.speaker for c in watched})} speakers; "
          f"{config.steps} steps each\n")
    print("| speakers | clips | minutes | K = 5 | K = 15 | K = 50 | whole clips |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for part in PARTS:
        chosen = part_of({c.speaker for c in learning}, part)
        mine = [c for c in learning if c.speaker in chosen]
        name = f"{part.numerator}-{part.denominator}"
        # Held-out speakers are not in the part, and nobody is held out of it again.
        write_part(given.shards, {c.key for c in mine}, given.out / f"part-{name}")
        course = read_settings(config, None, [], {"held_out": 0.0})
        result = trained(given.out / f"part-{name}", given.out / f"run-{name}", course, given.teacher, watched)
        cells = (f"{100 * share:.1f} %" for share in (*(result.windows[k] for k in (5, 15, 50)), result.whole))
        print(f"| {len(chosen)} ({part}) | {len(mine)} | {sum(c.minutes for c in mine):.0f} | {' | '.join(cells)} |",
              flush=True)


if __name__ == "__main__":
    try:
        main()
    except SyncNetError as error:
        sys.exit(f"{Path(sys.argv[0]).name}: {error}")
