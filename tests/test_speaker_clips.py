"""Every turn as a clip of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from made_media import ffmpeg, needs_ffmpeg, picture_times
from made_speakers import LEFT, finished
from syncnet.colour import bgr
from syncnet.container import ignore, moving_pictures, open_media
from syncnet.errors import InputError
from syncnet.media import SAMPLE_RATE, read_sound
from syncnet.pictures import native_pictures
from syncnet.speaker_clips import SIDE, save_clips, steady_box

pytestmark = needs_ffmpeg
SWITCH_S = 2.0
TONES = f"aevalsrc='0.5*sin(2*PI*t*if(lt(t,{SWITCH_S}),440,1320))':s=44100:d=4"
# A red square where the left face is, a blue one where the right one is; a white flash at 2.4 s.
PICTURE = (
    "color=c=gray:s=320x180:r=25:d=4,drawbox=x=20:y=40:w=80:h=100:c=red:t=fill,"
    "drawbox=x=220:y=40:w=80:h=100:c=blue:t=fill,drawbox=c=white:t=fill:enable='between(t,2.38,2.42)'"
)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("films") / "panel.mp4"
    ffmpeg("-f", "lavfi", "-i", PICTURE, "-f", "lavfi", "-i", TONES, "-pix_fmt", "yuv420p", path)
    return path


def first_picture(path: Path) -> np.ndarray:
    with open_media(path) as container:
        stream = moving_pictures(container)[0]
        return bgr(next(iter(native_pictures(container, stream, ignore))).frame)


def pitch(path: Path) -> float:
    """Strongest frequency of the middle of a clip's sound, Hz."""
    samples = read_sound(path).samples
    middle = samples[len(samples) // 4 : 3 * len(samples) // 4]
    power = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    return float(power.argmax() * SAMPLE_RATE / len(middle))


def test_each_turn_is_a_clip_of_its_face_with_its_sound(film: Path, tmp_path: Path) -> None:
    written = save_clips(finished(), film, tmp_path / "turns")
    assert [c.path.name for c in written] == ["panel_A_0000.00-0002.00.mp4", "panel_B_0002.00-0003.00.mp4"]
    assert sorted(p.name for p in (tmp_path / "turns").iterdir()) == [c.path.name for c in written]
    a, b = (c.path for c in written)
    for path, colour, seconds, tone in ((a, 2, 2.0, 440), (b, 0, 1.0, 1320)):
        times = [t for t, _ in picture_times(path)]
        assert len(times) == round(25 * seconds)
        assert times[0] == pytest.approx(0.0, abs=0.002)
        picture = first_picture(path)
        assert picture.shape == (SIDE, SIDE, 3)
        assert picture[SIDE // 2, SIDE // 2].argmax() == colour
        assert len(read_sound(path).samples) / SAMPLE_RATE == pytest.approx(seconds, abs=0.03)
        assert pitch(path) == pytest.approx(tone, rel=0.02)


def test_picture_and_sound_of_a_clip_keep_their_places(film: Path, tmp_path: Path) -> None:
    b = save_clips(finished(), film, tmp_path)[1].path
    flash = max(picture_times(b), key=lambda p: p[1])[0]
    assert flash == pytest.approx(2.4 - 2.0, abs=0.021)


def test_off_screen_turns_make_no_clips(film: Path, tmp_path: Path) -> None:
    only = replace(finished(), turns=finished().turns[2:])
    assert save_clips(only, film, tmp_path / "none") == []
    assert list((tmp_path / "none").iterdir()) == []


def test_people_who_speak_at_once_have_clips_at_once(film: Path, tmp_path: Path) -> None:
    result = finished()
    both = replace(result, turns=(result.turns[0], replace(result.turns[1], start_s=1.0, end_s=3.0)))
    written = save_clips(both, film, tmp_path)
    assert [len(picture_times(c.path)) for c in written] == [50, 50]


def test_a_folder_that_cannot_be_made_is_refused(film: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot be written"):
        save_clips(finished(), film, tmp_path / "file")


def test_the_box_is_steadied() -> None:
    face = finished().faces[0]
    jumpy = face.boxes.copy()
    jumpy[50] += 40
    steady = steady_box(replace(face, boxes=jumpy), 2.0)
    np.testing.assert_allclose(steady, LEFT)
