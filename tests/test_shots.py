"""Cuts are found where the picture is replaced, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from syncnet.shots import ShotDetector

Gray = NDArray[np.uint8]


def scene(seed: int, height: int = 90, width: int = 160) -> Gray:
    """A picture of soft blobs, different for every seed."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    picture = np.full((height, width), rng.uniform(60, 160))
    for _ in range(12):
        cx, cy, size = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(8, 30)
        picture += rng.uniform(-80, 80) * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * size**2))
    return np.asarray(np.clip(picture, 16, 235), np.uint8)


def cuts(frames: list[Gray]) -> list[int]:
    detector = ShotDetector()
    return [n for n, frame in enumerate(frames) if detector(frame)]


def shaken(picture: Gray, seed: int, count: int) -> list[Gray]:
    """The same scene from a hand-held camera, with grain."""
    rng = np.random.default_rng(seed)
    frames = []
    for n in range(count):
        moved = np.roll(picture, (round(2 * np.sin(n / 3)), round(3 * np.cos(n / 4))), (0, 1)).astype(float)
        frames.append(np.clip(moved + rng.normal(0, 3, moved.shape), 0, 255).astype(np.uint8))
    return frames


def test_cuts_between_different_scenes_are_found() -> None:
    frames = [f for seed in range(6) for f in shaken(scene(seed), seed, 20)]
    assert cuts(frames) == [0, 20, 40, 60, 80, 100]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000))
def test_a_shaking_grainy_camera_is_one_shot(seed: int) -> None:
    assert cuts(shaken(scene(seed), seed, 25)) == [0]


def test_a_pan_is_one_shot() -> None:
    wide = np.concatenate([scene(s) for s in range(4)], axis=1)
    assert cuts([wide[:, 4 * n : 4 * n + 160] for n in range(100)]) == [0]


@pytest.mark.parametrize("level", [0, 16, 128, 255])
def test_flat_pictures_with_noise_have_no_cut(level: int) -> None:
    rng = np.random.default_rng(level)
    flat = [np.clip(level + rng.normal(0, 4, (60, 80)), 0, 255).astype(np.uint8) for _ in range(30)]
    assert cuts(flat) == [0]


@pytest.mark.parametrize("shape", [(1, 1), (17, 33), (2160, 4096)])
def test_odd_sizes(shape: tuple[int, int]) -> None:
    assert cuts([np.full(shape, 50, np.uint8)] * 3) == [0]


def test_repeated_frames_of_a_slow_recording_hide_no_cut() -> None:
    slow = [f for seed in (1, 2) for f in shaken(scene(seed), seed, 8) for _ in range(3)]
    assert cuts(slow) == [0, 24]
