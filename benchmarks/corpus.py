"""The measuring clips: where they are, and how to make variants of them with the `ffmpeg` program."""

from __future__ import annotations

import csv
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

SHARED = Path(os.environ.get("SYNCNET_SHARED", Path(__file__).parents[2] / "shared"))


@dataclass(frozen=True)
class Clip:
    """One clip: of the split `train`, to learn from and to set limits on, or of `dev`, to measure on and only that."""

    path: Path
    name: str
    speaker: str
    kind: str
    corpus: str
    seconds: float
    fps: float


def clips(split: str) -> list[Clip]:
    """The clips of a split in the order of the manifest; stops the benchmark where the corpus is missing."""
    listed = SHARED / "data" / "manifest.csv"
    if not listed.is_file():
        raise SystemExit(f"no corpus: {listed} is missing (set SYNCNET_SHARED to the folder that holds data/).")
    with listed.open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["split"] == split]
    return [
        Clip(
            SHARED / "data" / r["file"],
            r["file"].removeprefix("clips/").rsplit(".", 1)[0],
            r["speaker"],
            r["kind"],
            r["corpus"],
            float(r["seconds"]),
            float(r["fps"]),
        )
        for r in rows
    ]


def even(found: list[Clip], most: int) -> list[Clip]:
    """An even choice of `most` clips, in their order."""
    if most >= len(found):
        return found
    return [found[round(k * (len(found) - 1) / max(1, most - 1))] for k in range(most)]


def ffmpeg(*arguments: str | Path) -> None:
    """Run the ffmpeg program quietly; stops the benchmark with its message when it fails."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
