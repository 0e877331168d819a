"""Pictures: the grid by nearest presentation time, luma alike in every pixel format, always upright."""

import gc
import struct
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from av.video.frame import VideoFrame
from hypothesis import given, settings
from hypothesis import strategies as st

from made_media import ffmpeg, needs_ffmpeg
from syncnet.errors import InputError
from syncnet.media import frames, probe
from syncnet.pictures import Picture, _in_order, _on_grid

GREY_LEVELS = "color=0x404040:s=66x34:r=5:d=0.4,drawbox=w=20:h=20:c=0xC0C0C0:t=fill,format=rgb24"
DARK, LIGHT = round(16 + 0x40 * 219 / 255), round(16 + 0xC0 * 219 / 255)


@settings(deadline=None)
@given(
    start=st.floats(-5, 50),
    steps=st.lists(st.floats(0.002, 0.5), min_size=1, max_size=40),
    fps=st.sampled_from([25.0, 10.0, 29.97]),
)
def test_every_grid_time_gets_the_picture_nearest_to_it(start: float, steps: list[float], fps: float) -> None:
    times = start + np.concatenate([[0.0], np.cumsum(steps)])
    pictures = [Picture(float(t), float(t) + 0.04, cast("VideoFrame", i)) for i, t in enumerate(times)]
    found = list(_on_grid(pictures, fps))
    for k, (time, chosen) in enumerate(found):
        assert time == pytest.approx(start + k / fps, abs=1e-9)
        assert abs(times[cast("int", chosen)] - time) == pytest.approx(np.abs(times - time).min(), abs=1e-9)
    assert times[-1] + 0.04 - found[-1][0] <= 1 / fps + 0.0011, "the grid goes on to the end of the last picture"


@needs_ffmpeg
@pytest.mark.parametrize(("fps", "pictures"), [("25", 50), ("50", 50), ("24", 50), ("60000/1001", 50), ("5", 50)])
def test_the_grid_has_25_pictures_a_second_whatever_the_file_has(tmp_path: Path, fps: str, pictures: int) -> None:
    path = tmp_path / "clip.mp4"
    ffmpeg("-f", "lavfi", "-i", f"testsrc=s=64x64:r={fps}:d=2", "-c:v", "libx264", "-pix_fmt", "yuv420p", path)
    found = list(frames(path))
    assert len(found) == pytest.approx(pictures, abs=1)
    assert np.diff([frame.time for frame in found]) == pytest.approx(0.04)
    assert found[0].luma.dtype == np.uint8 and found[0].luma.shape == (64, 64)
    assert found[0].luma.flags.c_contiguous


@needs_ffmpeg
@pytest.mark.parametrize(
    ("container", "encoder", "pixels"),
    [
        ("mkv", "libx264", "yuv420p"),
        ("mkv", "libx264", "yuvj420p"),
        ("mkv", "libx264", "yuv444p"),
        ("mkv", "libx265 -x265-params log-level=error", "yuv420p10le"),
        ("mkv", "libx264rgb", "rgb24"),
        ("mkv", "ffv1", "gray"),
        ("mkv", "ffv1", "gray10le"),
        ("mkv", "ffv1", "yuv420p16le"),
        ("mkv", "ffv1", "bgr0"),
        ("mkv", "ffv1", "yuv410p"),
        ("mov", "prores_ks", "yuv422p10le"),
        ("mov", "png", "rgb24"),
        ("mov", "rawvideo", "uyvy422"),
        ("avi", "mjpeg", "yuvj422p"),
        ("avi", "rawvideo", "nv12"),
        ("avi", "rawvideo", "rgb555le"),
        ("avi", "rawvideo", "pal8"),
    ],
)
def test_luma_is_limited_range_whatever_the_pixel_format(
    tmp_path: Path, container: str, encoder: str, pixels: str
) -> None:
    path = tmp_path / f"clip.{container}"
    split = ",split[a][b];[a]palettegen[p];[b][p]paletteuse" if pixels == "pal8" else ""
    ffmpeg("-f", "lavfi", "-i", GREY_LEVELS + split, "-c:v", *encoder.split(), "-pix_fmt", pixels, path)
    luma = next(frames(path)).luma
    assert luma.shape == (34, 66)
    assert int(luma[10, 10]) == pytest.approx(LIGHT, abs=4)
    assert int(luma[30, 60]) == pytest.approx(DARK, abs=4)


@needs_ffmpeg
@pytest.mark.parametrize("pixels", ["gray", "yuv420p", "yuv420p10le"])
@pytest.mark.parametrize("size", ["1x1", "17x33", "2x400", "641x3"])
def test_odd_sizes(tmp_path: Path, size: str, pixels: str) -> None:
    path = tmp_path / "clip.mkv"
    width, height = map(int, size.split("x"))
    white = tmp_path / "white.gray"
    white.write_bytes(b"\xff" * (width * height * 5))
    raw: list[str | Path] = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", size, "-r", "25", "-i", white]
    ffmpeg(*raw, "-c:v", "ffv1", "-pix_fmt", pixels, path)
    luma = next(frames(path)).luma
    assert luma.shape == (height, width)
    assert luma.min() > 230


