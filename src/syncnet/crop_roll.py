"""Crops of one face gathered one by one in one piece of memory, without a second copy at the end."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_FIRST = 64  # crops that there is room for at first; faces that only pass need no more


class CropRoll:
    """Crops `(S, S)` uint8 in the order in which they came.

    They lie side by side, not each in a place of its own: thousands of small arrays that stay, between large ones that
    come and go with every picture, would leave memory full of holes that nothing fits into.
    """

    def __init__(self, side: int) -> None:
        """`side`: pixels on a side, S."""
        self._room = np.empty((_FIRST, side, side), np.uint8)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, crop: NDArray[np.uint8]) -> None:
        """Take up one more crop."""
        if self._count == len(self._room):
            wider = np.empty((2 * self._count, *self._room.shape[1:]), np.uint8)
            wider[: self._count] = self._room
            self._room = wider
        self._room[self._count] = crop
        self._count += 1

    def take(self) -> NDArray[np.uint8]:
        """Hand over all crops, `(T, S, S)` uint8; the roll is empty afterwards and knows nothing of them."""
        taken = self._room[: self._count]
        self._room, self._count = np.empty((_FIRST, *taken.shape[1:]), np.uint8), 0
        return taken
