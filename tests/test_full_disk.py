"""Results onto a disk that is really full: said in words, nothing left under the final name, the original whole."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from repair_media import late_by, make

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the ffmpeg program makes the media")

Disk = Callable[[int], Path]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Mount a small file system in memory of so many kB; skips where that is not allowed."""
    place = tmp_path / "disk"
    place.mkdir()

    def mounted(size_kb: int) -> Path:
        if os.name != "posix" or os.geteuid() != 0 or shutil.which("mount") is None:
            pytest.skip("only root can mount a small disk")
        command = ["mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "tmpfs", str(place)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no small disk can be mounted: {done.stderr.strip()}")
        return place

    yield mounted
    if place.is_mount():
        subprocess.run(["umount", str(place)], check=True)


def syncnet(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1] / "src")}
    command = [sys.executable, "-m", "syncnet", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=300)


def test_the_disk_fills_up_while_fix_writes(disk: Disk, tmp_path: Path) -> None:
    source = make(tmp_path, "mp4", late_by(250))
    before = source.read_bytes()
    place = disk(max(64, len(before) // 1024 + 32))  # room for the file as it was, not for its sound uncompressed
    told = syncnet(
        "fix", source, "-o", place / "fixed.mov", "--offset", "250", "--no-verify", "--audio-codec", "pcm_s16le"
    )
    assert told.returncode == 2, told.stderr
    assert "could not be written: No space left on device. Nothing was kept." in told.stderr
    assert "Traceback" not in told.stderr
    assert list(place.iterdir()) == []
    assert source.read_bytes() == before


def test_a_full_disk_is_told_before_the_work(disk: Disk, tmp_path: Path) -> None:
    source = make(tmp_path, "mp4", late_by(250))
    place = disk(4)
    told = syncnet("fix", source, "-o", place / "fixed.mp4", "--offset", "250", "--no-verify")
    assert told.returncode == 2, told.stderr
    assert "make room or name another place" in told.stderr
    assert list(place.iterdir()) == []


def test_the_disk_is_full_in_place(disk: Disk, tmp_path: Path) -> None:
    made = make(tmp_path, "mp4", late_by(250))
    place = disk(made.stat().st_size * 3 // 2048)  # room for one and a half of it
    source = Path(shutil.copy(made, place))
    told = syncnet("fix", source, "--in-place", "--offset", "250", "--no-verify")
    assert told.returncode == 2, told.stderr
    assert "Traceback" not in told.stderr
    assert list(place.iterdir()) == [source]
    assert source.read_bytes() == made.read_bytes()


def test_the_report_of_detect_does_not_fit(disk: Disk, tmp_path: Path) -> None:
    source = make(tmp_path, "mp4", late_by(0))
    place = disk(4)
    told = syncnet("detect", source, "--html", place / "report.html")
    assert told.returncode == 2, told.stderr
    assert "report.html cannot be written: No space left on device" in told.stderr
    assert "Traceback" not in told.stderr
    assert list(place.iterdir()) == []
