"""The heads see what they promise: one window, or one among its neighbours within 0.28 s."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from made_shards import TINY, wear_norms
from syncnet.encoder import Encoder
from syncnet.errors import InputError
from syncnet.model.checkpoint import Trained
from syncnet.model.export import export
from syncnet.model.heads import ContextHead, Head, on_sphere
from syncnet.model.network import SyncNet


def moved_by(head: torch.nn.Module, rows: int, at: int) -> list[int]:
    """Rows of the output before centring that change when row `at` of the features does."""
    torch.manual_seed(0)
    x = torch.randn(rows, 6)
    y = x.clone()
    y[at] += 3.0
    raw: list[torch.Tensor] = []
    hook = head.out.register_forward_hook(lambda _module, _inputs, output: raw.append(output))  # type: ignore
    head(x)
    head(y)
    hook.remove()
    return torch.nonzero((raw[0] - raw[1]).abs().reshape(rows, -1).amax(1) > 1e-6).flatten().tolist()


def test_a_plain_head_sees_one_window() -> None:
    assert moved_by(Head(6, 8, 4, 10.0), 60, 30) == [30]


@pytest.mark.parametrize("step", [1, 4])
def test_a_context_head_sees_seven_frames_either_way(step: int) -> None:
    rows = moved_by(ContextHead(6, 8, 4, 10.0, step=step), 90, 45)
    assert min(rows) >= 45 - 7 * step and max(rows) <= 45 + 7 * step
    assert max(abs(row - 45) for row in rows) > 3 * step


def test_the_sphere_leaves_masked_rows_out_of_the_mean() -> None:
    x = torch.tensor([[1.0, 0.0], [3.0, 2.0], [90.0, 90.0]])
    out = on_sphere(x, torch.tensor([True, True, False]), 10.0)
    assert torch.allclose(out[:2], torch.tensor([[-7.0711, -7.0711], [7.0711, 7.0711]]), atol=1e-3)


def test_both_pairs_of_heads_are_exported(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = wear_norms(SyncNet(replace(TINY, context=8)))
    trained = Trained(model, 3, {}, {})
    parity = export(trained, tmp_path / "wide", wide=True).parity
    assert max(parity.values()) < 1e-4
    narrow = export(trained, tmp_path / "narrow")
    assert (narrow.folder / "video_head.onnx").read_bytes() != (tmp_path / "wide" / "video_head.onnx").read_bytes()


def test_a_model_can_stand_on_the_trunks_beside_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    trained = Trained(wear_norms(SyncNet(replace(TINY, context=8, crop_size=111, embedding=256))), 3, {}, {})
    export(trained, tmp_path / "plain", half=True)
    export(trained, tmp_path / "wide", wide=True, half=True, trunks="plain")
    assert sorted(p.name for p in (tmp_path / "wide").iterdir()) == [
        "audio_head.onnx", "syncnet-model.json", "video_head.onnx"]
    export(trained, tmp_path / "whole", wide=True, half=True)
    crops = np.random.default_rng(0).integers(0, 256, (30, 111, 111), dtype=np.uint8)
    light, whole = (Encoder(tmp_path / name, threads=1).embed_video(crops) for name in ("wide", "whole"))
    assert np.array_equal(light, whole)
    other = Trained(wear_norms(SyncNet(trained.model.config)), 3, {}, {})
    with pytest.raises(InputError, match="not the video_trunk of this checkpoint"):
        export(other, tmp_path / "stranger", wide=True, trunks="plain")
    (tmp_path / "plain" / "audio_trunk.onnx").unlink()
    with pytest.raises(InputError, match="not whole"):
        Encoder(tmp_path / "wide", threads=1)


def test_asking_for_heads_that_are_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no heads with context"):
        export(Trained(wear_norms(SyncNet(TINY)), 0, {}, {}), tmp_path, wide=True)
