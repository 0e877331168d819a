"""The network keeps its contract: an embedding's features see their own 0.2 s only, dense equals windowed."""

from pathlib import Path

import pytest
import torch

from made_shards import TINY, wear_norms
from syncnet.errors import InputError
from syncnet.model.devices import has_bfloat16
from syncnet.model.network import (
    STANDARD_EPS,
    SyncNet,
    SyncNetConfig,
    VideoBlock,
    standardise,
)
from syncnet.model.teacher import fold_taps, start_from_teacher


@pytest.fixture
def tiny() -> SyncNet:
    torch.manual_seed(0)
    return wear_norms(SyncNet(TINY))


def test_shapes_and_radius(tiny: SyncNet) -> None:
    video, audio = tiny(torch.randn(2, 9, 31, 31), torch.randn(2, 13, 36))
    assert video.shape == (2, 5, 10)
    assert audio.shape == (2, 17, 10)
    assert torch.allclose(video.norm(dim=-1), torch.full((2, 5), 10.0), atol=1e-4)


def test_default_config_gives_the_documented_shapes() -> None:
    model = SyncNet().eval()
    with torch.no_grad():
        assert model.video_trunk(torch.zeros(1, 5, 111, 111)).shape == (1, 1, 512)
        assert model.audio_trunk(torch.zeros(1, 13, 20)).shape == (1, 1, 512)
    assert model.config.map_size == 14


def test_video_features_depend_on_their_own_five_frames_only(tiny: SyncNet) -> None:
    crops = torch.randn(1, 12, 31, 31)
    with torch.no_grad():
        before = tiny.video_trunk(crops)
        crops[:, 6] += 1.0
        changed = (tiny.video_trunk(crops) - before).abs().amax(2)[0] > 1e-6
    assert changed.tolist() == [2 <= i <= 6 for i in range(8)]


def test_audio_features_depend_on_their_own_twenty_columns_only(tiny: SyncNet) -> None:
    mfcc = torch.randn(1, 13, 60)
    with torch.no_grad():
        before = tiny.audio_trunk(mfcc)
        mfcc[:, :, 30] += 5.0
        changed = (tiny.audio_trunk(mfcc) - before).abs().amax(2)[0] > 1e-6
    assert not changed[:11].any() and not changed[31:].any()
    assert changed[11:31].float().mean() > 0.8


def test_dense_equals_windowed(tiny: SyncNet) -> None:
    crops, mfcc = torch.randn(1, 8, 31, 31), torch.randn(1, 13, 25)
    with torch.no_grad():
        dense = tiny.video_trunk(crops)[0]
        single = torch.cat([tiny.video_trunk(crops[:, i:i + 5])[0] for i in range(4)])
        assert torch.allclose(dense, single, atol=1e-5)
        dense = tiny.audio_trunk(mfcc)[0]
        single = torch.cat([tiny.audio_trunk(mfcc[:, :, i:i + 20])[0] for i in range(6)])
        assert torch.allclose(dense, single, atol=1e-5)


def test_clips_of_a_batch_do_not_touch(tiny: SyncNet) -> None:
    crops = torch.randn(3, 8, 31, 31)
    with torch.no_grad():
        together = tiny.video_trunk(crops)
        alone = torch.cat([tiny.video_trunk(c[None]) for c in crops])
    assert torch.allclose(together, alone, atol=1e-5)


def test_folded_norms_equal_batch_norm_in_eval(tiny: SyncNet) -> None:
    layer = tiny.audio_trunk.conv2
    x = torch.randn(2, 4, 7, 9)
    assert torch.allclose(layer(x), torch.relu(layer.norm(layer.conv(x))), atol=1e-5)


def test_frozen_blocks_do_not_learn_and_give_the_same_features(tiny: SyncNet) -> None:
    crops = torch.randn(2, 20, 31, 31)
    with torch.no_grad():
        before = tiny.video_trunk(crops)
    tiny.freeze_norms()
    tiny.video_trunk.freeze(1)
    tiny.video_trunk.train()
    tiny.video_trunk.shape_1.eval()
    tiny.video_trunk.shape_2.eval()
    features = tiny.video_trunk(crops)
    assert torch.allclose(features, before, atol=1e-5)
    features.sum().backward()
    assert all(p.grad is None for p in tiny.video_trunk.blocks[0].parameters())
    gradient = dict(tiny.named_parameters())["video_trunk.blocks.1.s_1.conv.weight"].grad
    assert gradient is not None and gradient.abs().sum() > 0


def test_standardise_by_hand_and_with_a_mask() -> None:
    x = torch.tensor([[[1.0], [3.0], [100.0]]])
    plain = standardise(x[:, :2])
    assert torch.allclose(plain.flatten(), torch.tensor([-1.0, 1.0]) / (1 + STANDARD_EPS**2) ** 0.5)
    masked = standardise(x, torch.tensor([[True, True, False]]))
    assert torch.allclose(masked[0, :2], plain[0])
    assert masked[0, 2].item() == 0.0


