"""`syncnet fix` and the verdict options of `syncnet detect`, as a user meets them."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from repair_media import ffmpeg, late_by, lateness, make, packets
from syncnet.cli import main
from syncnet.commands.verdict_options import limits_from, worse
from syncnet.errors import InputError

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the ffmpeg program makes the media")


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line in this process."""

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


def test_a_known_offset_is_repaired(run: Run, tmp_path: Path) -> None:
    source, out = make(tmp_path, "mp4", late_by(250)), tmp_path / "fixed.mp4"
    told = run("fix", source, "-o", out, "--offset", "250", "--no-verify")
    assert told.code == 0, told.err
    assert "250 ms earlier" in told.out and "aac" in told.out and str(out) in told.out
    assert lateness(out) == pytest.approx(0, abs=2)


def test_json_tells_all_of_it(run: Run, tmp_path: Path) -> None:
    source, out = make(tmp_path, "mkv", late_by(-150)), tmp_path / "fixed.mkv"
    told = run("fix", source, "-o", out, "--offset=-150", "--no-verify", "--mode", "timestamps", "--json")
    answer = json.loads(told.out)
    assert told.code == 0
    assert (answer["outcome"], answer["written"], answer["mode"]) == ("repaired", str(out), "timestamps")
    assert answer["before"] is None and abs(answer["misplaced_ms"]) < 2
    assert any("150 ms later" in step for step in answer["plan"])
    assert packets(out, 1).digest == packets(source, 1).digest


def test_dry_run_writes_nothing(run: Run, tmp_path: Path) -> None:
    source = make(tmp_path, "mp4", late_by(250))
    before = sorted(p.name for p in tmp_path.iterdir())
    told = run("fix", source, "--offset", "250", "--no-verify", "--dry-run")
    assert told.code == 0 and "would move the sound 250 ms earlier" in told.out
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_in_place(run: Run, tmp_path: Path) -> None:
    source = make(tmp_path, "mp4", late_by(250))
    told = run("fix", source, "--offset", "250", "--no-verify", "--in-place")
    assert told.code == 0 and lateness(source) == pytest.approx(0, abs=2)


def test_the_second_sound_track_is_repaired_alone(run: Run, tmp_path: Path) -> None:
    source = make(tmp_path, "mp4", late_by(200))
    two, out = tmp_path / "two.mp4", tmp_path / "fixed.mp4"
    ffmpeg("-v", "error", "-i", source, "-map", "0:v", "-map", "0:a", "-map", "0:a", "-c", "copy", two)
    told = run("fix", two, "-o", out, "--offset", "200", "--no-verify", "--audio-track", "1")
    assert told.code == 0, told.err
    assert lateness(out, track=0) == pytest.approx(200, abs=2) and lateness(out, track=1) == pytest.approx(0, abs=2)
    assert packets(out, 1).digest == packets(two, 1).digest


def test_without_a_face_nothing_is_touched(run: Run, tmp_path: Path) -> None:
    source, out = make(tmp_path, "mp4", late_by(250)), tmp_path / "fixed.mp4"
    told = run("fix", source, "-o", out, "--json")
    assert told.code == 3 and "--offset MS" in told.err
    assert json.loads(told.out)["outcome"] == "failed"
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "-o OUT"),
        (("--mode", "guess", "-o", "x.mp4"), "samples or timestamps"),
        (("-o", "missing/x.mp4"), "missing or not writable"),
        (("-o", "x.talk", "--offset", "5", "--no-verify"), ".mp4 or .mkv"),
        (("-o", "x.mp4", "--range", "50"), "between 0.1 and 10"),
        (("-o", "x.mp4", "--audio-track", "4"), "no audio track 4"),
        (("--in-place", "-o", "x.mp4"), "--in-place"),
    ],
)
def test_wrong_use(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    source = make(tmp_path, "mp4", late_by(0))
    monkeypatch.chdir(tmp_path)
    told = run("fix", source, *arguments)
    assert told.code == 2 and words in told.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip.mp4", "sound.wav"]


def test_a_missing_file(run: Run, tmp_path: Path) -> None:
    told = run("fix", tmp_path / "gone.mp4", "-o", tmp_path / "x.mp4")
    assert told.code == 2 and "no such file" in told.err


def test_verdict_options_are_checked_before_the_work(run: Run, tmp_path: Path) -> None:
    for arguments, words in (
        (("--check",), "--norm NAME"),
        (("--norm", "ebu"), "ebu-r37"),
        (("--norm", "film", "--tolerance", "1,2"), "one of them"),
        (("--tolerance", "40"), "LEAD,LAG"),
    ):
        told = run("detect", tmp_path / "gone.mp4", *arguments)
        assert told.code == 2 and words in told.err


def test_limits_and_exit_codes() -> None:
    assert limits_from(None, None, check=False) is None
    film, own = limits_from("film", None, check=True), limits_from(None, "10,20", check=True)
    assert film is not None and film.lag_ms == 83
    assert own is not None and [*own.range_ms] == [-10, 20]
    with pytest.raises(InputError):
        limits_from(None, None, check=True)
    assert [worse(0, 1), worse(1, 3), worse(3, 2), worse(2, 1), worse(0, 0)] == [1, 3, 2, 2, 0]


def test_detect_judges_and_reports(run: Run, clip: Callable[[str], Path], tmp_path: Path) -> None:
    page = tmp_path / "out.html"
    told = run("detect", clip("talking"), "--json", "--tolerance", "2000,2000", "--check", "--html", page)
    answer = json.loads(told.out)
    assert answer["verdict"]["allowed_ms"] == [-2000, 2000]
    assert answer["verdict"]["state"] in ("pass", "warn", "none")
    assert told.code == (3 if answer["verdict"]["state"] == "none" else 0)
    assert answer["timeline"]["kind"] in ("in sync", "constant", "drift", "steps", "intermittent", "undecided")
    html = page.read_text()
    assert answer["verdict"]["words"] in html and "data:image/jpeg;base64," in html
    strict = run("detect", clip("late"), "--json", "--tolerance", "0,0", "--check")
    state = json.loads(strict.out)["verdict"]["state"]
    assert state in ("fail", "none") and strict.code == {"fail": 1, "none": 3}[state]
