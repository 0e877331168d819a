"""The constants of the decision who speaks, and the ones chosen on training clips that ship with the weights."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from syncnet.errors import InputError

SHIPPED = Path(__file__).parent / "weights" / "speakers.json"
"""Constants chosen on training clips, and for which network; `benchmarks/scenes.py --tune` writes it."""


@dataclass(frozen=True)
class SpeakerModel:
    """Constants of the decision; docs/speakers.md tells how they were chosen."""

    tolerance_s: float = 0.02  # distances this near to the offset are averaged
    apart_s: float = 0.1  # the offset of a face may be so far from the film's, where that was found
    telling: float = 2.0  # depth over 2 s from which a moment tells the offset of a face
    own: float = 0.5  # share of a window's own mean distance in what is usual; the rest is the film's
    gain: float = 0.35  # log odds per spread of depth, one frame; frames overlap, so each counts little
    middle: float = 0.8  # depth at which a frame speaks neither for nor against
    most: float = 1.2  # no single frame shifts the log odds by more
    offscreen: float = 0.15  # prior share of voice without a visible speaker
    together: float = 0.03  # prior share of two faces at once
    change_voice: float = 0.01  # chance of another speaker from one frame of speech to the next
    change_pause: float = 0.06  # the same across a frame without voice
    sure: float = 0.7  # probability from which a face is called speaking, and under 1 - sure silent
    most_together: int = 6  # pairs are considered among this many faces, the likeliest
    window: int = 50  # frames around each moment that it is judged by, unless asked otherwise


@lru_cache(maxsize=1)
def shipped_model() -> SpeakerModel:
    """The constants that ship with the package."""
    return read_model(SHIPPED)


def read_model(path: Path) -> SpeakerModel:
    """Read constants from a JSON file; raises `InputError` for one that does not hold all of them."""
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["constants"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: no constants of the speaker decision can be read from it ({error}).") from error
    names = {f.name for f in fields(SpeakerModel)}
    if set(values) != names:
        odd = ", ".join(sorted(names.symmetric_difference(values)))
        raise InputError(f"{path}: these constants are missing or unknown: {odd}.")
    return SpeakerModel(**values)


def write_model(path: Path, model: SpeakerModel, chosen_on: dict[str, Any]) -> None:
    """Keep constants with a note on what they were chosen."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps({"chosen_on": chosen_on, "constants": asdict(model)}, indent=1) + "\n", encoding="utf-8")
    part.replace(path)
