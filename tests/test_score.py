"""The arithmetic of LSE, each detail against numbers worked out by hand."""

import math

import numpy as np
import pytest

from syncnet.errors import NoAnswer
from syncnet.score import (
    Pairs,
    full_window_count,
    lower_median,
    mean_curve,
    median_filter,
    score,
    shifted_distances,
    window_count,
)


def one_dimension(*values: float) -> np.ndarray:
    """Embeddings of one number each, so that a distance is a difference."""
    return np.array(values, np.float32)[:, None]


def test_window_count_is_the_shorter_stream_less_five() -> None:
    assert window_count(frames=100, samples=100 * 640) == 95
    assert window_count(frames=100, samples=50 * 640 + 639) == 45  # a begun frame of sound does not count
    assert window_count(frames=50, samples=100 * 640) == 45
    assert window_count(frames=6, samples=100_000) == 1
    assert window_count(frames=5, samples=100_000) == 0  # although five frames hold one window
    assert window_count(frames=2, samples=100_000) == 0


def test_full_window_count_leaves_none_out() -> None:
    assert full_window_count(frames=100, columns=400) == 96
    assert full_window_count(frames=100, columns=399) == 95  # the last window lacks one column
    assert full_window_count(frames=5, columns=20) == 1
    assert full_window_count(frames=5, columns=19) == 0
    assert full_window_count(frames=4, columns=400) == 0


def test_distances_go_from_minus_shift_to_plus_shift_with_zeros_past_the_ends() -> None:
    video, audio = one_dimension(10, 20, 30), one_dimension(11, 22, 33)
    expected = [
        [10, 10, 1, 12, 23],  # window 0 to audio -2, -1 (nothing), 0, 1, 2
        [20, 9, 2, 13, 20],
        [19, 8, 3, 30, 30],
    ]
    np.testing.assert_allclose(shifted_distances(video, audio, shift=2), expected, atol=1e-5)


def test_eps_is_added_to_every_difference_before_the_square() -> None:
    same = np.zeros((1, 1024), np.float32)
    # sqrt(1024 * (1e-6)^2) = 32e-6: what torch's pairwise_distance gives for two equal vectors
    assert shifted_distances(same, same, shift=0)[0, 0] == pytest.approx(32e-6, rel=1e-4)
    low, high = np.zeros((1, 4), np.float32), np.full((1, 4), 1e-6, np.float32)
    assert shifted_distances(low, high, shift=0)[0, 0] == 0.0  # 0 - 1e-6 + 1e-6
    assert shifted_distances(high, low, shift=0)[0, 0] == pytest.approx(4e-6, rel=1e-4)  # 2 * 2e-6


def test_distances_equal_those_of_torch() -> None:
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(0)
    video, audio = (random.normal(0, 1, (40, 1024)).astype(np.float32) for _ in range(2))
    padded = torch.nn.functional.pad(torch.from_numpy(audio), (0, 0, 15, 15))
    rows = [
        torch.nn.functional.pairwise_distance(torch.from_numpy(video[[i]]).expand(31, -1), padded[i : i + 31])
        for i in range(40)
    ]
    np.testing.assert_allclose(shifted_distances(video, audio), torch.stack(rows).numpy(), rtol=1e-6)


def test_the_zero_padding_counts_in_the_mean_as_released() -> None:
    distances = shifted_distances(one_dimension(10, 20, 30), one_dimension(11, 22, 33), shift=1)
    # columns: 10, 9, 8 | 1, 2, 3 | 12, 13, 30: the first 10 and the last 30 are comparisons with nothing
    np.testing.assert_allclose(mean_curve(distances, Pairs.PADDED), [9.0, 2.0, 55 / 3], rtol=1e-6)


def test_the_corrected_mean_takes_real_pairs_only() -> None:
    video, audio = one_dimension(1, 2, 3, 4, 5, 6), one_dimension(1, 1, 1, 1, 1, 1)
    distances = shifted_distances(video, audio, shift=2)
    # shift -1: 2..6 less 1 = 1+2+3+4+5 over 5 pairs; shift 0: 0+1+2+3+4+5 over 6; shift +1: 0+1+2+3+4 over 5;
    # shifts of two have four pairs, too few to be a candidate
    np.testing.assert_allclose(mean_curve(distances, Pairs.VALID), [np.nan, 3.0, 2.5, 2.0, np.nan], atol=1e-5)


def test_median_takes_the_lower_of_two_middle_elements() -> None:
    assert lower_median(np.array([4, 1, 3, 2], np.float32)) == 2.0
    assert lower_median(np.array([5, 1, 3], np.float32)) == 3.0
    assert lower_median(np.array([np.nan, 7, 1], np.float32)) == 1.0


