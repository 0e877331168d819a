"""The constants of the decision, kept in a file."""

import json
from pathlib import Path

import pytest

from syncnet.active_speaker import WINDOWS
from syncnet.errors import InputError
from syncnet.speaker_model import SHIPPED, SpeakerModel, read_model, shipped_model, write_model


def test_the_shipped_constants_were_chosen_on_train_and_make_sense() -> None:
    model = shipped_model()
    chosen_on = json.loads(SHIPPED.read_text())["chosen_on"]
    assert chosen_on["split"] == "train" and chosen_on["held_out_of_training"]
    assert model.window in WINDOWS
    assert 0.5 < model.sure < 1.0
    for chance in (model.offscreen, model.together, model.change_voice, model.change_pause):
        assert 0.0 < chance < 1.0


def test_constants_read_back(tmp_path: Path) -> None:
    file = tmp_path / "speakers.json"
    wanted = SpeakerModel(gain=0.7, window=75)
    write_model(file, wanted, {"split": "train"})
    assert read_model(file) == wanted
    assert [p.name for p in tmp_path.iterdir()] == ["speakers.json"]


def test_a_file_that_lacks_constants_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "speakers.json"
    file.write_text('{"constants": {"gain": 1.0, "loudness": 2.0}}')
    with pytest.raises(InputError, match="loudness"):
        read_model(file)
    file.write_text("[]")
    with pytest.raises(InputError, match="no constants"):
        read_model(file)
    with pytest.raises(InputError, match="no constants"):
        read_model(tmp_path / "none.json")
