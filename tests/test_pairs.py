"""Snippets: picture and sound of the same time, drawn evenly, the same for the same seed."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from made_shards import TINY, make_shards
from syncnet.errors import InputError
from syncnet.mfcc import mfcc
from syncnet.model import augment
from syncnet.model.augment import AugmentConfig
from syncnet.model.held_out import is_held_out
from syncnet.model.pairs import (
    Pairs,
    PairsConfig,
    calibration_inputs,
    read_snippet,
    speaker_shares,
    split_speakers,
    standardised_crops,
    standardised_mfcc,
)
from syncnet.model.settings import change
from syncnet.model.shards import read_crops, read_manifest, read_manifests, read_sound

CONFIG = PairsConfig(snippet_frames=(20, 30), batch_frames=100, margin_s=0.1)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shards(tmp_path_factory.mktemp("shards"), clips=8)


def test_batches_repeat_and_have_the_promised_shapes(shards: Path) -> None:
    clips = read_manifest(shards)
    a, b = (Pairs(clips, TINY, CONFIG, seed=1)[7] for _ in range(2))
    assert torch.equal(a.crops, b.crops) and torch.equal(a.mfcc, b.mfcc)
    count, frames = a.crops.shape[:2]
    assert frames in (20, 30) and count == 100 // frames
    columns = 4 * frames + 20
    assert a.crops.shape == (count, frames, 31, 31) and a.crops.dtype == torch.uint8
    assert a.mfcc.shape == (count, 13, columns)
    assert a.mask.shape == a.audio_times.shape == (count, columns - 19)
    other = Pairs(clips, TINY, CONFIG, seed=2)[7]
    assert other.crops.shape != a.crops.shape or not torch.equal(other.crops, a.crops)


def test_snippet_without_change_is_the_file_itself(shards: Path) -> None:
    clip = read_manifest(shards)[2]
    snippet = read_snippet(clip, 5, 20, TINY, margin_s=0.1)
    assert np.array_equal(snippet.crops, read_crops(clip, 5, 20)[:, 4:35, 4:35])
    start = round((0.2 + 5 / 25 - 0.1) * 16000)  # the sound leads by 0.2 s
    samples = read_sound(clip, start, (20 * 4 + 20 - 1) * 160 + 400)[0]
    plain = mfcc(samples)
    assert np.allclose(snippet.mfcc, standardised_mfcc(plain, np.ones(plain.shape[1], bool)), atol=1e-4)
    assert snippet.mask.all()
    assert snippet.audio_times[10] == pytest.approx(0.0, abs=1e-4)  # the margin of 0.1 s is ten windows
    assert snippet.audio_times[-1] == pytest.approx((20 - 5) * 0.04 + 0.1, abs=1e-4)


def test_known_offset_moves_the_sound(shards: Path) -> None:
    clip = read_manifest(shards)[0]
    late = replace(clip, offset_ms=80.0, sound_lead_s=clip.sound_lead_s - 0.08)
    assert np.allclose(read_snippet(late, 0, 20, TINY, margin_s=0.0).mfcc,
                       read_snippet(clip, 0, 20, TINY, margin_s=0.0).mfcc)


def test_windows_outside_the_sound_are_masked(shards: Path) -> None:
    clip = replace(read_manifest(shards)[0], sound_lead_s=0.0, sound_samples=16000)
    snippet = read_snippet(clip, 0, 40, TINY, margin_s=0.2)
    times = snippet.audio_times  # of middles: a window holds [t, t + 0.2 s + 15 ms of the last column)
    assert not snippet.mask[times < -0.005].any()
    assert snippet.mask[(times > -0.005) & (times < 0.78)].all()
    assert not snippet.mask[times > 0.79].any()


def test_random_start_of_the_columns_is_accounted_for(shards: Path) -> None:
    clip = read_manifest(shards)[0]
    firsts = {float(read_snippet(clip, 0, 20, TINY, margin_s=0.1, change=AugmentConfig.none(),
                                 rng=np.random.default_rng(i)).audio_times[10]) for i in range(20)}
    assert len(firsts) > 10 and all(-0.01 < t <= 0.0 for t in firsts)


def test_standardised_inputs() -> None:
    crops = standardised_crops(torch.randint(0, 255, (2, 4, 5, 5), dtype=torch.uint8))
    assert torch.allclose(crops.mean((1, 2, 3)), torch.zeros(2), atol=1e-5)
    assert (crops.std((1, 2, 3)) - 1).abs().max() < 0.05
    assert not standardised_mfcc(np.ones((13, 4), np.float32), np.zeros(4, bool)).any()


def test_plain_augmentation_is_the_central_crop(shards: Path) -> None:
    crops = read_crops(read_manifest(shards)[1])
    same = augment.augment_crops(crops, 31, AugmentConfig.none(), np.random.default_rng(0))
    assert np.abs(same.astype(int) - augment.centre_crops(crops, 31)).max() <= 1


def test_every_change_keeps_the_shape_and_changes_something(shards: Path) -> None:
    crops = read_crops(read_manifest(shards)[1])
    for name in ("flip", "light", "blur", "small_face", "jpeg", "grain", "occlusion", "repeat_frames"):
        config = change(AugmentConfig.none(), name, 1.0)
        out = augment.augment_crops(crops, 31, config, np.random.default_rng(5))
        assert out.shape == (len(crops), 31, 31) and out.dtype == np.uint8, name
        assert not np.array_equal(out, augment.centre_crops(crops, 31)), name


def test_warped_mfcc_is_mfcc_without_warp() -> None:
    samples = (0.1 * np.random.default_rng(0).standard_normal(400 + 160 * 30)).astype(np.float32)
    assert np.allclose(augment.warped_mfcc(samples), mfcc(samples), atol=1e-3)
    assert not np.allclose(augment.warped_mfcc(samples, 1.1)[1:], mfcc(samples)[1:], atol=0.1)


def test_noise_has_the_ratio_asked_for_and_a_room_does_not_delay() -> None:
    rng = np.random.default_rng(0)
    tone = np.sin(np.arange(16000) * 0.3).astype(np.float32)
    noisy = augment.add_noise(tone, augment.coloured_noise(16000, rng), 10.0)
    assert 10 * np.log10(np.mean(tone**2) / np.mean((noisy - tone) ** 2)) == pytest.approx(10.0, abs=0.1)
    click = np.zeros(8000, np.float32)
    click[1000] = 1.0
    wet = augment.reverberate(click, rng)
    assert np.abs(wet[:1000]).max() < 1e-5
    assert wet[1000] == pytest.approx(1.0, abs=1e-3) and np.abs(wet[1010:]).max() > 0


def test_shares_follow_the_root_of_minutes_and_the_caps(shards: Path) -> None:
    clip = read_manifest(shards)[0]
    clips = [replace(clip, speaker="a", frames=400), replace(clip, speaker="b", frames=100)]
    free = PairsConfig(speaker_cap=1.0, corpus_cap=1.0)
    assert speaker_shares(clips, free)[1] == pytest.approx([2 / 3, 1 / 3])
    many = [replace(clip, speaker=f"x{i}", corpus="x") for i in range(90)]
    many += [replace(clip, speaker=f"y{i}", corpus=f"y{i % 5}") for i in range(10)]
    speakers, shares = speaker_shares(many, PairsConfig(corpus_cap=0.3, speaker_cap=1.0))
    assert shares[[s.startswith("x") for s in speakers]].sum() == pytest.approx(0.3, abs=1e-3)


def test_held_out_speakers_are_decided_by_name_alone(shards: Path) -> None:
    clip = read_manifest(shards)[0]
    clips = [replace(clip, speaker=f"s{i}") for i in range(1000)]
    train, held = split_speakers(clips, 0.06)
    assert 35 < len(held) < 90 and len(train) + len(held) == 1000
    assert all(is_held_out(c.speaker, 0.06) for c in held)
    assert split_speakers([clip], 1.0) == ([clip], [])  # all the minutes there are stay in training


def test_calibration_inputs(shards: Path) -> None:
    inputs = calibration_inputs(read_manifest(shards), TINY, 3)
    assert len(inputs) == 3
    assert inputs[0][0].shape == (40, 31, 31) and inputs[0][1].shape == (13, 160)


def test_bad_shards_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no manifest\.jsonl"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.jsonl").write_text("")
    with pytest.raises(InputError, match="hold no clips"):
        read_manifests([tmp_path])
    (tmp_path / "manifest.jsonl").write_text('{"key": "a"}\n')
    with pytest.raises(InputError, match=r"line 1.*lacks shard"):
        read_manifest(tmp_path)
    made = make_shards(tmp_path / "cut", clips=1)
    line = json.loads((made / "manifest.jsonl").read_text())
    (made / "manifest.jsonl").write_text(json.dumps({**line, "frames": 50}) + "\n")
    with pytest.raises(InputError, match="shorter than its manifest"):
        read_crops(read_manifest(made)[0])
