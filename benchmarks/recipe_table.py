"""What every recipe, and every single step of it, does to the same clip.

    python benchmarks/recipe_table.py [FILE] [--installed]

Without FILE a drawn person of 6 s is made, two thirds of a picture away from its edges, the audio 80 ms late. Without
`--installed` random weights take the place of v2: differences between rows then show what the procedure does, and the
figures mean nothing else. Prints one Markdown table.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from random_v2 import use_random_weights

from syncnet.clip_scores import ClipScore, score_clip
from syncnet.errors import SyncNetError
from syncnet.recipes import RECIPES, Recipe
from syncnet.score import Pairs
from syncnet.v2_encoder import V2Encoder
from syncnet.weights_store import find


def variants() -> Iterator[tuple[str, Recipe]]:
    """The recipes as they are, then single steps changed."""
    for recipe in RECIPES.values():
        yield f"`{recipe.name}`", recipe
    whole, real = RECIPES["wav2lip-lrs"], RECIPES["wav2lip-real"]
    yield "`wav2lip-lrs` without the JPEG copy", replace(whole, lossy=False)
    yield "`wav2lip-lrs` with real pairs only, all windows", replace(whole, pairs=Pairs.VALID)
    yield "`wav2lip-real` without the MPEG-4 and JPEG copies", replace(real, lossy=False)
    yield "`wav2lip-real` with real pairs only, all windows", replace(real, pairs=Pairs.VALID)


def row(name: str, clip: ClipScore) -> str:
    """One line of the table."""
    windows = "+".join(str(track.score.windows) for track in clip.tracks)
    return f"| {name} | {windows} | {clip.distance:.3f} | {clip.confidence:.3f} | {clip.reference_offset:+g} |"


def drawn_clip(folder: Path) -> Path:
    """A drawn person who talks, the audio 80 ms late."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
    from talking_face import make

    return Path(make(folder / "drawn.mp4", seconds=6, seed=3, offset_ms=80, size=(480, 360), face_width=130).path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--installed", action="store_true", help="use the installed v2 weights")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if not wanted.installed:
            use_random_weights(Path(folder) / "cache")
        network = V2Encoder(find("v2").folder)
        film = wanted.file or drawn_clip(Path(folder))
        print("| recipe | windows | D | C | reference offset |")
        print("|---|---|---|---|---|")
        for name, recipe in variants():
            try:
                print(row(name, score_clip(film, recipe, network)))
            except SyncNetError as error:
                print(f"| {name} | – | {error} | | |")


if __name__ == "__main__":
    main()