def test_median_filter_sees_zeros_past_both_ends() -> None:
    ones = np.ones(9, np.float32)
    # at the first place five of nine are ones, the rest zeros: the median is 1; with eight ones in all only the inner
    # places see five ones
    np.testing.assert_array_equal(median_filter(ones, 9), ones)
    np.testing.assert_array_equal(median_filter(np.ones(4, np.float32), 9), np.zeros(4))
    # 0 0 0 0 [5] 1 9 2 8 -> sorted 0 0 0 0 1 2 5 8 9: 1
    values = np.array([5, 1, 9, 2, 8, 3, 7, 4, 6], np.float32)
    np.testing.assert_array_equal(median_filter(values, 9), [1, 2, 3, 4, 5, 4, 4, 3, 3])


def test_median_filter_equals_scipy() -> None:
    signal = pytest.importorskip("scipy.signal")
    values = np.random.default_rng(1).normal(0, 1, 57).astype(np.float32)
    np.testing.assert_array_equal(median_filter(values, 9), signal.medfilt(values, 9))
    np.testing.assert_array_equal(median_filter(values, 13), signal.medfilt(values, 13))


def test_a_clip_worked_out_by_hand() -> None:
    # Sound leads by one frame: the partner of video window i is audio window i - 1.
    video, audio = one_dimension(10, 20, 30, 40), one_dimension(20, 30, 40, 50)
    # shift -2: 10 20 10 10 | -1: 10 0 0 0 | 0: 10 10 10 10 | +1: 20 20 20 40 | +2: 30 30 30 40
    result = score(video, audio, shift=2)
    np.testing.assert_allclose(result.curve, [12.5, 2.5, 10.0, 25.0, 32.5], atol=1e-5)
    assert result.distance == pytest.approx(2.5, abs=1e-5)
    assert result.confidence == pytest.approx(12.5 - 2.5, abs=1e-5)  # median of the five is 12.5
    assert result.reference_offset == 1  # positive = audio leads
    assert result.offset_ms == -40.0  # audio time minus video time: early is negative
    assert result.windows == 4
    # single windows: 12.5 - (10, 0, 0, 0) = 2.5 12.5 12.5 12.5; a median over nine with zeros past the ends gives zeros
    np.testing.assert_array_equal(result.frame_confidence, np.zeros(4))


def test_frame_confidence_over_a_longer_clip() -> None:
    video, audio = one_dimension(*[7.0] * 12), one_dimension(*[4.0] * 12)
    result = score(video, audio, shift=1)
    # shifts of one compare one window with nothing: (11 * 3 + 7) / 12 = 3.3333; shift 0: 3
    np.testing.assert_allclose(result.curve, [40 / 12, 3.0, 40 / 12], rtol=1e-6)
    np.testing.assert_allclose(result.frame_confidence, np.full(12, 1 / 3), rtol=1e-5)


def test_the_sign_is_that_of_the_release() -> None:
    random = np.random.default_rng(2)
    lips = random.normal(0, 1, (60, 64)).astype(np.float32)
    for lead in (-7, 0, 5):
        sound = np.roll(lips, -lead, axis=0)  # sound of the event at i lies at i - lead
        result = score(lips, sound)
        assert result.reference_offset == lead
        assert result.offset_ms == -40.0 * lead


def test_padding_pulls_a_short_clip_that_the_correction_leaves_alone() -> None:
    # Short vectors in the picture: a comparison with nothing costs 2, with the true partner 3, with others 4.
    video = np.zeros((20, 3), np.float32)
    video[:, 0] = 2.0
    audio = np.zeros((20, 3), np.float32)
    audio[:, 0], audio[:, 1] = 2.0, 4.0
    audio[:, 1] = 3.0
    padded = score(video, audio)
    corrected = score(video, audio, pairs=Pairs.VALID)
    # all real pairs are 3 apart; at shift 15 fifteen of twenty comparisons are with nothing: (5 * 3 + 15 * 2) / 20
    assert padded.distance == pytest.approx(2.25, abs=1e-5)
    assert abs(padded.reference_offset) == 15
    assert padded.confidence > 0.3
    assert corrected.distance == pytest.approx(3.0, abs=1e-5)
    assert corrected.confidence == pytest.approx(0.0, abs=1e-5)
    assert np.isfinite(corrected.curve).sum() == 31  # shift 15 still has five pairs


def test_too_short_is_no_answer() -> None:
    with pytest.raises(NoAnswer, match=r"at least 6 frames \(0.24 s\)"):
        score(np.empty((0, 8), np.float32), np.empty((0, 8), np.float32))
    four = np.ones((4, 8), np.float32)
    assert math.isfinite(score(four, four).distance)
    with pytest.raises(NoAnswer, match="holds 4 windows, 5 are needed"):
        score(four, four, pairs=Pairs.VALID)


def test_unequal_arrays_are_a_programming_error() -> None:
    with pytest.raises(ValueError, match="alike"):
        shifted_distances(np.ones((4, 8), np.float32), np.ones((5, 8), np.float32))
