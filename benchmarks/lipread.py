"""How well lips are read from frozen, tuned and random features: held-out sentences of one speaker, and other speakers.

    python benchmarks/lipread.py --data ../shared/data --shards shards/base --work lipread-work

`--shards` holds the train split as `syncnet prepare` made it; the dev split's GRID sentences are prepared here. Train
rows alone are learned from; the last 200 sentences of s1 by file name and the dev rows only measure. Prints a Markdown
table per row, per cent of words. Features are kept in `--work`, so that a stopped run goes on.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from syncnet.encoder import Encoder, find_model
from syncnet.model.checkpoint import Trained
from syncnet.model.export import export
from syncnet.model.lip_course import learn
from syncnet.model.lip_evaluate import HELD_OUT, OTHERS, as_table
from syncnet.model.lip_features import find_sentences, trunk_features
from syncnet.model.lipread import LipTraining
from syncnet.model.network import SyncNet, SyncNetConfig
from syncnet.model.prepare import find_sources, prepare
from syncnet.model.settings import read_settings
from syncnet.sentences import code_in

HELD = 200


def random_model(like: Encoder, folder: Path) -> Path:
    """A model of the same shape with random weights, seed 0, exported once."""
    if not (folder / "syncnet-model.json").is_file():
        torch.manual_seed(0)
        config = SyncNetConfig.from_dict(like.model.description["config"])
        export(Trained(SyncNet(config).eval(), 0, {}, {}), folder, name="random")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--model", default="syncnet")
    parser.add_argument("--rows", nargs="*", default=["embeddings", "features", "tuned", "random features"])
    parser.add_argument("--set", dest="pairs", action="append", default=[], help="a setting of the course, name=value")
    parser.add_argument("--threads", type=int, default=2)
    wanted = parser.parse_args()
    dev = wanted.work / "dev-shards"
    prepare([s for s in find_sources(wanted.data, split="dev") if s.corpus == "grid" and code_in(s.name)], dev)
    own, others = find_sentences([wanted.shards]), find_sentences([dev])
    encoder = Encoder(wanted.model, threads=wanted.threads)
    print(f"model {find_model(wanted.model).identity}, {len(own)} train sentences, {len(others)} dev sentences\n")
    for row in wanted.rows:
        random = row.startswith("random ")
        used = Encoder(random_model(encoder, wanted.work / "random"), threads=wanted.threads) if random else encoder
        source = row.removeprefix("random ")
        settings = read_settings(LipTraining(), None, wanted.pairs, {"source": source})

        def progress(done: int, total: int, row: str = row) -> None:
            if done % 100 == 0 or done == total:
                print(f"{row}: {done} of {total}", file=sys.stderr)

        features = trunk_features([*own, *others], used, wanted.work / "cache", progress)
        learnt = learn(
            [*own, *others], features, used, settings, held_out=HELD, threads=wanted.threads,
            also=[s.name for s in others], on_epoch=progress,
        )  # fmt: skip
        groups = [g for g in learnt.groups if g.name in (HELD_OUT, OTHERS)]
        print(f"**{row}**\n\n{as_table(groups)}\n", flush=True)


if __name__ == "__main__":
    main()
