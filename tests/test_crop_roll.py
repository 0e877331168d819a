"""A roll of crops: what went in comes out, in order, once."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from syncnet.crop_roll import CropRoll


@given(lengths=st.lists(st.integers(0, 200), max_size=4), side=st.integers(1, 3))
def test_what_is_taken_is_what_came_since_the_last_time(lengths: list[int], side: int) -> None:
    roll = CropRoll(side)
    taken = []
    for length in lengths:
        crops = np.random.default_rng(length).integers(0, 256, (length, side, side), np.uint8)
        for number, crop in enumerate(crops):
            assert len(roll) == number
            roll.append(crop)
        taken.append((crops, roll.take()))
    for crops, found in taken:  # checked at the end: what was handed over stays as it was
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, crops)
