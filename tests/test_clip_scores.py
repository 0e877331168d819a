"""Whole recipes against the released procedure, run with the programs it calls and the same random weights."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from scipy.signal import medfilt

from syncnet.clip_scores import ClipScore, as_16_bits, find_face_tracks, score_clip, sound_from
from syncnet.colour import bgr
from syncnet.container import ignore
from syncnet.errors import InputError, NoAnswer
from syncnet.pictures import decoded_on_grid
from syncnet.recipes import RECIPES, recipe_named
from syncnet.v2_encoder import V2Encoder

pytest.importorskip("torch")
pytest.importorskip("python_speech_features")
if shutil.which("ffmpeg") is None:
    pytest.skip("needs the ffmpeg program", allow_module_level=True)

import torch

from syncnet.model import v2
from v2_reference import State, evaluate, ffmpeg, random_state

Clip = Callable[[str], Path]


@pytest.fixture(scope="module")
def state() -> State:
    return random_state()


@pytest.fixture(scope="module")
def network(state: State, tmp_path_factory: pytest.TempPathFactory) -> V2Encoder:
    folder = tmp_path_factory.mktemp("v2")
    torch.save(state, folder / "v2.model")
    v2.convert(folder / "v2.model", folder / "onnx")
    return V2Encoder(folder / "onnx")


@pytest.fixture(scope="module")
def scores(clip: Clip, network: V2Encoder) -> dict[str, ClipScore]:
    """A drawn person of 6 s by every recipe."""
    return {name: score_clip(clip("talking"), recipe, network) for name, recipe in RECIPES.items()}


def noisy_film(path: Path, *, rate: int = 25, seconds: float = 2.0, late: float = 0.0, size: str = "320x240") -> Path:
    """Moving test pictures and pink noise at 44.1 kHz in stereo; the sound track starts `late` seconds later."""
    ffmpeg(
        "-f", "lavfi", "-i", f"testsrc2=s={size}:r={rate}:d={seconds}", "-itsoffset", late,
        "-f", "lavfi", "-i", f"anoisesrc=c=pink:r=44100:d={seconds}:a=0.4:s=7,aformat=channel_layouts=stereo",
        "-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac", path,
    )  # fmt: skip
    return path


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return noisy_film(tmp_path_factory.mktemp("film") / "film.mp4")


def test_the_whole_picture_recipe_is_the_released_procedure(
    film: Path, network: V2Encoder, state: State, tmp_path: Path
) -> None:
    theirs = evaluate(state, film, film, tmp_path)
    mine = score_clip(film, RECIPES["wav2lip-lrs"], network)
    (track,) = mine.tracks
    np.testing.assert_allclose(track.score.curve, theirs.curve, rtol=2e-3)
    assert mine.distance == pytest.approx(theirs.min_distance, rel=2e-3)
    assert mine.confidence == pytest.approx(theirs.confidence, rel=0.02)
    assert mine.reference_offset == theirs.offset
    assert mine.notes == ()


def test_the_lossy_copy_matters_to_the_figures(film: Path, network: V2Encoder, state: State, tmp_path: Path) -> None:
    from dataclasses import replace

    theirs = evaluate(state, film, film, tmp_path)
    without = score_clip(film, replace(RECIPES["wav2lip-lrs"], lossy=False), network)
    with_copy = score_clip(film, RECIPES["wav2lip-lrs"], network)
    assert abs(with_copy.distance - theirs.min_distance) < 0.2 * abs(without.distance - theirs.min_distance)


def released_crop(film: Path, boxes: np.ndarray, folder: Path) -> Path:
    """A face crop as run_pipeline.py writes it, by padding whole pictures, with OpenCV's own writer."""
    half = medfilt(np.max(boxes[:, 2:] - boxes[:, :2], axis=1) / 2, 13)
    x, y = medfilt((boxes[:, 0] + boxes[:, 2]) / 2, 13), medfilt((boxes[:, 1] + boxes[:, 3]) / 2, 13)
    file = folder / "crop.avi"
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"XVID"), 25, (224, 224))
    if not writer.isOpened():
        pytest.skip("this OpenCV cannot write XVID")
    for k, (_, frame) in enumerate(decoded_on_grid(film)):
        margin = int(half[k] * 1.8)
        wide = np.pad(bgr(frame), ((margin, margin), (margin, margin), (0, 0)), constant_values=110)
        my, mx, s = y[k] + margin, x[k] + margin, half[k]
        cut = wide[int(my - s) : int(my + s * 1.8), int(mx - s * 1.4) : int(mx + s * 1.4)]
        writer.write(cv2.resize(cut, (224, 224)))
    writer.release()
    return file


def test_the_face_recipe_is_the_released_procedure_after_the_boxes(
    clip: Clip, scores: dict[str, ClipScore], state: State, tmp_path: Path
) -> None:
    film = clip("talking")
    (track,), start = find_face_tracks(film, 100, 100.0, ignore)
    assert (track.first, track.last, start) == (0, 149, 0.0)
    crop = released_crop(film, track.boxes, tmp_path)
    theirs = evaluate(state, crop, film, tmp_path)
    mine = scores["wav2lip-real"]
    (only,) = mine.tracks
    np.testing.assert_allclose(only.score.curve, theirs.curve, rtol=2e-3)
    assert mine.reference_offset == theirs.offset
    assert (only.start, only.end) == (0.0, 6.0)
    assert only.score.windows == 145


