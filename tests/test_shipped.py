"""A model that ships learns on: unfolded it embeds as its graphs do, and its norms can be centred without a change."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from made_shards import TINY, make_shards, wear_norms
from syncnet.encoder import find_model
from syncnet.errors import InputError
from syncnet.model import checkpoint
from syncnet.model.augment import AugmentConfig
from syncnet.model.checkpoint import Trained
from syncnet.model.conv_norm import ConvNorm
from syncnet.model.export import export
from syncnet.model.network import SyncNet
from syncnet.model.pairs import Pairs, PairsConfig
from syncnet.model.shards import read_manifest
from syncnet.model.shipped import centre_norms, start_from_shipped, trained_model
from syncnet.model.train import Learner, TrainConfig, train

BOTH = replace(TINY, context=8)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> tuple[SyncNet, Path]:
    torch.manual_seed(1)
    model = wear_norms(SyncNet(BOTH))
    folder = tmp_path_factory.mktemp("models")
    trained = Trained(model, 7, {"K5": 0.5}, {"seed": 0})
    export(trained, folder / "narrow")
    export(trained, folder / "wide", wide=True, trunks="narrow")
    return model, folder


def looked_at(model: SyncNet) -> list[torch.Tensor]:
    torch.manual_seed(2)
    crops, mfcc = torch.randn(2, 12, TINY.crop_size, TINY.crop_size), torch.randn(2, 13, 60)
    with torch.no_grad():
        return [*model.features(crops, mfcc), *model(crops, mfcc), *model(crops, mfcc, wide=True)]


def test_a_shipped_model_computes_what_the_checkpoint_did(shipped: tuple[SyncNet, Path]) -> None:
    model, folder = shipped
    again = trained_model(folder / "wide")
    assert again.step == 7 and again.metrics == {"K5": 0.5}
    for wanted, got in zip(looked_at(model), looked_at(again.model), strict=True):
        assert torch.allclose(wanted, got, atol=1e-3)


def test_the_narrow_model_leaves_wide_heads_fresh(shipped: tuple[SyncNet, Path]) -> None:
    model, folder = shipped
    wanted, got = looked_at(model), looked_at(trained_model(folder / "narrow").model)
    assert torch.allclose(wanted[2], got[2], atol=1e-4) and not torch.allclose(wanted[4], got[4], atol=1e-2)


def test_half_weights_are_read(shipped: tuple[SyncNet, Path], tmp_path: Path) -> None:
    model, _ = shipped
    export(Trained(model, 1, {}, {}), tmp_path / "half", half=True)
    for wanted, got in zip(looked_at(model)[:4], looked_at(trained_model(tmp_path / "half").model)[:4], strict=True):
        assert (wanted - got).abs().max() < 0.2  # of a radius of 10


def test_a_checkpoint_is_read_as_before(shipped: tuple[SyncNet, Path], tmp_path: Path) -> None:
    model, _ = shipped
    checkpoint.save(tmp_path / "best.pt", {"network": BOTH.to_dict(), "average": model.state_dict(), "step": 3})
    again = trained_model(tmp_path / "best.pt")
    assert again.step == 3 and all(torch.equal(a, b) for a, b in zip(looked_at(model), looked_at(again.model),
                                                                     strict=True))


def test_centred_norms_change_nothing_and_fit_what_passes_through(shipped: tuple[SyncNet, Path],
                                                                  tmp_path: Path) -> None:
    _, folder = shipped
    shards = make_shards(tmp_path / "shards")
    learner = Learner(TrainConfig(network=BOTH))
    start_from_shipped(learner.model, find_model(folder / "wide"))
    learner.eval()
    before = looked_at(learner.model)
    config = PairsConfig(snippet_frames=(20, 24), batch_frames=96, margin_s=0.1, augment=AugmentConfig.none())
    batch = Pairs(read_manifest(shards), BOTH, config, seed=0)[0]
    centre_norms(learner, [batch])
    for wanted, got in zip(before, looked_at(learner.model), strict=True):
        assert torch.allclose(wanted, got, atol=1e-3)

    with torch.no_grad():
        calm = learner(batch)
        learner.train()  # the batch's own statistics are now those of the norms
        assert learner(batch) == pytest.approx(float(calm), rel=1e-3)


def test_unfolding_keeps_the_size_of_weights() -> None:
    torch.manual_seed(0)
    layer = ConvNorm(3, 5, (3, 3))
    size = float(layer.conv.weight.flatten(1).norm(dim=1).mean().detach())
    weight, bias = 100 * torch.randn(5, 3, 3, 3), torch.randn(5)
    layer.unfold(weight, bias)
    got = layer.folded()
    assert torch.allclose(got[0], weight, rtol=1e-4) and torch.allclose(got[1], bias)
    assert torch.allclose(layer.conv.weight.flatten(1).norm(dim=1), torch.full((5,), size), rtol=1e-4)


def test_training_starts_from_a_shipped_model(shipped: tuple[SyncNet, Path], tmp_path: Path) -> None:
    model, folder = shipped
    shards = make_shards(tmp_path / "shards")
    config = TrainConfig(network=BOTH, steps=1, warmup=10**6, held_out=0.0, workers=0, tensorboard=False, bf16=False,
                         compute="cpu", pairs=PairsConfig(snippet_frames=(20, 24), batch_frames=96, margin_s=0.1))
    best = train([shards], tmp_path / "out", config, start=folder / "wide", say=lambda text: None)
    for wanted, got in zip(looked_at(model), looked_at(checkpoint.load_model(best, averaged=False).model), strict=True):
        assert (wanted - got).abs().mean() < 0.1 * wanted.abs().mean()  # the rate is next to nothing, the norms move


def test_what_cannot_be_learned_from_is_named(shipped: tuple[SyncNet, Path], tmp_path: Path) -> None:
    _, folder = shipped
    with pytest.raises(InputError, match="another shape"):
        start_from_shipped(SyncNet(TINY), find_model(folder / "wide"))
    rng = np.random.default_rng(0)
    sample = [(rng.normal(size=(12, 31, 31)).astype(np.float32), rng.normal(size=(13, 60)).astype(np.float32))]
    export(Trained(wear_norms(SyncNet(BOTH)), 1, {}, {}), tmp_path / "int8", calibration=sample)
    with pytest.raises(InputError, match="int8"):
        trained_model(tmp_path / "int8")
    with pytest.raises(InputError, match="no model"):
        trained_model(Path("nobody"))
