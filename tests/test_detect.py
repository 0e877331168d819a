"""`syncnet detect` as a user meets it: good files, bad files, what is printed and the exit code."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

import face_speech
from clips import SEED
from made_shards import wear_norms
from syncnet.cli import main
from syncnet.model.checkpoint import Trained
from syncnet.model.export import export
from syncnet.model.network import SyncNet, SyncNetConfig
from talking_face import Scene, perform, write_movie

Clips = Callable[[str], Path]
PROGRAM = (sys.executable, "-m", "syncnet")
needs_voice = pytest.mark.skipif(not face_speech.available(), reason="needs espeak-ng")
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
def untaught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny network that has learned nothing."""
    torch.manual_seed(5)
    folder = tmp_path_factory.mktemp("model")
    export(Trained(wear_norms(SyncNet(SMALL)), 0, {}, {"seed": 5, "loss": {"kind": "softmax"}}), folder)
    return folder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run the command line in this process, with the model that ships."""

    def call(*arguments: str | Path, command: str = "detect") -> Outcome:
        monkeypatch.setattr(sys, "argv", ["syncnet", command, *map(str, arguments)])
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


BAD = [
    ("text_named_mp4", 2, "not a video or audio file"),
    ("empty", 2, "the file is empty"),
    ("truncated_mp4", 2, "index (moov) is missing"),
    ("no_video", 2, "no picture in this file"),
    ("no_audio", 2, "no sound in this file"),
    ("silent", 3, "the sound is silent"),
    ("no_face", 3, "no face was found"),
    ("cartoon", 3, "no face was found"),
    ("no_speech", 3, "no speech is heard"),
    ("still", 3, "the mouth does not move"),
    ("one_fps", 3, "too few pictures: 1 pictures a second"),
    ("three_frames", 3, "too short: 0.12 s"),
    ("one_pixel", 3, "no face was found"),
    ("odd_size", 3, "no face was found"),
]


@pytest.mark.parametrize(("name", "code", "says"), BAD)
def test_bad_input_has_its_own_words_and_exit_code(run: Run, clip: Clips, name: str, code: int, says: str) -> None:
    done = run(clip(name))
    assert done.code == code
    assert says in done.out + done.err
    assert len((done.out + done.err).splitlines()) == 1


@pytest.mark.parametrize("name", ["silent", "no_face", "no_speech", "still", "three_frames"])
def test_no_answer_is_null_with_a_reason(run: Run, clip: Clips, name: str) -> None:
    answer = json.loads(run(clip(name), "--json").out)
    assert answer["offset_ms"] is None and answer["interval_ms"] is None and not answer["trusted"]
    assert len(answer["reasons"]) == 1 and answer["confidence"] == 0 and answer["words"].startswith("no answer: ")
    assert all(t["offset_ms"] is None and t["reasons"] for t in answer["tracks"])


@needs_voice
def test_a_still_mouth_has_no_answer_however_much_is_said(run: Run, tmp_path: Path) -> None:
    """A listener on screen, a speaker off it."""
    seen = perform(Scene(seconds=4, seed=SEED, sound="silence"))
    heard = perform(Scene(seconds=4, seed=SEED, language="en-us"))
    path = tmp_path / "listener.mp4"
    write_movie(path, seen.frames, seen.clip.fps, heard.samples)
    done = run(path)
    assert done.code == 3 and "the mouth does not move" in done.out


def test_a_network_that_tells_nothing_gives_no_answer_rather_than_a_number(
    run: Run, clip: Clips, untaught: Path
) -> None:
    done = run(clip("talking"), "--model", untaught, "--json")
    answer = json.loads(done.out)
    assert done.code == 3 and answer["offset_ms"] is None
    assert "better than by chance" in answer["reasons"][0]
    assert answer["model"]["name"] == "small"


def test_a_truncated_recording_is_used_as_far_as_it_goes_and_says_so(run: Run, clip: Clips) -> None:
    done = run(clip("truncated_mkv"))
    assert done.code == 0 and "cut off: it ends at" in done.out
    answer = json.loads(run(clip("truncated_mkv"), "--json").out)
    assert answer["offset_ms"] is not None and len(answer["problems"]) == 1


def test_sound_that_ends_before_the_picture_is_named(run: Run, clip: Clips) -> None:
    answer = json.loads(run(clip("short_audio"), "--json").out)
    assert answer["problems"] == [
        "the sound lasts from 0.0 to 2.0 s, the picture from 0.0 to 6.0 s: only where there are both they are compared"
    ]
    assert 40 < answer["windows_total"] < 90  # 2 s of sound, and a second on for offsets up to that


@pytest.mark.slow
def test_a_small_face_in_a_huge_picture_is_measured(run: Run, clip: Clips) -> None:
    done = run(clip("huge"), "--json")
    (track,) = json.loads(done.out)["tracks"]
    assert track["end_s"] - track["start_s"] > 1.5 and 50 < track["face_px"] < 400


def test_missing_files_and_directories_are_named(run: Run, tmp_path: Path) -> None:
    missing, folder = run(tmp_path / "gone.mp4"), run(tmp_path)
    assert missing.code == 2 and "no such file" in missing.err
    assert folder.code == 2 and "directory" in folder.err


def test_one_bad_file_does_not_stop_the_others(run: Run, clip: Clips, tmp_path: Path) -> None:
    done = run(tmp_path / "gone.mp4", clip("talking"), "--json")
    first, second = (json.loads(line) for line in done.out.splitlines())
    assert done.code == 2 and first["error"] and second["offset_ms"] is not None


def test_outputs_that_cannot_be_written_are_refused_before_the_work(run: Run, clip: Clips, tmp_path: Path) -> None:
    for option in ("--csv", "--plot"):
        done = run(clip("talking"), option, tmp_path / "no" / "where.png")
        assert done.code == 2 and "cannot be written" in done.err and not done.out
        done = run(clip("talking"), option, tmp_path)
        assert done.code == 2 and "is a directory" in done.err and not done.out
    done = run(clip("talking"), "--plot", tmp_path / "plot.xyz")
    assert done.code == 2 and ".png" in done.err and not done.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs /dev/full, a disk that is always full")
def test_a_full_disk_is_named_and_a_device_is_never_replaced(run: Run, clip: Clips) -> None:
    done = run(clip("silent"), "--csv", "/dev/full")
    assert done.code == 2 and "device" in done.err and Path("/dev/full").is_char_device()
    with open("/dev/full", "w") as full:
        program = subprocess.run(
            [*PROGRAM, "detect", clip("empty"), "--json"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert program.returncode == 2 and program.stderr == "syncnet: No space left on device\n"


def test_control_c_in_the_middle_ends_with_130_and_leaves_nothing_half_written(clip: Clips, tmp_path: Path) -> None:
    table = tmp_path / "windows.csv"
    silent, talking = clip("silent"), clip("talking")
    words = [*PROGRAM, "detect", *map(str, [silent, *[talking] * 6]), "--csv", str(table)]

    def listen() -> None:
        """Where the tests run in the background, SIGINT is ignored, and a child would ignore it too."""
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True, preexec_fn=listen) as program:
        assert program.stdout is not None and program.stderr is not None
        assert "silent" in program.stdout.readline()  # one file is done, six are left
        program.send_signal(signal.SIGINT)
        said = program.stderr.read()
    assert program.returncode == 130
    assert said == "interrupted\n"
    assert list(tmp_path.iterdir()) == []


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
