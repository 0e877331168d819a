"""Does refinement pay? Plants faults into training clips, refines, counts what is found and lost, and trains anew.

    python benchmarks/refinement.py SHARDS... --out DIR --model runs/first/best.pt --clips 800
    python benchmarks/refinement.py SHARDS... --out DIR --model runs/first/best.pt --in-scores
    python benchmarks/refinement.py SHARDS... --out DIR --clips 800 --steps 600 --teacher lr_asd_talkset.pt

Every fifth clip of the training speakers is spoilt: half of them get the sound of another speaker, half are shifted by
200 to 900 ms, early or late. Only manifests are rewritten.

With --model an existing checkpoint judges; it has seen the clips as they were, so what it finds is an upper end. With
--in-scores the shards are scored as they are and the faults put into the scores: the curves of a stranger's sound in
the place of the clip's own, or its own moved; that takes seconds once `syncnet refine` has scored them (copy its
OUT/scores to DIR/scores). With --steps a network is trained on the spoilt set from the start and judges what it learned
from; then it goes on, once on the spoilt and once on the cleaned set, for as many steps each. Accuracy is measured on
the held-out training speakers, whose clips are never spoilt. Run again to go on after a stop. Prints tables; everything
is of the train split.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from syncnet.model.accuracy import Accuracy, measure
from syncnet.model.cleaned import read_rows, write_refined
from syncnet.model.course import TrainConfig
from syncnet.model.fits import Fit, score_clips
from syncnet.model.optimise import keep_memory
from syncnet.model.pairs import split_speakers
from syncnet.model.refine import RefineConfig, Verdict, judge
from syncnet.model.separation import Line
from syncnet.model.settings import read_settings
from syncnet.model.shards import MANIFEST, Clip, read_manifest, read_manifests
from syncnet.model.shipped import identity, trained_model
from syncnet.model.train import evenly_by_speaker, train

SHARE = 0.2
SHIFT_MS = (200.0, 900.0)
UNDONE_MS = 100.0  # a shifted clip that is re-aligned to within this of where it was is mended
SHORT_FRAMES = 50
Row = dict[str, Any]


@dataclass(frozen=True)
class Plant:
    """A fault put into the clip `key`: kind "wrong sound" or "shift", and the offset it now has (ms)."""

    key: str
    kind: str
    offset_ms: float = 0.0


def plant(rows: Sequence[tuple[Path, Row]], spoilable: set[str], out: Path, seed: int) -> list[Plant]:
    """Write a manifest with faults into `out`, and which they are; returns them."""
    rng = np.random.default_rng(seed)
    keys = sorted(str(row["key"]) for _, row in rows if row["key"] in spoilable)
    chosen = set(rng.permutation(keys)[: round(SHARE * len(rows))].tolist())
    by_shard: dict[tuple[Path, str], list[Row]] = {}
    for folder, row in rows:
        by_shard.setdefault((folder, row["shard"]), []).append(row)
    plants, lines = [], []
    for folder, row in rows:
        new = {**row, "folder": str(folder.resolve() / str(row.get("folder", ".")))}
        if row["key"] in chosen:
            donors = [d for d in by_shard[folder, row["shard"]]
                      if d["speaker"] != row["speaker"] and d["sound_samples"] >= row["frames"] * 640]
            if donors and rng.random() < 0.5:
                donor = donors[int(rng.integers(len(donors)))]
                spare = donor["sound_samples"] / 16000 - row["frames"] / 25
                new |= {"sound_at": donor["sound_at"], "sound_samples": donor["sound_samples"],
                        "sound_lead_s": round(float(rng.uniform(0.0, spare)), 6)}
                plants.append(Plant(row["key"], "wrong sound"))
            else:
                shift = float(rng.choice([-1.0, 1.0]) * rng.uniform(*SHIFT_MS))
                new["sound_lead_s"] = round(row["sound_lead_s"] - shift / 1000.0, 6)
                plants.append(Plant(row["key"], "shift", shift))
        lines.append(new)
    out.mkdir(parents=True, exist_ok=True)
    (out / "planted.json").write_text(json.dumps([vars(p) for p in plants]))
    (out / MANIFEST).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return plants


def plant_in_scores(clips: Sequence[Clip], fits: Sequence[Fit | None], seed: int
                    ) -> tuple[list[Fit | None], list[Plant]]:
    """The same faults in what the network found: curves of a stranger's sound, or the clip's own moved."""
    rng = np.random.default_rng(seed)
    changed, plants = list(fits), []
    for n, (clip, fit) in enumerate(zip(clips, fits, strict=True)):
        if fit is None or len(fit.stranger_depth) < 2 or rng.random() >= SHARE:
            continue
        if rng.random() < 0.5:
            changed[n] = replace(fit, depth=fit.stranger_depth[0], stranger_depth=fit.stranger_depth[1:])
            plants.append(Plant(clip.key, "wrong sound"))
        else:
            hops = int(rng.choice([-1, 1]) * rng.integers(round(SHIFT_MS[0] / 10), round(SHIFT_MS[1] / 10) + 1))
            changed[n] = replace(fit, depth=_moved(fit.depth, hops), known=_moved(fit.known, hops),
                                 votes=_moved(fit.votes, hops), stranger_depth=_moved(fit.stranger_depth, hops))
            plants.append(Plant(clip.key, "shift", 10.0 * hops))
    return changed, plants


def _moved(curves: NDArray[np.float32], hops: int) -> NDArray[np.float32]:
    """Curves (..., M) as they are when the sound comes `hops` * 10 ms later; nothing is known beyond the range."""
    moved = np.zeros_like(curves)
    if hops >= 0:
        moved[..., hops:] = curves[..., :curves.shape[-1] - hops]
    else:
        moved[..., :hops] = curves[..., -hops:]
    return moved


def choose(clips: Sequence[Clip], most: int | None) -> set[str]:
    """Keys of `most` clips, no corpus with more than half of them."""
    if most is None:
        return {c.key for c in clips}
    order = sorted(clips, key=lambda c: hashlib.sha1(c.key.encode()).digest())
    chosen: set[str] = set()
    counts: dict[str, int] = {}
    for clip in order:
        counts[clip.corpus] = counts.get(clip.corpus, 0) + 1
        if counts[clip.corpus] <= most // 2 and len(chosen) < most:
            chosen.add(clip.key)
    return chosen


def score(clips: Sequence[Clip], store: Path, checkpoint: Path) -> list[Fit | None]:
    """Score clips as `syncnet refine` does."""
    trained = trained_model(checkpoint)
    total, done = sum(c.frames for c in clips), 0

    def tell(frames: int) -> None:
        nonlocal done
        done += frames
        print(f"\rscored {done} of {total} frames", end="", file=sys.stderr, flush=True)

    fits = score_clips(trained.model, clips, store=store, identity=identity(checkpoint), on_done=tell)
    print(file=sys.stderr)
    return fits


def refine(folder: Path, out: Path, checkpoint: Path) -> tuple[list[Clip], tuple[Verdict, ...], tuple[Line, ...]]:
    """What `syncnet refine` does."""
    clips = read_manifest(folder)
    refined = judge(clips, score(clips, out / "scores", checkpoint), RefineConfig())
    write_refined(out, read_rows([folder]), refined)
    return clips, refined.verdicts, refined.lines


def report(clips: Sequence[Clip], verdicts: Sequence[Verdict], plants: Sequence[Plant], lines: Sequence[Line]) -> None:
    """Print what was found and what was lost, by length."""
    planted = {p.key: p for p in plants}
    print("\n| clips | planted | found | wrong sound | shift | shifts mended | good | dropped | moved 100 ms | lost |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, low, high in (("all", 0, 10**9), ("under 2 s", 0, SHORT_FRAMES),
                            ("2 s and longer", SHORT_FRAMES, 10**9), ("4 s and longer", 100, 10**9)):
        part = [(c, v) for c, v in zip(clips, verdicts, strict=True) if low <= c.frames < high]
        bad = [(planted[c.key], v) for c, v in part if c.key in planted]
        good = [v for c, v in part if c.key not in planted]
        moved = [v for v in good if v.spans and abs(v.offset_ms) > UNDONE_MS]
        gone = [v for v in good if not v.spans]
        kinds = [[(p, v) for p, v in bad if p.kind == kind] for kind in ("wrong sound", "shift")]
        mended = [v for p, v in kinds[1] if v.spans and abs(v.offset_ms - p.offset_ms) <= UNDONE_MS]
        found = [_found(p, v) for p, v in bad]
        cells = [f"{len(bad)}", _share(sum(found), len(bad)),
                 *(_share(sum(_found(p, v) for p, v in kind), len(kind)) for kind in kinds),
                 _share(len(mended), len(kinds[1])), f"{len(good)}", f"{len(gone)}", f"{len(moved)}",
                 _share(len(gone) + len(moved), len(good))]
        print(f"| {name} ({len(part)}) | {' | '.join(cells)} |")
    for name, line in zip(("under 2 s", "2 to 4 s", "longer"), lines, strict=True):
        if line.clips:
            print(f"line, {name}: {line.score:.1f}; it expects {line.wrong:.0%} wrong, {line.found:.0%} of them found, "
                  f"{line.lost:.0%} of the good lost")


def _found(fault: Plant, verdict: Verdict) -> bool:
    """Whether a planted clip is gone, or back where it belongs."""
    if not verdict.spans:
        return True
    return fault.kind == "shift" and abs(verdict.offset_ms - fault.offset_ms) <= UNDONE_MS


def _share(part: int, whole: int) -> str:
    return f"{part} = {100 * part / whole:.1f} %" if whole else "–"


def course(folder: Path, run: Path, config: TrainConfig, teacher: Path | None, start: Path | None,
           watched: Sequence[Clip]) -> tuple[Path, Accuracy]:
    """Train on a manifest to the end of the schedule and measure the last averaged weights on clean clips."""
    train([folder], run, config, teacher=teacher, start=start, say=lambda text: print(text, file=sys.stderr))
    last = run / "last.pt"
    return last, measure(trained_model(last).model, watched, device=torch.device("cpu"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", type=Path, help="a checkpoint that judges, instead of one trained here")
    parser.add_argument("--in-scores", action="store_true", help="put the faults into the scores of all clips")
    parser.add_argument("--clips", type=int, help="use so many clips (and the watched ones of held-out speakers)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help="steps of the first course, and of each that follows")
    parser.add_argument("--minutes", type=float, help="length of the courses by the clock instead")
    parser.add_argument("--config", type=Path, help="settings of training, a JSON file")
    parser.add_argument("--teacher", type=Path)
    parser.add_argument("--set", action="append", default=[], help="one setting as name=JSON")
    given = parser.parse_args()
    keep_memory()
    length = {"minutes": given.minutes} if given.minutes else {"steps": given.steps or 600}
    config = read_settings(TrainConfig(frozen_norms=given.teacher is not None, eval_steps=10**9), given.config,
                           given.set, {**length, "seed": given.seed})

    clips = read_manifests(given.shards)
    held = split_speakers(clips, config.held_out, config.held_out_salt)[1]
    if given.in_scores:
        if given.model is None:
            parser.error("--in-scores needs --model")
        fits, plants = plant_in_scores(clips, score(clips, given.out / "scores", given.model), given.seed)
        refined = judge(clips, fits, RefineConfig())
        print(f"split: train; {len(clips)} clips, {len(plants)} spoilt in their scores; judged by {given.model}")
        report(clips, refined.verdicts, plants, refined.lines)
        return
    retrain = given.model is None or given.steps is not None or given.minutes is not None
    watched = evenly_by_speaker(held, config.eval_clips) if retrain else []
    own = {c.key for c in held}
    chosen = choose([c for c in clips if c.key not in own], given.clips) | {c.key for c in watched}
    rows = [(folder, row) for folder, row in read_rows(given.shards) if row["key"] in chosen]
    spoilt = given.out / "spoilt"
    if (spoilt / MANIFEST).is_file():
        plants = [Plant(**p) for p in json.loads((spoilt / "planted.json").read_text())]
    else:
        plants = plant(rows, chosen - own, spoilt, given.seed)
    print(f"split: train; {len(rows)} clips, {len(plants)} of them spoilt; held out: {len(watched)} clips of "
          f"{len({c.speaker for c in watched})} speakers")

    judge_checkpoint, results = given.model, []
    if given.model is None:
        judge_checkpoint, first = course(spoilt, given.out / "first", config, given.teacher, None, watched)
        results.append(("trained on the spoilt set", first))
    print(f"judged by {judge_checkpoint}")
    judged, verdicts, lines = refine(spoilt, given.out / "clean", judge_checkpoint)
    report(judged, verdicts, plants, lines)
    if not retrain:
        return
    longer = replace(config, seed=given.seed + 1)
    for name, folder in (("spoilt", spoilt), ("clean", given.out / "clean")):
        _, then = course(folder, given.out / f"second-{name}", longer, None, judge_checkpoint, watched)
        results.append((f"... and as long again on the {name} set", then))
    print("\naccuracy on held-out training speakers, within one frame of 31 candidates")
    for text, result in results:
        print(f"  {text:45s} {result}")


if __name__ == "__main__":
    main()
