"""Accuracy while training: worked examples of rows, context and answers, and a perfect and a blind model."""

from pathlib import Path

import numpy as np
import pytest
import torch

from made_shards import TINY, make_shards
from syncnet.model.accuracy import REACH, context_rows, distance_rows, measure, share_right
from syncnet.model.network import SyncNet
from syncnet.model.shards import read_manifest


def test_rows_find_the_planted_lag() -> None:
    rng = np.random.default_rng(0)
    audio = rng.standard_normal((400, 8)).astype(np.float32)
    video = audio[60:260:4]
    mask = np.ones(400, bool)
    rows = distance_rows(video, audio, mask, 60)
    assert rows.shape == (50, 31) and not np.isnan(rows).any()
    assert (rows.argmin(1) == REACH).all() and share_right(rows) == 1.0
    assert share_right(distance_rows(video, audio, mask, 64)) == 1.0  # one frame off still counts
    assert share_right(distance_rows(video, audio, mask, 68)) == 0.0


def test_candidates_without_sound_are_out() -> None:
    audio = np.zeros((20, 3), np.float32)
    mask = np.ones(20, bool)
    mask[8:] = False
    rows = distance_rows(np.ones((1, 3), np.float32), audio, mask, 4)
    assert np.flatnonzero(~np.isnan(rows[0])).tolist() == [REACH - 1, REACH]


def test_context_by_hand() -> None:
    rows = np.array([[1.0, np.nan], [3.0, 5.0], [8.0, 7.0]], np.float32)
    assert np.array_equal(context_rows(rows, 5), rows, equal_nan=True)
    assert context_rows(rows, 7).tolist() == [[2.0, 5.0], [4.0, 6.0], [5.5, 6.0]]


def test_a_candidate_of_few_rows_cannot_win() -> None:
    rows = np.full((5, 31), 9.0, np.float32)
    rows[:, REACH] = 5.0
    rows[:, 0] = np.nan
    rows[4, 0] = 0.1
    assert share_right(context_rows(rows, 9)[2:3]) == 1.0


def test_measure_counts_clips_and_a_blind_model_guesses(tmp_path: Path) -> None:
    torch.manual_seed(0)
    clips = read_manifest(make_shards(tmp_path, clips=3))
    result = measure(SyncNet(TINY), clips, device=torch.device("cpu"), bf16=False)
    assert result.clips == 3 and set(result.windows) == {5, 15, 50}
    assert 0.0 <= result.windows[5] < 0.6
    assert measure(SyncNet(TINY), [], device=torch.device("cpu")).clips == 0
    assert "whole clips" in str(result)


def test_no_usable_row_is_no_answer() -> None:
    assert np.isnan(share_right(np.full((2, 31), np.nan, np.float32)))
    assert share_right(np.where(np.arange(31) == REACH, 0.0, 1.0)[None].astype(np.float32)) == pytest.approx(1.0)