def test_a_feature_that_never_moves_stays_zero_with_a_finite_gradient() -> None:
    x = torch.full((1, 6, 2), 3.0, requires_grad=True)
    out = standardise(x)
    out.sum().backward()  # type: ignore[no-untyped-call]
    assert out.abs().max().item() == 0.0
    assert x.grad is not None and torch.isfinite(x.grad).all()


def test_fold_taps() -> None:
    weight = torch.arange(1.0, 6.0).reshape(1, 1, 5, 1)
    assert fold_taps(weight, 1).flatten().tolist() == [15.0]
    assert fold_taps(weight, 3).flatten().tolist() == [3.0, 3.0, 9.0]
    assert fold_taps(weight, 5).flatten().tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    with pytest.raises(ValueError, match="taps"):
        fold_taps(weight, 2)


def test_config_round_trip_and_complaints() -> None:
    assert SyncNetConfig.from_dict(TINY.to_dict()) == TINY
    assert SyncNetConfig.from_dict({"video_taps": [[1, 1], [1, 3], [1, 3]]}) == SyncNetConfig()
    with pytest.raises(ValueError, match="unknown network settings: deep"):
        SyncNetConfig.from_dict({"deep": 1})
    with pytest.raises(ValueError, match="frames"):
        SyncNetConfig(video_taps=((1, 3), (1, 3), (1, 3)))


def _made_teacher() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    state = {}
    inputs = 1
    for block, (middle, outputs) in enumerate(((16, 32), (32, 64), (64, 128)), 1):
        shapes = {"s_1": (middle, inputs, 1, 5, 5), "s_2": (outputs, middle, 1, 3, 3),
                  "t_1": (outputs, outputs, 5, 1, 1), "t_2": (outputs, outputs, 3, 1, 1)}
        for part, shape in shapes.items():
            base = f"model.visualEncoder.block{block}."
            state[f"{base}{part}.weight"] = torch.randn(shape, generator=generator) / 10
            norm = f"{base}{part[0]}_norm_{part[2]}."
            state[norm + "weight"] = torch.rand(shape[0], generator=generator) + 0.5
            state[norm + "bias"] = torch.randn(shape[0], generator=generator) / 10
            state[norm + "running_mean"] = torch.randn(shape[0], generator=generator) / 10
            state[norm + "running_var"] = torch.rand(shape[0], generator=generator) + 0.5
        inputs = outputs
    return state


def test_teacher_block_is_exact_for_a_still_picture() -> None:
    """Block 1 of the teacher, written out with 3-D convolutions, on a picture that does not move."""
    state = _made_teacher()
    model = SyncNet().eval()
    names = start_from_teacher(model, state)
    assert len(names) == 3 * 4 * 3
    assert set(names) <= {n for n, _ in model.named_parameters()}
    picture = torch.randn(1, 1, 1, 41, 41).expand(1, 1, 9, 41, 41)
    x = picture
    for part, stride, padding in (("s_1", (1, 2, 2), (0, 2, 2)), ("s_2", 1, (0, 1, 1)), ("t_1", 1, (2, 0, 0)),
                                  ("t_2", 1, (1, 0, 0))):
        base = "model.visualEncoder.block1."
        x = torch.nn.functional.conv3d(x, state[f"{base}{part}.weight"], stride=stride, padding=padding)
        norm = f"{base}{part[0]}_norm_{part[2]}."
        x = torch.relu(torch.nn.functional.batch_norm(x, state[norm + "running_mean"], state[norm + "running_var"],
                                                      state[norm + "weight"], state[norm + "bias"], eps=1e-3))
    block = model.video_trunk.blocks[0]
    assert isinstance(block, VideoBlock)
    with torch.no_grad():
        ours = block(picture[0, :, 0].unsqueeze(0), 1)
    assert torch.allclose(ours[0], x[0, :, 4], atol=1e-4)  # the middle frame: no padding in view


def test_teacher_of_another_kind_is_refused() -> None:
    with pytest.raises(InputError, match="lacks"):
        start_from_teacher(SyncNet(), {"weight": torch.zeros(1)})


def test_real_teacher_loads() -> None:
    path = Path(__file__).parents[2] / "shared" / "teachers" / "lr_asd_talkset.pt"
    if not path.is_file():
        pytest.skip("the teacher's weights are not here")
    model = SyncNet().eval()
    state = torch.load(path, map_location="cpu", weights_only=True)
    start_from_teacher(model, state)
    assert torch.equal(model.state_dict()["video_trunk.blocks.1.t_2.conv.weight"],
                       state["model.visualEncoder.block2.t_2.weight"][..., 0])


@pytest.mark.parametrize("low", [False, True])
def test_the_fused_pass_without_gradient_gives_what_the_two_steps_give(tiny: SyncNet, low: bool) -> None:
    if low and not has_bfloat16(torch.device("cpu")):
        pytest.skip("this processor has no bfloat16")
    layer = tiny.video_trunk.blocks[1].s_1
    x = torch.randn(2, 6, 9, 9).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=low):
        learning = layer(x)  # type: ignore[operator]
        with torch.no_grad():
            fused = layer(x)  # type: ignore[operator]
    assert learning.abs().max() > 0
    error = 0.05 if low else 1e-5
    assert torch.allclose(learning.float(), fused.float(), atol=error, rtol=error)
