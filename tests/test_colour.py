"""The lossy copies against the programs whose work they do again."""

import shutil
import subprocess
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from syncnet.colour import JpegCopy, XvidCopy, bgr, stated_rate
from syncnet.errors import InputError
from syncnet.pictures import decoded_on_grid

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs the ffmpeg program")


def ffmpeg(*arguments: object) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("colour") / "clip.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=1", "-c:v", "libx264", "-pix_fmt", "yuv420p", file)
    return file


def luma(file: bytes) -> np.ndarray:
    """The first plane of a JPEG file as it is stored."""
    decoder = av.CodecContext.create("mjpeg", "r")
    frame = decoder.decode(av.Packet(file))[0]
    plane = frame.planes[0]
    return np.frombuffer(memoryview(plane), np.uint8).reshape(frame.height, plane.line_size)[:, : frame.width]


@needs_ffmpeg
def test_the_jpeg_copy_is_that_of_ffmpeg(clip: Path, tmp_path: Path) -> None:
    ffmpeg("-i", clip, "-threads", "1", "-f", "image2", tmp_path / "%06d.jpg")
    theirs = [cv2.imread(str(file)) for file in sorted(tmp_path.glob("*.jpg"))]
    copy = JpegCopy()
    mine = [copy(frame) for _, frame in decoded_on_grid(clip)]
    raw = [bgr(frame) for _, frame in decoded_on_grid(clip)]
    assert len(mine) == len(theirs) == 25

    def difference(pictures: list[np.ndarray], k: int) -> float:
        return float(np.abs(pictures[k].astype(int) - theirs[k]).mean())

    assert max(difference(mine, k) for k in range(25)) < 1.0
    assert all(difference(mine, k) < 0.35 * difference(raw, k) for k in range(25))  # the copy explains the loss


@needs_ffmpeg
def test_the_luma_of_the_jpeg_copy_is_equal_to_the_last_bit(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ffmpeg("-i", clip, "-threads", "1", "-f", "image2", tmp_path / "%06d.jpg")
    theirs = [luma(file.read_bytes()) for file in sorted(tmp_path.glob("*.jpg"))]
    written: list[bytes] = []
    read = cv2.imdecode

    def spy(file: np.ndarray, flags: int) -> np.ndarray | None:
        written.append(file.tobytes())
        return read(file, flags)

    monkeypatch.setattr(cv2, "imdecode", spy)
    copy = JpegCopy()
    for _, frame in decoded_on_grid(clip):
        copy(frame)
    equal = sum(np.array_equal(luma(mine), his) for mine, his in zip(written, theirs, strict=True))
    assert equal == 25


@pytest.mark.parametrize("blur", [3.0, 0.5])
def test_the_crop_copy_is_that_of_opencv(tmp_path: Path, blur: float) -> None:
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (260, 400, 3), dtype=np.uint8)
    scene = np.asarray(cv2.GaussianBlur(noise, (0, 0), blur), np.uint8)
    pictures = [np.ascontiguousarray(scene[20:244, 5 * k : 5 * k + 224]) for k in range(30)]
    file = tmp_path / "crop.avi"
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"XVID"), 25, (224, 224))
    if not writer.isOpened():
        pytest.skip("this OpenCV cannot write XVID")
    for picture in pictures:
        writer.write(picture)
    writer.release()
    with av.open(str(file)) as container:
        theirs = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    for _ in range(4):  # the same whatever else lies in memory
        copy = XvidCopy()
        np.testing.assert_array_equal([bgr(copy(picture)) for picture in pictures], theirs)
    assert 0.2 < np.abs(np.array(theirs).astype(int) - np.array(pictures)).mean() < 30  # it does lose something


@needs_ffmpeg
def test_rotated_pictures_come_upright(clip: Path, tmp_path: Path) -> None:
    turned = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", "90", "-i", clip, "-c", "copy", turned) if _has_display_rotation() else ffmpeg(
        "-i", clip, "-metadata:s:v", "rotate=270", "-c", "copy", turned
    )
    straight = bgr(next(decoded_on_grid(clip))[1])
    frame = next(decoded_on_grid(turned))[1]
    upright = bgr(frame)
    assert upright.shape == (320, 240, 3)
    either = [np.rot90(straight, k) for k in (1, 3)]
    assert any(np.array_equal(upright, candidate) for candidate in either)
    copied = JpegCopy()(frame)
    assert copied.shape == (320, 240, 3)
    assert np.abs(copied.astype(int) - upright).mean() < 6


def _has_display_rotation() -> bool:
    listed = subprocess.run(["ffmpeg", "-v", "error", "-h", "full"], capture_output=True, text=True, check=True)
    return "display_rotation" in listed.stdout


@needs_ffmpeg
def test_the_stated_rate(tmp_path: Path, clip: Path) -> None:
    assert stated_rate(clip) == 25.0
    other = tmp_path / "ntsc.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x64:r=30000/1001:d=1", other)
    assert stated_rate(other) == pytest.approx(29.97, abs=0.001)
    sound = tmp_path / "sound.wav"
    ffmpeg("-f", "lavfi", "-i", "sine=d=1", sound)
    with pytest.raises(InputError, match="no video stream"):
        stated_rate(sound)
