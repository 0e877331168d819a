"""Reading lips from files: what is printed and refused. The reader is tiny and random: what it reads means nothing."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from syncnet.commands.lipread import app
from syncnet.encoder import Encoder
from syncnet.errors import InputError, NoAnswer
from syncnet.lip_report import as_document, as_lines
from syncnet.lipread import ONLY_KNOWS, LipReader, Reading, as_words, read, read_card
from syncnet.sentences import GRID

Clip = Callable[[str], Path]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tiny random model, and a random reader that claims to have learned from it."""
    torch = pytest.importorskip("torch")
    from dataclasses import replace

    from made_shards import TINY, wear_norms
    from syncnet.model.checkpoint import Trained
    from syncnet.model.export import export as export_model
    from syncnet.model.lip_export import export
    from syncnet.model.lip_network import LipClassifier, LipConfig
    from syncnet.model.lipread import LipTraining
    from syncnet.model.network import SyncNet

    model, reader = tmp_path_factory.mktemp("model"), tmp_path_factory.mktemp("reader")
    torch.manual_seed(1)
    config = replace(TINY, name="small", crop_size=111, embedding=256)
    export_model(Trained(wear_norms(SyncNet(config)), 0, {}, {}), model)
    classifier = LipClassifier(LipConfig("features", config.video_features)).eval()
    export(classifier, reader, Encoder(model, threads=1), [], LipTraining())
    return model, reader


@pytest.fixture(scope="module")
def reader(folders: tuple[Path, Path]) -> LipReader:
    return LipReader(folders[1], Encoder(folders[0], threads=1), threads=1)


@pytest.fixture(scope="module")
def film(clip: Clip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of a drawn person who talks."""
    from talking_face import make

    clip("talking")  # skips where there is no voice
    return Path(make(tmp_path_factory.mktemp("film") / "s9_bbaf2n.mp4", seconds=3, seed=3, language="en-us").path)


@pytest.fixture(scope="module")
def readings(film: Path, reader: LipReader) -> tuple[Reading, ...]:
    return read(film, reader)


def test_a_sentence_of_the_grammar_with_probabilities(readings: tuple[Reading, ...]) -> None:
    (reading,) = readings
    assert reading.start_s == pytest.approx(0.0, abs=0.05) and reading.end_s == pytest.approx(3.0, abs=0.05)
    assert reading.notes == ()
    for word, slot in zip(reading.words, GRID, strict=True):
        assert word.slot == slot.name
        assert {word.word, *(other for other, _ in word.others)} == set(slot.words)
        chances = [word.probability, *(chance for _, chance in word.others)]
        assert sum(chances) == pytest.approx(1.0, abs=1e-5) and chances == sorted(chances, reverse=True)
    assert reading.sentence.split() == [word.word for word in reading.words]


def test_the_same_file_is_read_the_same(film: Path, reader: LipReader, readings: tuple[Reading, ...]) -> None:
    assert read(film, reader) == readings


def test_scores_become_chances_by_hand() -> None:
    chances = [np.full(len(slot.words), 1 / len(slot.words), np.float32) for slot in GRID]
    chances[4] = np.array([0.0, 0.1, 0.6, 0.2, 0.1, 0, 0, 0, 0, 0], np.float32)
    words = as_words(chances)
    assert words[4].word == "two" and words[4].probability == pytest.approx(0.6)
    assert [other for other, _ in words[4].others[:3]] == ["three", "one", "four"]
    assert words[0].word == "bin"  # of equals the first
    text = as_lines(Reading(0, 0.0, 3.0, words, ("a doubt",)), faces=1)
    assert text.splitlines()[0] == "0.00-3.00 s: bin blue at a two again"
    assert "digit       two     0.60   or three 0.20, one 0.10" in text and text.endswith("note: a doubt")
    assert "(face 3)" in as_lines(Reading(3, 0.0, 3.0, words), faces=2)


def test_the_document_holds_everything(readings: tuple[Reading, ...], reader: LipReader, film: Path) -> None:
    document = json.loads(json.dumps(as_document(film, readings, reader.identity)))
    assert document["file"] == str(film) and document["only_knows"] == ONLY_KNOWS
    assert document["reader"]["encoder"]["hash"] == reader.encoder.model.identity["hash"]
    (face,) = document["faces"]
    assert face["sentence"] == readings[0].sentence
    assert [len(word["others"]) + 1 for word in face["words"]] == [4, 4, 4, 25, 10, 4]


def test_a_longer_clip_is_doubted_and_a_much_longer_one_refused(
    clip: Clip, reader: LipReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    six = clip("talking")
    (reading,) = read(six, reader)
    assert "seen for 6.0 s; the sentences it learned from last 3 s" in reading.notes[0]
    monkeypatch.setattr("syncnet.lipread.MOST_S", 5.0)
    with pytest.raises(NoAnswer, match="more than 5 s, which is more than one sentence"):
        read(six, reader)


def test_without_a_face_or_a_file_there_is_no_sentence(clip: Clip, reader: LipReader, tmp_path: Path) -> None:
    with pytest.raises(NoAnswer, match="a face must be followed for 2 s to be read; none was found"):
        read(clip("no_face"), reader)
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "absent.mp4", reader)


def test_a_reader_of_another_model_is_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    model, folder = folders
    card = json.loads((folder / "lipread.json").read_text())
    (tmp_path / "classifier.onnx").write_bytes((folder / "classifier.onnx").read_bytes())
    (tmp_path / "lipread.json").write_text(json.dumps({**card, "encoder": {"name": "other", "hash": "abc"}}))
    with pytest.raises(InputError, match=r"learned from the model with hash abc, not from .*train it again"):
        LipReader(tmp_path, Encoder(model, threads=1))


@pytest.mark.parametrize("content", [None, "", "[]", '{"name": "lipread"}'])
def test_a_folder_without_a_reader_is_said(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "lipread.json").write_text(content)
    with pytest.raises(InputError, match=r"holds no lip reader: make one with `syncnet lipread train`"):
        read_card(tmp_path)


def test_the_command_prints_the_sentence_and_what_it_is_worth(
    film: Path, folders: tuple[Path, Path], readings: tuple[Reading, ...]
) -> None:
    options = ["--reader", str(folders[1]), "--model", str(folders[0])]
    done = CliRunner().invoke(app, ["read", str(film), *options])
    assert done.exit_code == 0, done.output
    assert readings[0].sentence in done.stdout and "command" in done.stdout
    assert "it only knows sentences of the GRID corpus" in done.stderr
    document = json.loads(CliRunner().invoke(app, ["read", str(film), *options, "--json"]).stdout)
    assert document["faces"][0]["sentence"] == readings[0].sentence


def test_reading_does_not_import_torch() -> None:
    import subprocess
    import sys

    code = "import sys, syncnet.lipread, syncnet.lip_report, syncnet.model.lip_evaluate; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