@pytest.fixture(scope="module")
def corner(tmp_path_factory: pytest.TempPathFactory) -> Callable[[tuple[int, int, int, int]], Path]:
    """Makes 64x32 files, white in the coded upper left corner, with a display matrix (a, b, c, d) in their header."""
    folder = tmp_path_factory.mktemp("corner")
    plain = folder / "plain.mp4"
    marked = "color=black:s=64x32:r=25:d=0.2,drawbox=w=16:h=8:c=white:t=fill"
    ffmpeg("-f", "lavfi", "-i", marked, "-c:v", "libx264", "-pix_fmt", "yuv420p", plain)

    def make(matrix: tuple[int, int, int, int]) -> Path:
        a, b, c, d = (value * 65536 for value in matrix)
        data = bytearray(plain.read_bytes())
        struct.pack_into(">9i", data, data.index(b"tkhd") + 44, a, b, 0, c, d, 0, 0, 0, 1 << 30)
        path = folder / f"{matrix}.mp4"
        path.write_bytes(data)
        return path

    return make


@needs_ffmpeg
@pytest.mark.parametrize(
    ("matrix", "rotation"),
    [
        ((1, 0, 0, 1), 0),
        ((0, 1, -1, 0), 270),
        ((-1, 0, 0, -1), 180),
        ((0, -1, 1, 0), 90),
        ((-1, 0, 0, 1), None),
        ((1, 0, 0, -1), None),
        ((0, 1, 1, 0), None),
        ((0, -1, -1, 0), None),
    ],
)
def test_pictures_are_turned_and_mirrored_upright(
    corner: Callable[[tuple[int, int, int, int]], Path], matrix: tuple[int, int, int, int], rotation: int | None
) -> None:
    path = corner(matrix)
    luma = next(frames(path)).luma
    a, b, c, d = matrix
    # Where the corner's middle and the picture's far corner go by ISO/IEC 14496-12: x' = a x + c y, y' = b x + d y.
    width, height = abs(a * 64 + c * 32), abs(b * 64 + d * 32)
    x, y = a * 8 + c * 4, b * 8 + d * 4
    rows, columns = np.nonzero(luma > 128)
    assert luma.shape == (height, width)
    assert columns.mean() + 0.5 == pytest.approx(x % width, abs=1)
    assert rows.mean() + 0.5 == pytest.approx(y % height, abs=1)
    video = probe(path).video[0]
    assert (video.width, video.height) == (width, height)
    if rotation is not None:
        assert video.rotation == rotation


@needs_ffmpeg
def test_cover_art_is_not_video(tmp_path: Path) -> None:
    cover, song = tmp_path / "cover.png", tmp_path / "song.m4a"
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x64", "-frames:v", "1", cover)
    attach = ["-map", "0", "-map", "1", "-c:a", "aac", "-c:v", "copy", "-disposition:v", "attached_pic"]
    ffmpeg("-f", "lavfi", "-i", "sine=d=1", "-i", cover, *attach, song)
    assert probe(song).video == ()
    with pytest.raises(InputError, match="no video stream"):
        next(frames(song))


@pytest.mark.parametrize(
    ("times", "kept"),
    [
        ([0.0, 0.04, 0.08], [0.0, 0.04, 0.08]),
        ([0.0, 0.04, 9.0, 0.12, 0.16], [0.0, 0.04, 0.12, 0.16]),
        ([0.0, 0.04, -9.0, 0.12, 0.16], [0.0, 0.04, 0.12, 0.16]),
        ([99.0, 0.04, 0.08], [0.04, 0.08]),
        ([0.0, 0.04, 0.04, 0.08], [0.0, 0.04, 0.08]),
        ([0.0, 0.08, 0.04, 0.12], [0.0, 0.08, 0.12]),
        ([0.0, 30.0, 60.0], [0.0, 30.0, 60.0]),
    ],
)
def test_one_damaged_time_does_not_hide_the_pictures_after_it(times: list[float], kept: list[float]) -> None:
    pictures = [Picture(time, time + 0.04, cast("VideoFrame", None)) for time in times]
    assert [picture.time for picture in _in_order(pictures)] == kept


@needs_ffmpeg
def test_pictures_are_let_go_without_waiting_for_the_collector_of_cycles(tmp_path: Path) -> None:
    film = tmp_path / "film.mkv"
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x36:r=25:d=1", "-c:v", "ffv1", film)
    gc.collect()
    gc.disable()
    try:
        shown = list(frames(film))
        held = [found for found in gc.get_objects() if type(found) is VideoFrame]
    finally:
        gc.enable()
    assert len(shown) == 25
    assert not held
