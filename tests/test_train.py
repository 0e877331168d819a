"""Training: the same seed gives the same course, a stop and a start give the same course, and it learns."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from made_shards import TINY, make_shards
from syncnet.errors import InputError
from syncnet.model.accuracy import Accuracy
from syncnet.model.augment import AugmentConfig
from syncnet.model.checkpoint import load, load_model
from syncnet.model.loss import LossConfig
from syncnet.model.network import SyncNet
from syncnet.model.optimise import rate
from syncnet.model.pairs import PairsConfig
from syncnet.model.shards import read_manifest
from syncnet.model.train import TrainConfig, evenly_by_speaker, train

SMALL = TrainConfig(
    network=TINY, pairs=PairsConfig(snippet_frames=(20, 24), batch_frames=96, margin_s=0.1), steps=4, warmup=2,
    held_out=0.3, eval_steps=2, eval_clips=2, save_minutes=0.0, workers=0, tensorboard=False, compute="cpu",
    average_decay=0.9,
)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return make_shards(tmp_path_factory.mktemp("shards"), clips=24)  # so many that a speaker may be held out


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
    assert whole["metrics"] == parts["metrics"] and set(whole["metrics"]) == {"K5", "K15", "K50", "whole"}
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
                     pairs=replace(SMALL.pairs, augment=AugmentConfig.none()), loss=LossConfig(kind=kind))  # type: ignore[arg-type]
    train([shards], tmp_path, config, say=lambda text: None)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in rows if "loss" in row]
    assert losses[-1] < 0.9 * losses[0]


def test_resuming_with_other_settings_is_refused(shards: Path, tmp_path: Path) -> None:
    train([shards], tmp_path, replace(SMALL, steps=1), say=lambda text: None)
    with pytest.raises(InputError, match=r"other settings \(seed\)"):
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
    clips = read_manifest(shards)
    twice = [*clips, *(replace(c, key=c.key + "b") for c in clips)]
    chosen = evenly_by_speaker(twice, 10)
    assert len({c.speaker for c in chosen}) == 10  # not the second clip of any before the first of all
    assert chosen == evenly_by_speaker(list(reversed(twice)), 10)


def test_missing_shards_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"manifest\.jsonl"):
        train([tmp_path], tmp_path / "out", SMALL)


def test_stops_early_when_nothing_gets_better(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = iter([0.3, 0.5, 0.4, 0.5, 0.9])

    def look(*_: object) -> list[Accuracy]:
        return [Accuracy(dict.fromkeys((5, 15, 50), next(shares)), 1.0, 2)]

    monkeypatch.setattr("syncnet.model.train._look", look)
    train([shards], tmp_path, replace(SMALL, steps=30, eval_steps=1, patience=2), say=lambda text: None)
    last, best = load(tmp_path / "last.pt"), load(tmp_path / "best.pt")
    assert (last["step"], last["stale"], last["best"]) == (4, 2, 0.5)
    assert (best["step"], best["metrics"]["K5"]) == (2, 0.5)


def test_the_clock_ends_a_course(shards: Path, tmp_path: Path) -> None:
    train([shards], tmp_path, replace(SMALL, minutes=0.02, eval_steps=None), say=lambda text: None)
    state = load(tmp_path / "last.pt")
    assert state["spent_s"] >= 1.2 and state["step"] > 0


@pytest.mark.slow
def test_two_processes_agree_and_workers_change_nothing(shards: Path, tmp_path: Path) -> None:
    """torchrun with two processes on the CPU: half the batch each, one course, one checkpoint."""
    script = tmp_path / "course.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nfrom test_train import SMALL\nfrom syncnet.model.train import train\n"
        "train([Path(sys.argv[1])], Path(sys.argv[2]), SMALL)\n")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script),
               str(shards), str(tmp_path / "two")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stderr.count("Traceback") == 0 and done.stdout.count("from step 0") == 1
    two = load(tmp_path / "two" / "last.pt")
    assert two["step"] == 4
    train([shards], tmp_path / "one", SMALL, say=lambda text: None)
    train([shards], tmp_path / "fed", replace(SMALL, workers=1), say=lambda text: None)
    one, fed = load(tmp_path / "one" / "last.pt"), load(tmp_path / "fed" / "last.pt")
    assert all(torch.equal(one["model"][k], fed["model"][k]) for k in one["model"])
    assert not torch.equal(one["model"]["video_head.out.weight"], two["model"]["video_head.out.weight"])


def test_killed_in_the_middle_it_goes_on(shards: Path, tmp_path: Path) -> None:
    """SIGKILL while it writes checkpoints at every step: the file is whole and the course goes on to its end."""
    script = tmp_path / "course.py"
    script.write_text(
        "import sys\nfrom dataclasses import replace\nfrom pathlib import Path\nfrom test_train import SMALL\n"
        "from syncnet.model.train import train\n"
        "train([Path(sys.argv[1])], Path(sys.argv[2]), replace(SMALL, steps=100000, eval_steps=10**6))\n")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent)}
    process = subprocess.Popen([sys.executable, str(script), str(shards), str(tmp_path / "run")], env=environment,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    log = tmp_path / "run" / "log.jsonl"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (log.is_file() and len(log.read_text().splitlines()) >= 4):
        time.sleep(0.05)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    stopped = load(tmp_path / "run" / "last.pt")["step"]
    assert stopped >= 18  # entry 4 of the log is step 20; at most the last step or two are lost
    longer = replace(SMALL, steps=stopped + 3, eval_steps=10**6)
    train([shards], tmp_path / "run", longer, say=lambda text: None)
    assert load(tmp_path / "run" / "last.pt")["step"] == stopped + 3
    assert not list((tmp_path / "run").glob("log.part"))


def test_both_pairs_of_heads_learn_and_are_looked_at(shards: Path, tmp_path: Path) -> None:
    config = replace(SMALL, steps=6, network=replace(SMALL.network, context=8),
                     loss=replace(SMALL.loss, guided=0.5), eval_steps=3)
    train([shards], tmp_path, config, say=lambda text: None)
    state = load(tmp_path / "last.pt")
    assert {"K5", "K5 wide", "whole wide"} <= set(state["metrics"])
    fresh = SyncNet(config.network)
    assert set(fresh.state_dict()) == set(state["model"])
    learned = len(state["optimiser"]["state"])
    assert learned == len(list(fresh.parameters())) + 2  # and two temperatures
