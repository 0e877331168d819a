"""`syncnet detect` as a user meets it: good files, bad files, what is printed and the exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from made_shards import wear_norms
from syncnet.cli import main
from syncnet.model.checkpoint import Trained
from syncnet.model.export import export
from syncnet.model.network import SyncNet, SyncNetConfig

Clips = Callable[[str], Path]
SMALL = SyncNetConfig(
    name="small", video_widths=((4, 4), (4, 8), (8, 8)), shape_width=4, shape_features=8, audio_widths=(4, 4, 8, 8),
    audio_features=8, hidden=16,
)


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny network that has learned nothing: enough for everything but the truth of the answer."""
    torch.manual_seed(5)
    folder = tmp_path_factory.mktemp("model")
    export(Trained(wear_norms(SyncNet(SMALL)), 0, {}, {"seed": 5, "loss": {"kind": "softmax"}}), folder)
    return folder


@pytest.fixture
def run(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """Run the command line in this process."""

    def call(*arguments: str | Path, command: str = "detect") -> Outcome:
        words = ["syncnet", command, *map(str, arguments)]
        if command == "detect" and "--model" not in words:
            words += ["--model", str(model)]
        monkeypatch.setattr(sys, "argv", words)
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Outcome(code, out, err)

    return call


Run = Callable[..., Outcome]


def test_a_talking_face_gets_an_answer_in_words_and_json(run: Run, clip: Clips) -> None:
    path = clip("talking")
    plain = run(path)
    assert plain.code == 0 and plain.out.startswith(str(path)) and "audio" in plain.out
    told = run(path, "--json")
    answer = json.loads(told.out)
    assert {"file", "offset_ms", "confidence", "interval_ms", "trusted", "reasons", "words", "windows_used",
            "windows_total", "tracks", "model"} <= set(answer)
    assert -1000 <= answer["offset_ms"] <= 1000 and answer["windows_total"] > 50
    assert answer["words"] in plain.out
    (track,) = answer["tracks"]
    assert {"id", "start_s", "end_s", "offset_ms", "confidence"} <= set(track) and track["end_s"] > track["start_s"]


def test_csv_and_plot_are_written(run: Run, clip: Clips, tmp_path: Path) -> None:
    table, picture = tmp_path / "windows.csv", tmp_path / "plot.png"
    assert run(clip("talking"), "--csv", table, "--plot", picture).code == 0
    lines = table.read_text().splitlines()
    assert lines[0] == "file,track,time_s,offset_ms,confidence" and len(lines) > 50
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["plot.png", "windows.csv"]


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("text_named_mp4", 2, "not a video or audio file"),
        ("empty", 2, "empty"),
        ("truncated_mp4", 2, "moov"),
        ("no_video", 2, "no picture"),
        ("no_audio", 2, "no sound"),
        ("silent", 3, "silent"),
        ("no_face", 3, "no face"),
        ("three_frames", 3, "too short"),
        ("one_pixel", 3, "no face"),
        ("odd_size", 3, "no face"),
    ],
)
def test_bad_input_has_its_own_words_and_exit_code(run: Run, clip: Clips, name: str, code: int, says: str) -> None:
    done = run(clip(name))
    assert done.code == code
    assert says in done.out + done.err


@pytest.mark.parametrize("name", ["no_speech", "still", "cartoon", "one_fps"])
def test_what_cannot_be_measured_is_never_trusted(run: Run, clip: Clips, name: str) -> None:
    done = run(clip(name), "--json")
    answer = json.loads(done.out)
    assert done.code in (0, 3) and not answer["trusted"] and answer["reasons"]


def test_a_truncated_recording_is_used_as_far_as_it_goes(run: Run, clip: Clips) -> None:
    answer = json.loads(run(clip("truncated_mkv"), "--json").out)
    assert answer["offset_ms"] is not None and answer["problems"]


def test_missing_files_and_directories_are_named(run: Run, tmp_path: Path) -> None:
    missing, folder = run(tmp_path / "gone.mp4"), run(tmp_path)
    assert missing.code == 2 and "no such file" in missing.err
    assert folder.code == 2 and "directory" in folder.err


def test_one_bad_file_does_not_stop_the_others(run: Run, clip: Clips, tmp_path: Path) -> None:
    done = run(tmp_path / "gone.mp4", clip("talking"), "--json")
    first, second = (json.loads(line) for line in done.out.splitlines())
    assert done.code == 2 and first["error"] and second["offset_ms"] is not None


def test_outputs_that_cannot_be_written_are_refused_before_the_work(run: Run, clip: Clips, tmp_path: Path) -> None:
    done = run(clip("talking"), "--csv", tmp_path / "no" / "where.csv")
    assert done.code == 2 and "cannot be written" in done.err and not done.out
    assert run(clip("talking"), "--plot", tmp_path).code == 2


@pytest.mark.parametrize("options", [("--range", "0"), ("--range", "11"), ("--track", "99"), ("--audio-track", "7")])
def test_impossible_options_are_explained(run: Run, clip: Clips, options: tuple[str, str]) -> None:
    done = run(clip("talking"), *options)
    assert done.code == 2 and done.err


def test_an_unknown_model_lists_the_known(run: Run, clip: Clips) -> None:
    done = run(clip("talking"), "--model", "nobody")
    assert done.code == 2 and "no model" in done.err


def test_two_faces_give_two_tracks(run: Run, clip: Clips) -> None:
    answer = json.loads(run(clip("two_faces"), "--json").out)
    assert len(answer["tracks"]) == 2


def test_no_track_crosses_a_cut(run: Run, clip: Clips) -> None:
    answer = json.loads(run(clip("cuts"), "--json").out)
    starts = answer["shots"]
    assert len(starts) >= 2
    for track in answer["tracks"]:
        assert not any(track["start_s"] + 0.1 < s < track["end_s"] - 0.1 for s in starts)


def test_the_contact_sheet_is_drawn(run: Run, clip: Clips, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    done = run(clip("talking"), "--sheet", sheet, command="tracks")
    assert done.code == 0 and "track 0" in done.out and sheet.read_bytes().startswith(b"\x89PNG")
    assert run(clip("no_face"), command="tracks").code == 3
