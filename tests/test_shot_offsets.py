"""Shots that are each off by a little of their own."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from syncnet.evidence import Evidence
from syncnet.shot_offsets import (
    LONGEST_S,
    best_shot_line,
    own_offset_chances,
    rolled,
    shot_edges,
    shot_evidence,
    split_scores,
    strays,
    widened,
)

OFFSETS = np.arange(-100, 101) / 100
HOP = 0.01


def evidence_of(offsets: NDArray[np.float64], *, nats: float = 3.0) -> Evidence:
    """Rows of 0.4 s that speak for the given offsets (T,) in s."""
    times = np.asarray((np.arange(len(offsets)) + 0.5) * 0.4, dtype=np.float64)
    support = nats * np.exp(-0.5 * ((OFFSETS[None] - offsets[:, None]) / 0.04) ** 2) - 1.0
    return Evidence(times, support.astype(np.float32), np.arange(len(times)), support.astype(np.float32), 1.0, 0.5)


def test_chances_sum_to_one_and_small_offsets_are_likelier() -> None:
    chances = own_offset_chances(HOP)
    assert chances.sum() == pytest.approx(1.0)
    assert np.allclose(chances, chances[::-1])
    assert (np.diff(chances[: len(chances) // 2 + 1]) > 0).all()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.5, 200.0), max_size=12), st.integers(1, 400))
def test_every_row_is_in_one_shot_that_no_cut_parts(cuts: list[float], rows: int) -> None:
    times = np.asarray((np.arange(rows) + 0.5) * 0.4, dtype=np.float64)
    marks = np.array(sorted(cuts))
    edges = shot_edges(times, marks, 0.4)
    assert edges[0] == 0 and edges[-1] == rows
    assert (np.diff(edges) > 0).all()
    for first, last in pairwise(edges):
        assert times[last - 1] - times[first] <= LONGEST_S
        assert np.searchsorted(marks, times[first], side="right") == np.searchsorted(
            marks, times[last - 1], side="right"
        )


def test_rolled_moves_rows_and_knows_nothing_beyond_the_range() -> None:
    rows = np.arange(10.0).reshape(2, 5)
    assert rolled(rows, np.array([1, -2])).tolist() == [[1, 2, 3, 4, 0], [0, 0, 5, 6, 7]]


def test_widened_is_against_unrelated() -> None:
    assert widened(np.zeros((3, 201)), HOP) == pytest.approx(np.zeros((3, 201)), abs=1e-9)
    sharp = np.full((1, 201), -5.0)
    sharp[0, 110] = 40.0
    wide = widened(sharp, HOP)[0]
    assert wide.argmax() == 110
    assert 36 < wide[110] < 40
    assert wide[105] > 34 > wide[60]
    assert wide[60] == pytest.approx(40 - np.log(201) + np.log(0.1), abs=0.5)  # or be off by anything


def test_a_line_through_scattered_shots() -> None:
    rng = np.random.default_rng(0)
    times = (np.arange(1200) + 0.5) * 0.4
    cuts = np.arange(8.0, 480.0, 8.0)
    scatter = rng.normal(0, 0.04, len(cuts) + 1)[np.searchsorted(cuts, times)]
    found = evidence_of(0.1 + times * 0.05 / 60 + scatter)
    first, last, score = best_shot_line(found, OFFSETS, shot_edges(found.times, cuts, 0.4), 0.05)
    assert first == pytest.approx(0.1, abs=0.03)
    assert last == pytest.approx(0.5, abs=0.03)
    assert score > 1000


def test_strays_are_told_from_shots_that_are_near() -> None:
    found = evidence_of(np.repeat([0.05, -0.08, 0.0, 0.7], 20))
    shots = shot_evidence(found, OFFSETS, np.array([0, 20, 40, 60, 80]))
    assert strays(shots, np.full(4, 100)).tolist() == [False, False, False, True]
    assert strays(shots, np.full(4, 170)).tolist() == [True, True, True, False]


def test_a_shot_is_split_where_its_offset_changes() -> None:
    found = evidence_of(np.repeat([0.03, 0.23], [7, 13]))
    shots = shot_evidence(found, OFFSETS, np.array([0, 20]))
    score = split_scores(found, shots, 0, 100, 120, HOP)
    assert score.shape == (21,)
    assert score.argmax() == 7
    assert score[20] == pytest.approx(shots.support[0, 100])
    assert score[0] == pytest.approx(shots.support[0, 120])
