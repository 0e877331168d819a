"""The annotated film: what is drawn, that the sound is the original's, and that nothing is left behind on failure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from made_media import ffmpeg as run_ffmpeg
from made_media import needs_ffmpeg, picture_times
from made_speakers import LEFT, RIGHT, finished
from syncnet.colour import bgr
from syncnet.container import ignore, moving_pictures, open_media
from syncnet.errors import InputError
from syncnet.pictures import native_pictures
from syncnet.speaker_video import AMBER, BLACK, GREEN, RED, annotated, draw, save_video

pytestmark = needs_ffmpeg
GREY = "color=c=gray:s=320x180:r=25:d=4"
TONE = "sine=frequency=440:sample_rate=44100:duration=4"


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Four seconds of grey and a tone, in the container and codecs asked for."""
    folder = tmp_path_factory.mktemp("films")

    def make(name: str = "panel.mp4", *options: str, picture: str = GREY, late_s: float = 0.0) -> Path:
        path = folder / name
        tone = ("-itsoffset", f"{late_s:g}", "-f", "lavfi", "-i", TONE)
        run_ffmpeg("-f", "lavfi", "-i", picture, *tone, "-pix_fmt", "yuv420p", *options, path)
        return path

    return make


def pictures(path: Path) -> list[np.ndarray]:
    with open_media(path) as container:
        stream = moving_pictures(container)[0]
        return [bgr(p.frame) for p in native_pictures(container, stream, ignore)]


def sound_packets(path: Path) -> list[tuple[float, bytes]]:
    with open_media(path) as container:
        stream = container.streams.audio[0]
        return [(float((p.pts or 0) * p.time_base), bytes(p)) for p in container.demux(stream) if p.size]


def colour_at(picture: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    """Mean colour of the lower edge of a box."""
    edge = picture[round(box[3]) - 1 : round(box[3]) + 1, round(box[0]) + 5 : round(box[2]) - 5]
    return np.asarray(edge.mean(axis=(0, 1)))


def test_boxes_are_green_for_speaking_and_red_for_silent(film: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    save_video(finished(), film(), out)
    shown = pictures(out)
    assert len(shown) == 100 and shown[0].shape == (180, 320, 3)
    for moment, left, right in ((25, GREEN, RED), (60, RED, GREEN), (90, RED, RED)):
        np.testing.assert_allclose(colour_at(shown[moment], LEFT), left, atol=40)
        np.testing.assert_allclose(colour_at(shown[moment], RIGHT), right, atol=40)
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]


def test_sound_is_copied_bit_for_bit_and_pictures_keep_their_times(film: Callable[..., Path], tmp_path: Path) -> None:
    source, out = film("late.mp4", late_s=0.2), tmp_path / "out.mp4"
    save_video(finished(), source, out)
    before, after = sound_packets(source), sound_packets(out)
    assert [data for _, data in before] == [data for _, data in after]
    np.testing.assert_allclose([t for t, _ in after], [t for t, _ in before], atol=1e-3)
    np.testing.assert_allclose(
        [t for t, _ in picture_times(out)], [t for t, _ in picture_times(source)], atol=1.5e-3
    )


@pytest.mark.parametrize(
    ("name", "options", "target"),
    [
        ("opus.mkv", ("-c:a", "libopus"), "out.mkv"),
        ("odd.avi", ("-c:v", "mpeg4", "-c:a", "pcm_s16le"), "out.mkv"),
        ("ntsc.mov", ("-r", "30000/1001"), "out.mov"),
    ],
)
def test_other_containers(
    film: Callable[..., Path], tmp_path: Path, name: str, options: tuple[str, ...], target: str
) -> None:
    source, out = film(name, *options), tmp_path / target
    save_video(finished(), source, out)
    assert [d for _, d in sound_packets(source)] == [d for _, d in sound_packets(out)]
    np.testing.assert_allclose(
        [t for t, _ in picture_times(out)], [t for t, _ in picture_times(source)], atol=1.5e-3
    )


def test_an_odd_size_loses_a_row_and_a_column(film: Callable[..., Path], tmp_path: Path) -> None:
    source = film("odd.mkv", "-c:v", "libx264", "-pix_fmt", "yuv444p", picture="color=c=gray:s=321x181:r=25:d=1")
    save_video(finished(), source, tmp_path / "out.mkv")
    assert pictures(tmp_path / "out.mkv")[0].shape == (180, 320, 3)


@pytest.mark.parametrize("target", ["out.webm", "out.txt", "out"])
def test_a_target_that_cannot_hold_it_is_refused_and_leaves_nothing(
    film: Callable[..., Path], tmp_path: Path, target: str
) -> None:
    with pytest.raises(InputError, match=r"\.mkv|\.mp4"):
        save_video(finished(), film(), tmp_path / target)
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_the_film(film: Callable[..., Path]) -> None:
    shown = annotated(finished(), film())
    first = next(shown)
    assert first[0] == pytest.approx(0.0)  # the first picture is there before the second is read
    shown.close()  # type: ignore[attr-defined]


def test_unsure_faces_are_amber_and_scores_and_offset_are_written() -> None:
    result = finished()
    unsure = replace(result.faces[0], state=np.full(100, -1, np.int8))
    picture = np.full((180, 320, 3), 128, np.uint8)
    draw(picture, 1.0, [unsure], result)
    np.testing.assert_allclose(colour_at(picture, LEFT), AMBER, atol=1)
    assert (picture[170] == BLACK).all(axis=1).sum() > 40  # the line at the foot
    late = np.full((180, 320, 3), 128, np.uint8)
    draw(late, 1.0, [unsure], replace(result, offset_ms=180.0))
    assert (late != picture).any()


def test_labels_stay_within_the_picture() -> None:
    result = finished()
    corner = replace(result.faces[0], boxes=np.tile(np.array([290, -20, 360, 10], np.float32), (100, 1)))
    picture = np.full((180, 320, 3), 128, np.uint8)
    draw(picture, 0.0, [corner], result)
    assert (np.abs(picture[:20, 220:].astype(int) - GREEN).sum(axis=2) < 30).any()
