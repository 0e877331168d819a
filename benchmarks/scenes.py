"""Who speaks in made scenes: a table of ours and the peer's, on the dev split; and the tuning, on people of the train
split whom the model has not learned from.

python benchmarks/scenes.py [--model NAME_OR_FOLDER] [--no-peer] [--no-films]
python benchmarks/scenes.py --tune [--model NAME_OR_FOLDER] [--more FOLDER]     choose the decision's constants anew
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from corpus import SHARED
from lr_asd import WEIGHTS
from scene_clips import Cast, HeldOut, cast_of
from scene_make import KINDS, NOBODY, OFFSCREEN, made_scenes
from scene_run import Named, PeerWatcher, Seen, Watcher, named, peer_named

from syncnet.active_speaker import WINDOWS
from syncnet.encoder import DEFAULT_MODEL, Encoder
from syncnet.speaker_metrics import agreement, average_precision
from syncnet.speaker_model import shipped_model

DEV_SEED, TRAIN_SEED = 6, 7
COPIES = 4  # of the whole list of scenes, each with other people by lot: 12 scenes of four faces say little
HEADLINE = KINDS[:3]
"""Kinds of scenes that the figures for so many faces are over: one voice, voices in turn, the same changing places."""

WANTED = {(2, 25): 80.0, (2, 100): 92.0, (4, 25): 70.0, (4, 100): 85.0}
"""Per cent of moments to be named right, by faces and window."""

LONG_TURN = 50  # frames (2 s) from which an off-screen turn counts


def right(found: Named, seen: Seen) -> tuple[int, int]:
    """Moments with voice at which exactly the right one was named, and moments with voice."""
    voiced = seen.truth != NOBODY
    return int((found.who == seen.truth)[voiced].sum()), int(voiced.sum())


def share(pairs: Sequence[tuple[int, int]]) -> float:
    """Per cent over sums."""
    total = sum(p[1] for p in pairs)
    return 100.0 * sum(p[0] for p in pairs) / total if total else float("nan")


def forced(found: Named, seen: Seen) -> tuple[int, int]:
    """Of the moments at which a visible face speaks, those at which it is the likeliest of the faces."""
    visible = seen.truth >= 0
    return int((found.chosen == seen.truth)[visible].sum()), int(visible.sum())


def offscreen_turns(found: Named, seen: Seen) -> tuple[int, int]:
    """Off-screen turns over 2 s that were recognised (in most of their moments), and how many there are."""
    hit = count = 0
    for voice in seen.scene.voices:
        if voice.person == OFFSCREEN and voice.last - voice.first > LONG_TURN:
            turn = slice(voice.first, voice.last)
            voiced = seen.truth[turn] == OFFSCREEN
            hit += int((found.who[turn][voiced] == OFFSCREEN).mean() > 0.5) if voiced.any() else 0
            count += 1
    return hit, count


Naming = Callable[[int], list[Named]]
"""From a window to whom was named in each scene."""


def table(title: str, scenes: Sequence[Seen], naming: Naming, windows: Sequence[int]) -> dict[int, list[Named]]:
    """Print per cent of moments named right by kind and window; returns what was named, by window."""
    found = {w: naming(w) for w in windows}
    print(f"\n{title}: per cent of the moments with voice at which exactly the right one is named")
    print(f"  {'':40s} scenes" + "".join(f"   K={w:<4d}" for w in windows))

    def line(label: str, wanted: Callable[[Seen], bool], measure: Callable[[Named, Seen], tuple[int, int]]) -> None:
        cells = [share([measure(n, s) for n, s in zip(found[w], scenes, strict=True) if wanted(s)]) for w in windows]
        count = sum(1 for s in scenes if wanted(s))
        print(f"  {label:40s} {count:6d}" + "".join(f"  {c:6.1f}" for c in cells))

    for faces in (2, 3, 4):
        line(f"{faces} faces", lambda s, f=faces: s.scene.faces == f and s.scene.kind in HEADLINE, right)  # type: ignore[misc]
    for kind in KINDS:
        line(kind, lambda s, k=kind: s.scene.kind == k, right)  # type: ignore[misc]
    line("off-screen turns over 2 s recognised", lambda s: True, offscreen_turns)
    line("a face speaks: likeliest of the faces", lambda s: True, forced)
    for faces in (2, 4):
        chosen = [k for k, s in enumerate(scenes) if s.scene.faces == faces and s.scene.kind in HEADLINE]
        for name, measure in (("AP", _ap), ("F1 of each face at each frame", _f1)):
            cells = [100.0 * measure([found[w][k] for k in chosen]) for w in windows]
            print(f"  {f'{faces} faces, {name}':40s} {len(chosen):6d}" + "".join(f"  {c:6.1f}" for c in cells))
    return found


def _ap(found: list[Named]) -> float:
    return average_precision(np.concatenate([n.scores for n in found]), np.concatenate([n.labels for n in found]))


def _f1(found: list[Named]) -> float:
    said = np.concatenate([(n.who == np.arange(len(n.scores) // len(n.who))[:, None]).reshape(-1) for n in found])
    return agreement(said, np.concatenate([n.labels for n in found])).f1


def verdicts(scenes: Sequence[Seen], found: dict[int, list[Named]], window: int) -> None:
    """Print the wanted figures beside the measured ones."""
    print("\nwanted and measured (dev):")
    for (faces, w), wanted in WANTED.items():
        pairs = [
            right(n, s)
            for n, s in zip(found[w], scenes, strict=True)
            if s.scene.faces == faces and s.scene.kind in HEADLINE
        ]
        _verdict(f"{faces} faces, window {w}", share(pairs), wanted)
    turns = [offscreen_turns(n, s) for n, s in zip(found[window], scenes, strict=True)]
    _verdict(f"off-screen turns over 2 s, window {window}", share(turns), 80.0)


def _verdict(label: str, measured: float, wanted: float) -> None:
    verdict = "ok" if measured >= wanted else "short"
    print(f"  {label:40s} wanted {wanted:5.1f} %  measured {measured:5.1f} %  {verdict}")


def watch_all(title: str, people: Sequence[Cast], model: str, seed: int, every: int = 1, copies: int = 1) -> list[Seen]:
    """All made scenes of some people, or every so many of them, each seen once."""
    cv2.setNumThreads(1)
    watcher = Watcher(Encoder(model, threads=1))
    scenes = []
    for number, scene in enumerate(made_scenes(people, seed, copies)):
        if number % every == 0:
            scenes.append(watcher.watch(scene))
        print(f"\r{title}: {number + 1} scenes of {len(people)} people", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return scenes


def measure(model: str, *, peer: bool, films: bool, every: int) -> None:
    """Print the tables on dev."""
    scenes = watch_all("dev", cast_of("dev"), model, DEV_SEED, every, COPIES)
    window = shipped_model().window
    print(f"split: dev, seed {DEV_SEED}, {len(scenes)} scenes; model {model}; constants (window {window}) from train")
    windows = sorted({*WINDOWS, window})
    found = table("syncnet speakers", scenes, lambda w: [named(s, w) for s in scenes], windows)
    if peer:
        watcher = PeerWatcher()
        scores = [watcher.scores(s.scene) for s in scenes]
        table(
            "the peer, LR-ASD (TalkSet weights)",
            scenes,
            lambda w: [peer_named(x, s.truth, w) for x, s in zip(scores, scenes, strict=True)],
            windows,
        )
    verdicts(scenes, found, window)
    if films:
        from scene_film import measure_films

        measure_films([s.scene for s in scenes], model)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--tune", action="store_true", help="choose the constants on train and write them down")
    parser.add_argument("--more", type=Path, nargs="*", default=[], help="further folders of train clips to tune on")
    parser.add_argument("--no-peer", action="store_true", help="leave LR-ASD out (it needs PyTorch)")
    parser.add_argument("--no-films", action="store_true", help="leave out the scenes that are filmed and read back")
    parser.add_argument("--every", type=int, default=1, help="only every so many of the scenes, to be quicker")
    given = parser.parse_args()
    if not (SHARED / "data" / "manifest.csv").is_file():
        print(f"no made scenes: there is no corpus at {SHARED} (set SYNCNET_SHARED).", file=sys.stderr)
        sys.exit(1)
    if given.tune:
        from scene_tune import tune

        people = cast_of("train", HeldOut.of(given.model), given.more)
        tune(watch_all("train", people, given.model, TRAIN_SEED, given.every, COPIES), given.model, len(people))
        return
    peer = not given.no_peer and WEIGHTS.is_file()
    if not peer and not given.no_peer:
        print(f"the peer is left out: there are no weights at {Path(WEIGHTS)}.", file=sys.stderr)
    measure(given.model, peer=peer, films=not given.no_films, every=given.every)


if __name__ == "__main__":
    main()
