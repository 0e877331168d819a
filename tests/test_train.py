"""Training: the same seed gives the same course, a stop and a start give the same course, and it learns."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from made_shards import TINY, make_shards

from syncnet.errors import InputError
from syncnet.model.augment import AugmentConfig
from syncnet.model.checkpoint import load, load_model
from syncnet.model.pairs import PairsConfig
from syncnet.model.train import TrainConfig, evenly_by_speaker, rate, train

SMALL = TrainConfig(
    network=TINY, pairs=PairsConfig(snippet_frames=(20, 24), batch_frames=96, margin_s=0.1), steps=4, warmup=2,
    held_out=0.3, eval_steps=2, eval_clips=2, save_minutes=0.0, workers=0, tensorboard=False, compute="cpu",
    average_decay=0.9,
)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return make_shards(tmp_path_factory.mktemp("shards"), clips=10)


def test_same_seed_same_weights_and_resume_is_exact(shards: Path, tmp_path: Path) -> None:
    train([shards], tmp_path / "whole", SMALL, say=lambda text: None)

    def interrupt(text: str) -> None:
        if text.startswith("step 3 ("):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train([shards], tmp_path / "parts", SMALL, say=interrupt)
    assert load(tmp_path / "parts" / "last.pt")["step"] == 2
    train([shards], tmp_path / "parts", SMALL, say=lambda text: None)

    whole, parts = load(tmp_path / "whole" / "last.pt"), load(tmp_path / "parts" / "last.pt")
    assert whole["step"] == parts["step"] == 4
    for kind in ("model", "average", "loss"):
        assert all(torch.equal(whole[kind][k], parts[kind][k]) for k in whole[kind]), kind
    assert whole["metrics"] == parts["metrics"]
    lines = [[json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
             for name in ("whole", "parts")]
    losses = [{row["step"]: row["loss"] for row in log if "loss" in row} for log in lines]
    assert losses[0] == losses[1] and sorted(losses[0]) == [1, 2, 3]


def test_another_seed_gives_another_course(shards: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        train([shards], tmp_path / str(seed), replace(SMALL, seed=seed, steps=1), say=lambda text: None)
    a, b = (load_model(tmp_path / str(seed) / "last.pt").model.state_dict() for seed in (0, 1))
    assert not torch.equal(a["video_head.out.weight"], b["video_head.out.weight"])


@pytest.mark.parametrize("kind", ["softmax", "contrastive", "binary"])
def test_it_learns(shards: Path, tmp_path: Path, kind: str) -> None:
    config = replace(SMALL, steps=60, lr=3e-3, eval_steps=100, save_minutes=10.0, held_out=0.0, warmup=5, bf16=False,
                     pairs=replace(SMALL.pairs, augment=AugmentConfig.none()), loss=replace(SMALL.loss, kind=kind))
    train([shards], tmp_path, config, say=lambda text: None)
    losses = [row["loss"] for row in map(json.loads, (tmp_path / "log.jsonl").read_text().splitlines()) if "loss" in row]
    assert losses[-1] < 0.9 * losses[0]


def test_resuming_with_other_settings_is_refused(shards: Path, tmp_path: Path) -> None:
    train([shards], tmp_path, replace(SMALL, steps=1), say=lambda text: None)
    with pytest.raises(InputError, match="seed"):
        train([shards], tmp_path, replace(SMALL, steps=2, seed=5), say=lambda text: None)


def test_frozen_norms_and_accumulation_train(shards: Path, tmp_path: Path) -> None:
    config = replace(SMALL, frozen_norms=True, freeze_blocks=1, accumulate=2, calibrate_batches=2, steps=2)
    best = train([shards], tmp_path, config, say=lambda text: None)
    state = load(best)
    assert state["recipe"]["freeze_blocks"] == 1
    name = "video_trunk.blocks.0.s_1.conv.weight"
    assert torch.equal(state["model"][name], state["average"][name])
    assert state["model"]["video_trunk.blocks.0.s_1.norm.running_var"].ne(1).all()


def test_rate_warms_up_and_ends_low() -> None:
    config = TrainConfig(warmup=10, final_lr=0.01)
    assert rate(0.0, 0, config) == pytest.approx(0.1)
    assert rate(0.0, 9, config) == pytest.approx(1.0)
    assert rate(0.5, 500, config) == pytest.approx(0.505)
    assert rate(1.0, 1000, config) == pytest.approx(0.01)


def test_watched_clips_are_spread_over_speakers(shards: Path) -> None:
    from syncnet.model.shards import read_manifest

    clips = read_manifest(shards)
    twice = [*clips, *(replace(c, key=c.key + "b") for c in clips)]
    chosen = evenly_by_speaker(twice, 10)
    assert len({c.speaker for c in chosen}) == 10
    assert chosen == evenly_by_speaker(list(reversed(twice)), 10)


def test_missing_shards_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"manifest\.jsonl"):
        train([tmp_path], tmp_path / "out", SMALL)