def test_recipes_differ_in_what_they_say_they_differ_in(scores: dict[str, ClipScore]) -> None:
    windows = {name: clip_score.tracks[0].score.windows for name, clip_score in scores.items()}
    assert windows["wav2lip-real"] == windows["latentsync"] == windows["wav2lip-lrs"] == 145
    assert scores["wav2lip-real"].distance == scores["latentsync"].distance  # one track: the same numbers
    assert scores["wav2lip-lrs"].distance != scores["wav2lip-real"].distance
    assert scores["ours"].distance > scores["wav2lip-real"].distance  # with random weights zeros are nearer than sound


def test_a_track_shorter_than_the_recipe_asks_for(clip: Clip, network: V2Encoder, tmp_path: Path) -> None:
    short = tmp_path / "short.mp4"
    ffmpeg("-i", clip("talking"), "-t", "3", "-c:v", "libx264", "-c:a", "aac", short)
    with pytest.raises(NoAnswer, match="no face of more than 100 pixels was found in more than 100 frames"):
        score_clip(short, RECIPES["wav2lip-real"], network)
    first, second = (score_clip(short, RECIPES["latentsync"], network) for _ in range(2))
    assert first.tracks[0].score.windows == 70
    np.testing.assert_array_equal(first.tracks[0].score.curve, second.tracks[0].score.curve)  # to the last bit
    assert first.distance == second.distance


def test_another_frame_rate_is_scored_as_released_and_said(network: V2Encoder, state: State, tmp_path: Path) -> None:
    film = noisy_film(tmp_path / "ntsc.mp4", rate=30)
    mine = score_clip(film, RECIPES["wav2lip-lrs"], network)
    assert "30 frames per second" in mine.notes[0] and "convert the file to 25" in mine.notes[0]
    (tmp_path / "dump").mkdir()
    theirs = evaluate(state, film, film, tmp_path / "dump")
    np.testing.assert_allclose(mine.tracks[0].score.curve, theirs.curve, rtol=2e-3)


@pytest.mark.parametrize("late", [0.2, 0.0])
def test_sound_that_starts_later_is_preceded_by_silence(late: float, tmp_path: Path) -> None:
    film = noisy_film(tmp_path / "film.mkv", late=late)
    sound = sound_from(film, 0.0, None, ignore)
    begins = int(np.argmax(np.abs(sound) > 0.003)) / 16000
    assert begins == pytest.approx(late, abs=0.03)  # the encoder's own first block of 23 ms may come before
    assert len(sound) / 16000 == pytest.approx(2.0 + late, abs=0.06)
    part = sound_from(film, 0.5, 1.0, ignore)
    np.testing.assert_array_equal(part, sound[8000:16000])


def test_late_sound_is_scored_as_ffmpeg_lays_it_out(network: V2Encoder, state: State, tmp_path: Path) -> None:
    film = noisy_film(tmp_path / "late.mp4", late=0.2)
    (tmp_path / "dump").mkdir()
    theirs = evaluate(state, film, film, tmp_path / "dump")
    mine = score_clip(film, RECIPES["wav2lip-lrs"], network)
    np.testing.assert_allclose(mine.tracks[0].score.curve, theirs.curve, rtol=5e-3)


def test_no_sound_no_face_too_short(clip: Clip, network: V2Encoder, film: Path, tmp_path: Path) -> None:
    with pytest.raises(NoAnswer, match="no face of more than 40 pixels"):
        score_clip(film, RECIPES["ours"], network)
    brief = noisy_film(tmp_path / "brief.mp4", seconds=0.2)
    with pytest.raises(NoAnswer, match="at least 6 frames"):
        score_clip(brief, RECIPES["wav2lip-lrs"], network)
    mute = tmp_path / "mute.mp4"
    ffmpeg("-i", film, "-an", "-c:v", "copy", mute)
    with pytest.raises(InputError, match="no audio stream"):
        score_clip(mute, RECIPES["wav2lip-lrs"], network)
    with pytest.raises(InputError, match="no such file"):
        score_clip(tmp_path / "absent.mp4", RECIPES["ours"], network)


def test_samples_are_rounded_and_clipped_to_16_bits() -> None:
    steps = np.array([0.0, 0.49, 0.51, -0.51, 32767.4, 32768.0, -32768.0, -40000.0], np.float32)
    expected = np.array([0, 0, 1, -1, 32767, 32767, -32768, -32768]) / 32768
    np.testing.assert_array_equal(as_16_bits(np.asarray(steps / 32768, np.float32)), expected)


def test_an_unknown_recipe_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="no recipe 'lse'; known are: wav2lip-lrs, wav2lip-real, latentsync, ours"):
        recipe_named("lse")


def test_ids_say_what_is_ours() -> None:
    ids: Any = {name: recipe.id for name, recipe in RECIPES.items()}
    assert ids["wav2lip-lrs"] == "wav2lip-lrs@1"
    assert "own-faces" in ids["wav2lip-real"] and "own-faces" in ids["latentsync"]
    for recipe in RECIPES.values():
        if "own-faces" in recipe.id:
            assert any("S3FD" in step for step in recipe.steps)
