"""Distances against a plain double loop, and what must hold whatever the embeddings are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from syncnet.curves import BLOCK_S, HOP_S, Curves, distances, gather, join, medians, minima, window_offsets
from syncnet.errors import InputError

Array = NDArray[np.float32]


def embeddings(n: int, seed: int, width: int = 8) -> Array:
    x = np.random.default_rng(seed).normal(size=(n, width))
    return np.asarray(10 * x / np.linalg.norm(x, axis=1, keepdims=True), dtype=np.float32)


def times(n: int, start: float, step: float) -> NDArray[np.float64]:
    return np.asarray(start + np.arange(n) * step)


def plain(video: Array, audio: Array, t_video: NDArray[np.float64], t_audio: NDArray[np.float64]) -> Array:
    """One distance after the other, at offsets -1...1 s, by interpolation between two windows of sound."""
    offsets = np.arange(-100, 101) / 100
    out = np.full((len(video), 201), np.nan)
    for i, t in enumerate(t_video):
        d = np.linalg.norm(audio.astype(np.float64) - video[i], axis=1)
        at = t + offsets
        inside = (at >= t_audio[0] - 1e-8) & (at <= t_audio[-1] + 1e-8)
        out[i, inside] = np.interp(at[inside], t_audio, d)
    return out.astype(np.float32)


@pytest.mark.parametrize("phase", [0.0, 0.0025, 0.005, 0.0099])
@pytest.mark.parametrize("start", [0.1, 1.7, -4.0])
def test_equals_a_plain_loop(phase: float, start: float) -> None:
    video, audio = embeddings(90, 1), embeddings(350, 2)
    t_video, t_audio = times(90, start + phase, 0.04), times(350, 0.1, HOP_S)
    curves = distances(video, audio, t_video, t_audio)
    np.testing.assert_allclose(curves.distance, plain(video, audio, t_video, t_audio), atol=2e-4)


def test_equals_a_plain_loop_across_gaps_and_out_of_order() -> None:
    video, audio = embeddings(60, 1), embeddings(3000, 2)
    in_order = np.concatenate([times(30, 0.1, 0.04), times(30, 20.003, 0.04)])
    t_video = in_order[np.random.default_rng(0).permutation(60)]
    t_audio = times(3000, 0.1, HOP_S)
    curves = distances(video, audio, t_video, t_audio)
    np.testing.assert_allclose(curves.distance, plain(video, audio, t_video, t_audio), atol=2e-4)


def test_shapes_and_offsets() -> None:
    curves = distances(embeddings(5, 1), embeddings(9, 2), times(5, 0.1, 0.04), times(9, 0.1, HOP_S), range_s=0.5)
    assert curves.distance.shape == (5, 101)
    assert curves.distance.dtype == np.float32
    assert curves.offsets_s.tolist() == [i / 100 for i in range(-50, 51)]


@settings(max_examples=40, deadline=None)
@given(st.integers(-80, 80), st.floats(0, 0.01), st.floats(-5, 3000))
def test_delaying_the_sound_moves_the_curve_by_exactly_that(hops: int, phase: float, start: float) -> None:
    video, audio = embeddings(80, 3), embeddings(500, 4)
    t_video, t_audio = times(80, start + 1 + phase, 0.04), times(500, start, HOP_S)
    before = distances(video, audio, t_video, t_audio).distance
    after = distances(video, audio, t_video, t_audio + hops * HOP_S).distance
    kept = slice(max(hops, 0), 201 + min(hops, 0)), slice(max(-hops, 0), 201 + min(-hops, 0))
    np.testing.assert_allclose(after[:, kept[0]], before[:, kept[1]], atol=2e-4)


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 5000), st.floats(0, 0.01))
def test_moving_picture_and_sound_together_changes_nothing(later: float, phase: float) -> None:
    video, audio = embeddings(80, 3), embeddings(500, 4)
    t_video, t_audio = times(80, 1 + phase, 0.04), times(500, 0.0, HOP_S)
    before = distances(video, audio, t_video, t_audio).distance
    np.testing.assert_allclose(distances(video, audio, t_video + later, t_audio + later).distance, before, atol=2e-4)


@settings(max_examples=20, deadline=None)
@given(st.floats(1e-3, 1e3))
def test_distances_scale_with_the_embeddings(scale: float) -> None:
    video, audio = embeddings(20, 5), embeddings(300, 6)
    t_video, t_audio = times(20, 1.003, 0.04), times(300, 0.0, HOP_S)
    one = distances(video, audio, t_video, t_audio)
    other = distances((video * scale).astype(np.float32), (audio * scale).astype(np.float32), t_video, t_audio)
    np.testing.assert_allclose(other.distance, one.distance * scale, rtol=2e-4)
    same = np.abs(window_offsets(other).offset_ms - window_offsets(one).offset_ms)
    assert same.max() < 0.05


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 150), st.integers(0, 150))
def test_more_sound_around_changes_nothing_but_unknown_distances(before: int, after: int) -> None:
    video, audio = embeddings(30, 7), embeddings(500, 8)
    t_video, t_audio = times(30, 1.5, 0.04), times(500, 0.0, HOP_S)
    whole = distances(video, audio, t_video, t_audio).distance
    cut = slice(before, 500 - after)
    part = distances(video, audio[cut], t_video, t_audio[cut]).distance
    known = np.isfinite(part)
    np.testing.assert_allclose(part[known], whole[known], atol=2e-4)
    sound_at = t_video[:, None] + np.arange(-100, 101) / 100
    inside = (sound_at >= t_audio[cut][0] - 1e-6) & (sound_at <= t_audio[cut][-1] + 1e-6)
    np.testing.assert_array_equal(known, inside)


def test_blocks_do_not_show() -> None:
    n = round(3 * BLOCK_S / 0.04)
    video, audio = embeddings(n, 9), embeddings(1100, 10)
    t_video, t_audio = times(n, 1.003, 0.04), times(1100, 0.0, HOP_S)
    whole = distances(video, audio, t_video, t_audio).distance
    alone = [distances(video[i : i + 1], audio, t_video[i : i + 1], t_audio).distance for i in range(n)]
    np.testing.assert_allclose(whole, np.concatenate(alone), atol=2e-4)


def test_nothing_to_compare() -> None:
    none = np.empty((0, 8), np.float32)
    no_time = np.empty(0)
    assert distances(none, embeddings(9, 1), no_time, times(9, 0, HOP_S)).distance.shape == (0, 201)
    silent = distances(embeddings(3, 1), none, times(3, 0, 0.04), no_time)
    assert np.isnan(silent.distance).all()
    far = distances(embeddings(3, 1), embeddings(9, 1), times(3, 50.0, 0.04), times(9, 0, HOP_S))
    assert np.isnan(far.distance).all()
    offsets = window_offsets(silent)
    assert np.isnan(offsets.offset_ms).all() and np.isnan(offsets.confidence).all() and not offsets.at_edge.any()
    assert window_offsets(distances(none, none, no_time, no_time)).offset_ms.shape == (0,)


def test_identical_embeddings_are_at_distance_zero_and_finite() -> None:
    same = np.tile(embeddings(1, 1), (300, 1))
    curves = distances(same[:20], same, times(20, 1.0, 0.04), times(300, 0.0, HOP_S))
    assert np.nanmax(curves.distance) < 0.02


def test_wrong_input_is_named() -> None:
    video, audio = embeddings(3, 1), embeddings(9, 2)
    t_video, t_audio = times(3, 0.0, 0.04), times(9, 0.0, HOP_S)
    for bad in (0.0, -1.0, 10.5, float("nan")):
        with pytest.raises(InputError, match="range"):
            distances(video, audio, t_video, t_audio, range_s=bad)
    with pytest.raises(InputError, match="apart"):
        distances(video, audio, t_video, times(9, 0.0, 0.04))
    with pytest.raises(InputError, match="one time"):
        distances(video, audio, t_video[:2], t_audio)
    with pytest.raises(InputError, match="Embeddings"):
        distances(video, embeddings(9, 2, width=7), t_video, t_audio)
    with pytest.raises(InputError, match="shape"):
        Curves(t_video, t_audio, np.zeros((2, 9), np.float32))


def test_minimum_of_a_sampled_parabola_is_exact() -> None:
    offsets = np.arange(-100, 101) / 100
    truth = np.array([-403.7, 0.0, 12.34, 718.2])
    curves = (offsets * 1000 - truth[:, None]) ** 2 * 1e-4 + 3
    found, grid, confidence, at_edge = minima(curves, offsets)
    np.testing.assert_allclose(found, truth, atol=1e-6)
    np.testing.assert_allclose(grid, [-400, 0, 10, 720])
    np.testing.assert_allclose(confidence, np.median(curves, axis=1) - curves.min(axis=1))
    assert not at_edge.any()


def test_minimum_next_to_unknown_distances_is_at_the_edge() -> None:
    curve = np.array([[np.nan, 3.0, 4.0, 5.0, 9.0], [5.0, 4.0, 3.0, np.nan, np.nan], [1.0, np.nan, np.nan, 4.0, 5.0]])
    offset, grid, confidence, at_edge = minima(curve, np.arange(-2, 3) / 100)
    assert at_edge.tolist() == [True, True, True]
    assert offset.tolist() == grid.tolist() == [-10.0, 0.0, -20.0]
    assert confidence.tolist() == [1.5, 1.0, 3.0]


def test_minimum_beside_a_hole_stays_on_its_sample() -> None:
    offset, _, _, at_edge = minima(np.array([[5.0, np.nan, 1.0, 2.0, 6.0]]), np.arange(-2, 3) / 100)
    assert offset.tolist() == [0.0]
    assert not at_edge[0]


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 30), st.integers(0, 100))
def test_medians_are_those_of_numpy(width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    curves = np.where(rng.random((20, width)) < 0.3, np.nan, rng.normal(size=(20, width)))
    curves[0] = np.nan
    expected = [np.median(row[np.isfinite(row)]) if np.isfinite(row).any() else np.nan for row in curves]
    np.testing.assert_allclose(medians(curves), expected)


def test_join_puts_tracks_side_by_side() -> None:
    one, two = (
        distances(embeddings(4, s), embeddings(400, 9), times(4, 1.0 + s, 0.04), times(400, 0.0, HOP_S)) for s in (1, 2)
    )
    both = join([one, two])
    np.testing.assert_array_equal(both.distance, np.concatenate([one.distance, two.distance]))
    np.testing.assert_array_equal(both.times, np.concatenate([one.times, two.times]))
    with pytest.raises(InputError, match="same range"):
        join([one, Curves(one.times, one.offsets_s + 1, one.distance)])
    with pytest.raises(InputError, match="no curves"):
        join([])


def test_gather_joins_and_empties_the_list() -> None:
    tracks = [
        distances(embeddings(n, n), embeddings(400, 9), times(n, 1.0, 0.04), times(400, 0.0, HOP_S)) for n in (4, 7, 1)
    ]
    expected = join(tracks)
    assert len(tracks) == 3
    gathered = gather(tracks)
    assert tracks == []
    np.testing.assert_array_equal(gathered.distance, expected.distance)
    np.testing.assert_array_equal(gathered.times, expected.times)
