"""Settings of training by file and by name, and what is said when they do not fit."""

import json
from pathlib import Path

import pytest

from syncnet.errors import InputError
from syncnet.model.settings import read_settings
from syncnet.model.train import TrainConfig


def test_file_then_pairs_then_options(tmp_path: Path) -> None:
    file = tmp_path / "course.json"
    file.write_text(json.dumps({"steps": 10, "lr": 1, "pairs": {"snippet_frames": [30], "augment": {"flip": 0}}}))
    pairs = ["pairs.batch_frames=90", "loss.kind=binary", "minutes=3"]
    config = read_settings(TrainConfig(), file, pairs, {"steps": 20})
    assert (config.steps, config.lr, config.minutes) == (20, 1.0, 3.0)
    assert config.pairs.snippet_frames == (30,) and config.pairs.batch_frames == 90
    assert config.pairs.augment.flip == 0.0 and config.pairs.augment.jpeg == TrainConfig().pairs.augment.jpeg
    assert config.loss.kind == "binary"


@pytest.mark.parametrize(("pair", "words"), [
    ("depth=3", "no setting depth"),
    ("pairs.depth=3", r"no setting pairs\.depth"),
    ("lr.x=3", "one value"),
    ("steps=many", "does not fit"),
    ("steps=1.5", "does not fit"),
    ("bf16=1", "does not fit"),
    ("loss.kind=hinge", "does not fit"),
    ("steps", "name=value"),
    ("network.frames=7", "see 5 frames"),
])
def test_what_does_not_fit_is_said(pair: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_settings(TrainConfig(), None, [pair], {})


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        read_settings(TrainConfig(), tmp_path / "none.json", [], {})
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(InputError, match="one JSON object"):
        read_settings(TrainConfig(), tmp_path / "list.json", [], {})
