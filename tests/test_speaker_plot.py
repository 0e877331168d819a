"""The timeline and the thumbnails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from made_media import ffmpeg, needs_ffmpeg
from made_speakers import finished
from syncnet.errors import InputError
from syncnet.speaker_plot import save_thumbnails, save_timeline, thumbnails


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("films") / "panel.mp4"
    picture = "color=c=gray:s=320x180:r=25:d=4,drawbox=x=20:y=40:w=80:h=100:c=red:t=fill"
    ffmpeg("-f", "lavfi", "-i", picture, "-pix_fmt", "yuv420p", path)
    return path


def read(path: Path) -> np.ndarray:
    return np.asarray(cv2.imread(str(path)))


@needs_ffmpeg
def test_thumbnails_show_each_person(film: Path, tmp_path: Path) -> None:
    pictures = thumbnails(finished(), film)
    assert set(pictures) == {"A", "B"}
    assert pictures["A"].shape == (128, 128, 3)
    assert pictures["A"][64, 64, 2] > 150 > pictures["B"][64, 64, 2]
    save_thumbnails(pictures, tmp_path / "people")
    assert sorted(p.name for p in (tmp_path / "people").iterdir()) == ["A.png", "B.png"]
    np.testing.assert_array_equal(read(tmp_path / "people" / "A.png"), pictures["A"])


def test_the_timeline_is_green_where_somebody_speaks(tmp_path: Path) -> None:
    path = tmp_path / "who.png"
    result = replace(finished(), shots=(0.0, 2.5))
    save_timeline(result, {"A": np.full((128, 128, 3), 90, np.uint8)}, path)
    picture = read(path).astype(int)
    blue, green, red = picture[..., 0], picture[..., 1], picture[..., 2]
    assert ((green > red + 40) & (green > blue + 40)).sum() > 2000  # sure turns
    assert ((red > blue + 60) & (green > blue + 40) & (red > green)).sum() > 1000  # the unsure one, amber
    assert [p.name for p in tmp_path.iterdir()] == ["who.png"]


@pytest.mark.parametrize("name", ["who.xyz", "none/who.png"])
def test_a_timeline_that_cannot_be_written_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        save_timeline(finished(), {}, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_result_without_people_still_has_a_timeline(tmp_path: Path) -> None:
    empty = replace(finished(), people=(), faces=())
    save_timeline(empty, {}, tmp_path / "who.svg")
    assert "<svg" in (tmp_path / "who.svg").read_text()
