"""Choosing the constants of the speaker decision, one after the other, on made scenes of people of the train split whom
the model has not learned from."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from scene_make import KINDS
from scene_run import Seen, named
from scenes import HEADLINE, TRAIN_SEED, offscreen_turns, right, share

from syncnet.active_speaker import WINDOWS, scale
from syncnet.encoder import find_model
from syncnet.scene_offset import scene_offset
from syncnet.speaker_model import SHIPPED, SpeakerModel, shipped_model, write_model

GRID: dict[str, tuple[float, ...]] = {
    "gain": (0.15, 0.25, 0.35, 0.5, 0.7, 1.0),
    "middle": (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.5),
    "most": (0.2, 0.3, 0.4, 0.6, 0.8, 1.2, 2.0, 4.0),
    "own": (0.0, 0.25, 0.5, 0.75, 1.0),
    "tolerance_s": (0.0, 0.02, 0.04, 0.06, 0.08),
    "apart_s": (0.0, 0.04, 0.06, 0.08, 0.1, 0.12, 0.16),
    "telling": (0.5, 1.0, 1.5, 2.0, 2.5, 3.0),
    "change_voice": (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.04),
    "change_pause": (0.01, 0.02, 0.03, 0.06, 0.12, 0.25),
    "offscreen": (0.02, 0.03, 0.05, 0.1, 0.15, 0.25, 0.35),
    "together": (0.01, 0.03, 0.06),
}
"""Values tried; those of `SpeakerModel` are where the search starts."""

TUNED_AT = (25, 100)
SURE = (0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)
SURE_MEANS = 0.9
"""Faces called speaking (and not unsure) shall be right this often."""


def tune(scenes: Sequence[Seen], model: str, people: int) -> None:
    """Search the grid twice through, print every step, and write the constants down."""
    offsets = [_offset_ms(s) for s in scenes]
    best = replace(shipped_model())
    top = _merit(scenes, offsets, best)
    print(
        f"split: train, {people} people held out of training, seed {TRAIN_SEED}, {len(scenes)} scenes; model {model}; "
        f"start {top:.2f}"
    )
    for sweep in (1, 2):
        before = top
        for name, values in GRID.items():
            for value in values:
                if value == getattr(best, name):
                    continue
                tried = replace(best, **{name: value})  # type: ignore[arg-type]
                merit = _merit(scenes, offsets, tried)
                if merit > top + 0.05:
                    best, top = tried, merit
            print(f"  sweep {sweep}: {name} = {getattr(best, name):g}, merit {top:.2f}", flush=True)
        if top < before + 0.1:
            break
    best = replace(best, window=_window(scenes, best))
    best = replace(best, sure=_sure(scenes, best))
    found: dict[str, Any] = {
        "split": "train",
        "held_out_of_training": True,
        "people": people,
        "seed": TRAIN_SEED,
        "scenes": len(scenes),
        "merit": round(top, 2),
    }
    write_model(SHIPPED, best, {**found, "model": find_model(model).identity})
    print(f"{best}\nwritten to {SHIPPED}", file=sys.stderr)


def _offset_ms(seen: Seen) -> float | None:
    """The scene's offset, None where none is found; no constant changes it, so it is looked for once."""
    tracks = seen.watched.result.tracks
    unit = scale([t.curves for t in tracks])
    found = scene_offset([t.curves for t in tracks], [t.shot for t in tracks], unit.spread)
    return 1000.0 * found.offset_s if found.found else None


def _merit(scenes: Sequence[Seen], offsets: Sequence[float | None], settings: SpeakerModel) -> float:
    """Mean per cent of what is wanted: moments named right by number of faces and by the other kinds of scenes, and
    off-screen turns recognised; at windows of 25 and 100."""
    parts = []
    for window in TUNED_AT:
        found = [named(s, window, settings, offset) for s, offset in zip(scenes, offsets, strict=True)]
        pairs = list(zip(found, scenes, strict=True))
        for faces in (2, 3, 4):
            chosen = [right(n, s) for n, s in pairs if s.scene.faces == faces and s.scene.kind in HEADLINE]
            parts.append(share(chosen))
        for kind in KINDS[3:]:
            parts.append(share([right(n, s) for n, s in pairs if s.scene.kind == kind]))
        parts.append(share([offscreen_turns(n, s) for n, s in pairs]))
    return sum(parts) / len(parts)


def _window(scenes: Sequence[Seen], settings: SpeakerModel) -> int:
    """The shortest of the usual windows that is within half a per cent of the best: shorter ones react sooner."""
    shares = {w: share([right(named(s, w, settings), s) for s in scenes]) for w in WINDOWS}
    print("  windows: " + ", ".join(f"{w} {v:.1f} %" for w, v in shares.items()))
    return min(w for w, v in shares.items() if v >= max(shares.values()) - 0.5)


def _sure(scenes: Sequence[Seen], settings: SpeakerModel) -> float:
    """The least probability at which a face called speaking is right often enough."""
    found = [named(s, settings.window, settings) for s in scenes]
    for sure in SURE:
        said = [(int(n.labels[n.scores >= sure].sum()), int((n.scores >= sure).sum())) for n in found]
        print(f"  called speaking from {sure:.2f}: right {share(said):.1f} %, {sum(s[1] for s in said)} times")
        if share(said) >= 100.0 * SURE_MEANS:
            return sure
    return SURE[-1]
