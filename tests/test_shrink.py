import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from syncnet.shrink import shrink


def picture(width: int, height: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.uint8)


def test_blocks_of_a_power_of_two_are_their_means() -> None:
    blocks = picture(6, 4)
    assert np.array_equal(shrink(np.kron(blocks, np.ones((64, 64), np.uint8)), 6, 4), blocks)


def test_up_to_four_times_it_is_the_average_over_the_area() -> None:
    noise = picture(150, 90)
    assert np.array_equal(shrink(noise, 48, 27), cv2.resize(noise, (48, 27), interpolation=cv2.INTER_AREA))


def test_a_smooth_picture_comes_out_as_by_the_exact_average() -> None:
    y, x = np.mgrid[0:721, 0:1283]
    smooth = (128 + 100 * np.sin(x / 150) * np.cos(y / 90)).astype(np.uint8)
    exact = cv2.resize(smooth, (48, 27), interpolation=cv2.INTER_AREA)
    assert np.abs(shrink(smooth, 48, 27).astype(int) - exact).max() <= 4


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 60), st.integers(1, 40))
def test_any_size_to_any_size_keeps_flat_pictures_flat(width: int, height: int, columns: int, rows: int) -> None:
    small = shrink(np.full((height, width), 77, np.uint8), columns, rows)
    assert small.shape == (rows, columns)
    assert (small == 77).all()
