"""Losses against values worked out by hand."""

import math

import pytest
import torch

from syncnet.model.loss import LossConfig, SyncLoss, balanced_binary, contrastive, soft_cross_entropy, squared_distances


def test_squared_distances() -> None:
    video = torch.tensor([[[0.0, 0.0], [3.0, 4.0]]])
    audio = torch.tensor([[[3.0, 4.0], [0.0, 4.0]]])
    assert squared_distances(video, audio).tolist() == [[[25.0, 16.0], [0.0, 9.0]]]


def test_contrastive_by_hand() -> None:
    d2 = torch.tensor([[[4.0, 9.0, 400.0]]])
    near = torch.tensor([[[True, False, False]]])
    # positive 4; negatives max(5 - 3, 0)^2 = 4 and max(5 - 20, 0)^2 = 0, mean 2; a quarter of the sum
    assert contrastive(d2, near, ~near, 5.0).item() == pytest.approx(0.25 * (4 + 2), rel=1e-4)


def test_binary_by_hand() -> None:
    logits = torch.tensor([[[0.0, 2.0, -2.0]]])
    near = torch.tensor([[[True, False, False]]])
    negative = (math.log1p(math.exp(2)) + math.log1p(math.exp(-2))) / 2
    assert balanced_binary(logits, near, ~near).item() == pytest.approx(0.5 * (math.log(2) + negative))


def test_hard_softmax_by_hand() -> None:
    logits = torch.tensor([[[1.0, 0.0, 5.0]]])
    lag = torch.tensor([[[0.001, 0.01, 0.02]]])
    allowed = torch.tensor([[[True, True, False]]])
    loss = soft_cross_entropy(logits, lag, allowed, 0.0, reach_s=0.015)
    assert loss.item() == pytest.approx(math.log(math.e + 1) - 1)
    more = soft_cross_entropy(logits, lag, allowed, 0.0, reach_s=0.015, extra=torch.tensor([[2.0]]))
    assert more.item() == pytest.approx(math.log(math.e + 1 + math.e**2) - 1)


def test_soft_target_is_a_gaussian() -> None:
    lag = torch.tensor([[[-0.02, 0.0, 0.02]]])
    target = torch.tensor([math.exp(-0.5), 1.0, math.exp(-0.5)])
    logits = torch.tensor([[[0.3, 1.0, -0.4]]])
    wanted = -(target / target.sum() * torch.log_softmax(logits[0, 0], 0)).sum()
    loss = soft_cross_entropy(logits, lag, torch.ones_like(lag, dtype=torch.bool), 0.02, reach_s=0.01)
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-5)


def test_rows_without_their_partner_do_not_count() -> None:
    logits = torch.tensor([[[1.0, 0.0], [7.0, -7.0]]])
    lag = torch.tensor([[[0.0, 0.01], [0.5, 0.6]]])
    loss = soft_cross_entropy(logits, lag, torch.ones_like(lag, dtype=torch.bool), 0.0, reach_s=0.015)
    assert loss.item() == pytest.approx(math.log(math.e + 1) - 1)


@pytest.mark.parametrize("kind", ["softmax", "contrastive", "binary"])
@pytest.mark.parametrize("other_clips", [0.0, 0.5])
def test_embeddings_in_step_cost_less_than_shifted_ones(kind: str, other_clips: float) -> None:
    torch.manual_seed(0)
    audio = torch.nn.functional.normalize(torch.randn(2, 60, 8), dim=-1) * 10
    times = (torch.arange(60) * 0.01 - 0.1).expand(2, 60)
    mask = torch.ones(2, 60, dtype=torch.bool)
    loss = SyncLoss(LossConfig(kind=kind, other_clips=other_clips))  # type: ignore[arg-type]
    right = loss(audio[:, 10:42:4], audio, mask, times)
    wrong = loss(audio[:, 26:58:4], audio, mask, times)
    assert right.item() < wrong.item() - 0.3


def test_masked_sound_changes_nothing() -> None:
    torch.manual_seed(0)
    video, audio = torch.randn(1, 6, 8), torch.randn(1, 40, 8)
    times = (torch.arange(40) * 0.01 - 0.05).unsqueeze(0)
    mask = torch.ones(1, 40, dtype=torch.bool)
    mask[:, 30:] = False
    loss = SyncLoss(LossConfig(other_clips=0.5))
    before = loss(video, audio, mask, times)
    audio[:, 30:] += 100.0
    assert loss(video, audio, mask, times).item() == pytest.approx(before.item(), rel=1e-5)


def test_a_guide_draws_the_target_towards_its_own_answer() -> None:
    torch.manual_seed(0)
    video, audio = torch.randn(1, 6, 8), torch.randn(1, 21, 8)
    mask = torch.ones(1, 21, dtype=torch.bool)
    times = torch.arange(21)[None] * 0.01
    logits = torch.full((1, 6, 21), -30.0)
    logits[:, :, 3] = 30.0  # the guide is sure of the same sound for every window of picture
    free = SyncLoss(LossConfig(sigma_ms=20.0))
    led = SyncLoss(LossConfig(sigma_ms=20.0, guided=1.0))
    assert led(video, audio, mask, times) == free(video, audio, mask, times)  # without a guide nothing changes
    near = video.clone().requires_grad_()
    led(near, audio, mask, times, logits).backward()
    assert near.grad is not None
    towards = audio[:, 3:4] - video
    assert (-(near.grad * towards).sum(-1) > 0).all()  # descending goes towards the sound the guide names


def test_the_guide_gets_no_gradient() -> None:
    video, audio = torch.randn(1, 5, 8, requires_grad=True), torch.randn(1, 20, 8)
    assert not SyncLoss(LossConfig()).logits(video, audio).requires_grad
