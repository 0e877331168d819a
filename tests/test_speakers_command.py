"""`syncnet speakers` and `syncnet evaluate speakers` as a user meets them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import face_speech
from clips import SEED
from face_layers import Image
from syncnet.cli import main
from syncnet.container import open_media
from syncnet.people import letters
from syncnet.speaker_truth import read_ava, read_rttm
from talking_face import Scene, perform, write_movie

Clips = Callable[[str], Path]
needs_voice = pytest.mark.skipif(not face_speech.available(), reason="needs espeak-ng")


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["syncnet", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Outcome(code, out, err)

    return call


def sounds(path: Path) -> list[bytes]:
    with open_media(path) as container:
        return [bytes(p) for p in container.demux(container.streams.audio[0]) if p.size]


def test_everything_that_is_asked_for_is_written(run: Run, clip: Clips, tmp_path: Path) -> None:
    path = clip("two_faces")
    done = run(
        "speakers", path, "--json", "--csv", tmp_path / "t.csv", "--rttm", tmp_path / "t.rttm",
        "--video", tmp_path / "t.mp4", "--clips", tmp_path / "turns", "--timeline", tmp_path / "t.png",
        "--thumbnails", tmp_path / "people", "--window", "25", "--quiet",
    )  # fmt: skip
    assert done.code == 0, done.err
    answer = json.loads(done.out)
    assert answer["window_frames"] == 25
    assert [p["name"] for p in answer["people"]] == ["A", "B"]
    rows = read_ava(tmp_path / "t.csv")
    assert {r.entity for r in rows} == {"two_faces:A", "two_faces:B"}
    assert len(rows) == sum(round(25 * (f["end_s"] - f["start_s"])) for f in answer["faces"])
    if answer["turns"]:
        assert len(read_rttm(tmp_path / "t.rttm")) == len(answer["turns"])
    assert sounds(tmp_path / "t.mp4") == sounds(path)
    visible = [t for t in answer["turns"] if t["speaker"]]
    assert len(list((tmp_path / "turns").glob("*.mp4"))) == len(visible)
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(p.name for p in (tmp_path / "people").iterdir()) == ["A.png", "B.png"]


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("text_named_mp4", 2, "not a video or audio file"),
        ("empty", 2, "the file is empty"),
        ("truncated_mp4", 2, "index (moov) is missing"),
        ("no_video", 2, "no picture in this file"),
        ("no_audio", 2, "no sound in this file"),
        ("silent", 3, "no voice was heard"),
        ("no_face", 3, "no face was found"),
        ("cartoon", 3, "no face was found"),
        ("three_frames", 3, "no face was found"),
        ("one_pixel", 3, "no face was found"),
        ("odd_size", 3, "no face was found"),
    ],
)
def test_bad_input_has_its_own_words_and_exit_code(run: Run, clip: Clips, name: str, code: int, says: str) -> None:
    done = run("speakers", clip(name), "--quiet")
    assert done.code == code
    assert says in done.out + done.err


@pytest.mark.parametrize("name", ["truncated_mkv", "still", "one_fps", "short_audio", "cuts", "no_speech"])
def test_odd_input_does_no_harm(run: Run, clip: Clips, name: str) -> None:
    done = run("speakers", clip(name), "--json", "--quiet")
    assert done.code in (0, 3)
    answer = json.loads(done.out)
    for turn in answer["turns"]:
        assert -0.01 <= turn["start_s"] < turn["end_s"] <= answer["duration_s"] + 0.1


def test_wrong_use_is_said_before_the_long_work(run: Run, clip: Clips, tmp_path: Path) -> None:
    path = clip("two_faces")
    for arguments, says in (
        ((path, path, "--video", tmp_path / "x.mp4"), "give a single file"),
        ((path, "--video", tmp_path / "x.webm"), ".mp4, .mov, .mkv"),
        ((path, "--video", path), "is the recording itself"),
        ((path, "--timeline", tmp_path / "x.txt"), "plots are written as"),
        ((path, "--csv", tmp_path / "none" / "x.csv"), "there is no folder"),
        ((path, "--clips", path), "is a file"),
    ):
        done = run("speakers", *arguments)
        assert done.code == 2 and says in done.err, done.err
    assert list(tmp_path.iterdir()) == []
    assert run("speakers", path, "--window", "0", "--quiet").code == 2


def test_one_bad_file_does_not_stop_the_others(run: Run, clip: Clips) -> None:
    done = run("speakers", clip("empty"), clip("no_face"), "--json", "--quiet")
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert done.code == 2
    assert lines[0]["turns"] is None and "empty" in lines[0]["error"]
    assert "no face" in lines[1]["reasons"][0]


def grid(pictures: Iterator[Image], rows: int, columns: int) -> Iterator[Image]:
    for picture in pictures:
        yield np.tile(picture, (rows, columns, 1))


@pytest.mark.slow
@needs_voice
def test_thirty_faces_of_whom_all_move_alike(run: Run, tmp_path: Path) -> None:
    done = perform(Scene(seconds=1.6, seed=SEED, language="en-us", size=(180, 180)))
    path = tmp_path / "thirty.mp4"
    write_movie(path, grid(done.frames, 5, 6), done.clip.fps, done.samples)
    found = run("speakers", path, "--json", "--quiet")
    answer = json.loads(found.out)
    assert found.code == 0
    assert [p["name"] for p in answer["people"]] == [letters(n) for n in range(30)]


@needs_voice
def test_one_face_twice_as_in_a_mirror(run: Run, tmp_path: Path) -> None:
    done = perform(Scene(seconds=3, seed=SEED, language="en-us"))
    path = tmp_path / "mirror.mp4"
    write_movie(path, (np.hstack([p, p[:, ::-1]]) for p in done.frames), done.clip.fps, done.samples)
    found = run("speakers", path, "--json", "--quiet")
    answer = json.loads(found.out)
    assert found.code == 0 and len(answer["people"]) == 2
    assert abs(answer["faces"][0]["score"] - answer["faces"][1]["score"]) < 1.5  # both follow the sound alike


@needs_voice
def test_a_face_that_enters_and_leaves(run: Run, tmp_path: Path) -> None:
    done = perform(Scene(seconds=4, seed=SEED, language="en-us"))

    def passing(pictures: Iterator[Image]) -> Iterator[Image]:
        for number, picture in enumerate(pictures):
            yield picture if 25 <= number < 75 else np.full_like(picture, 90)

    path = tmp_path / "passing.mp4"
    write_movie(path, passing(done.frames), done.clip.fps, done.samples)
    answer = json.loads(run("speakers", path, "--json", "--quiet").out)
    (face,) = answer["faces"]
    assert face["start_s"] == pytest.approx(1.0, abs=0.1) and face["end_s"] == pytest.approx(3.0, abs=0.1)
    assert all(t["speaker"] is None for t in answer["turns"] if t["end_s"] < 0.9 or t["start_s"] > 3.1)


@needs_voice
def test_two_who_speak_at_once(run: Run, tmp_path: Path) -> None:
    left = perform(Scene(seconds=3, seed=SEED, language="en-us"))
    right = perform(Scene(seconds=3, seed=SEED + 1, language="en-us"))
    assert left.samples is not None and right.samples is not None
    count = min(len(left.samples), len(right.samples))
    path = tmp_path / "both.mp4"
    pictures = (np.hstack(pair) for pair in zip(left.frames, right.frames, strict=False))
    mixed = ((left.samples[:count] + right.samples[:count]) / 2).astype(np.float32)
    write_movie(path, pictures, left.clip.fps, mixed)
    found = run("speakers", path, "--json", "--quiet")
    answer = json.loads(found.out)
    assert found.code == 0 and len(answer["people"]) == 2
    assert sum(b - a for a, b in answer["voice"]) > 1.5


def test_evaluate_compares_a_table_with_labels(run: Run, tmp_path: Path) -> None:
    labels, found = tmp_path / "labels.csv", tmp_path / "found.csv"
    labels.write_text("talk,1.0,0.1,0.1,0.3,0.4,SPEAKING_AUDIBLE,a\ntalk,1.0,0.6,0.1,0.8,0.4,NOT_SPEAKING,b\n")
    found.write_text("talk,1.0,0.1,0.1,0.3,0.4,SPEAKING_AUDIBLE,A,0.9\ntalk,1.0,0.6,0.1,0.8,0.4,SPEAKING_AUDIBLE,B,0.8\n")
    done = run("evaluate", "speakers", labels, "--found", found, "--json")
    (figures,) = json.loads(done.out)["figures"]
    assert done.code == 0
    assert figures["average_precision"] == 1.0 and figures["accuracy"] == 0.5 and figures["found"] == 1.0
    plain = run("evaluate", "speakers", labels, "--found", found)
    assert "AP 100.0 %" in plain.out and "accuracy  50.0 %" in plain.out
    for arguments in ((labels,), (labels, labels, "--found", found)):
        assert run("evaluate", "speakers", *arguments).code == 2


def test_evaluate_runs_the_product_at_every_window(run: Run, clip: Clips, tmp_path: Path) -> None:
    labels = tmp_path / "two_faces.rttm"
    labels.write_text("SPEAKER two_faces 1 0.000 5.000 <NA> <NA> right <NA> <NA>\n")
    done = run("evaluate", "speakers", labels, clip("two_faces"), "--window", "25", "--window", "100", "--json", "-q")
    figures = json.loads(done.out)["figures"]
    assert done.code == 0 and [f["window"] for f in figures] == [25, 100]
    assert all(0.0 <= f["accuracy"] <= 1.0 and f["moments"] == 125 for f in figures)
