"""The recordings of a corpus, and what is known of each."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from syncnet.errors import InputError

VIDEO_ENDINGS = frozenset(
    ".mp4 .m4v .mov .mkv .webm .avi .ts .mts .m2ts .mpg .mpeg .vob .flv .wmv .3gp .ogv .mxf".split()
)


@dataclass(frozen=True)
class Source:
    """One file to prepare and what is known of it."""

    path: Path
    name: str
    speaker: str
    corpus: str
    kind: str = "real"


def find_sources(folder: Path, *, split: str | None = None) -> list[Source]:
    """List the videos below a folder, with speaker, corpus and kind from its `manifest.csv` where there is one.

    The manifest's columns are `file` (below the folder), `speaker`, `corpus`, `kind` and optionally `split`, of which
    `split` then selects one. Without a manifest the speaker is the file's own name and the corpus its folder's.
    Raises `InputError` when there is nothing to prepare.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder. Give a folder with videos in it.")
    listed = folder / "manifest.csv"
    if listed.is_file():
        with open(listed, newline="") as file:
            rows = [r for r in csv.DictReader(file) if split is None or r.get("split") == split]
        found = [
            Source(folder / r["file"], r["file"], r["speaker"], r.get("corpus", ""), r.get("kind", "real"))
            for r in rows
        ]
    else:
        paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in VIDEO_ENDINGS and p.is_file())
        found = [
            Source(p, str(p.relative_to(folder)), f"{p.parent.name}/{p.stem}", p.parent.name or folder.name)
            for p in paths
        ]
    if not found:
        raise InputError(f"{folder}: no videos found (looked for {' '.join(sorted(VIDEO_ENDINGS))}).")
    return found
