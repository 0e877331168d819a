"""How well lips are read from trained, tuned and random features: held-out sentences of one speaker, and other people.

    python benchmarks/lipread.py --data ../shared/data --shards shards/base --work lipread-work

`--shards` holds the train split as `syncnet prepare` made it; the dev split's GRID sentences are prepared here. Train
rows alone are learned from; the last 200 sentences of s1 by file name and the dev rows only measure. Prints a Markdown
table, a line per row, per cent. A row is an input of `syncnet lipread train`, before it `wide` for the heads that see
19 frames, and before that `random` for a network of the same shape with random weights, which is standardised just as
the trained one is. Features are kept in `--work`, so that a stopped run goes on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from syncnet.encoder import Encoder
from syncnet.model.checkpoint import Trained
from syncnet.model.export import export
from syncnet.model.lip_course import learn
from syncnet.model.lip_evaluate import CHANCE, HELD_OUT, OTHERS, Group
from syncnet.model.lip_features import find_sentences, trunk_features
from syncnet.model.lipread import LipTraining
from syncnet.model.network import SyncNet, SyncNetConfig
from syncnet.model.prepare import prepare
from syncnet.model.settings import read_settings
from syncnet.model.sources import find_sources
from syncnet.sentences import GRID, code_in

HELD = 200
LETTER = [slot.name for slot in GRID].index("letter")
WHO = ("s1's last 200", "other people (dev)")
WHAT = ("words", "letters", "sentences")


ROWS = (
    "embeddings", "wide embeddings", "features", "tuned",
    "random embeddings", "random wide embeddings", "random features",
)  # fmt: skip


def random_model(like: Encoder, folder: Path, *, wide: bool) -> Path:
    """A model of the same shape with random weights, seed 0, exported once; `wide`: its heads that see 19 frames."""
    if wide:
        random_model(like, folder, wide=False)
    out = folder.with_name(f"{folder.name}-wide") if wide else folder
    if not (out / "syncnet-model.json").is_file():
        torch.manual_seed(0)
        model = SyncNet(SyncNetConfig.from_dict(like.model.description["config"])).eval()
        export(Trained(model, 0, {}, {}), out, name=out.name, wide=wide, trunks=folder.name if wide else None)
    return out


def encoder_of(row: str, given: Encoder, wide: Encoder, work: Path, threads: int) -> Encoder:
    """The encoder whose features a row is about."""
    if row.startswith("random "):
        return Encoder(random_model(given, work / "random", wide="wide" in row), threads=threads)
    return wide if row.startswith("wide ") else given


def line(row: str, groups: Sequence[Group]) -> str:
    """A row of the table: words and whole sentences of s1's held-out sentences, then of other people's."""
    cells = [row]
    for name in (HELD_OUT, OTHERS):
        (group,) = (g for g in groups if g.name == name)
        letters = group.right[LETTER] / group.sentences
        cells += [f"{100 * share:.1f}" for share in (group.words, letters, group.whole / group.sentences)]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--model", default="syncnet")
    parser.add_argument("--wide", default="syncnet-wide", help="the model on the same trunk whose heads see 19 frames")
    parser.add_argument("--rows", nargs="*", default=ROWS)
    parser.add_argument("--set", dest="pairs", action="append", default=[], help="a setting of the course, name=value")
    parser.add_argument("--threads", type=int, default=2)
    wanted = parser.parse_args()
    dev = wanted.work / "dev-shards"
    prepare([s for s in find_sources(wanted.data, split="dev") if s.corpus == "grid" and code_in(s.name)], dev)
    own, others = find_sentences([wanted.shards]), find_sentences([dev])
    given, wide = (Encoder(name, threads=wanted.threads) for name in (wanted.model, wanted.wide))
    print(f"models {given.model.identity}, {wide.model.identity}")
    print(f"{len(own)} sentences of the train split, {len(others)} of dev; guessing: {100 * CHANCE:.1f} % of words")
    print(f"\n| input | {' | '.join(f'{who}: {what}' for who in WHO for what in WHAT)} |\n|{'---|' * 7}", flush=True)
    for row in wanted.rows:
        used = encoder_of(row, given, wide, wanted.work, wanted.threads)
        settings = read_settings(LipTraining(), None, wanted.pairs, {"source": row.split()[-1]})

        def progress(done: int, total: int, row: str = row) -> None:
            if done % 100 == 0 or done == total:
                print(f"{row}: {done} of {total}", file=sys.stderr)

        features = trunk_features([*own, *others], used, wanted.work / "cache", progress)
        learnt = learn(
            [*own, *others], features, used, settings, held_out=HELD, threads=wanted.threads,
            also=[s.name for s in others], on_epoch=progress,
        )  # fmt: skip
        print(line(row, learnt.groups), flush=True)


if __name__ == "__main__":
    main()
