"""A checkpoint becomes ONNX files that equal torch, carry their texts, and run in the package's own encoder."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch

from made_shards import TINY, wear_norms
from syncnet.encoder import PARTS, Encoder
from syncnet.errors import InputError
from syncnet.model.checkpoint import Trained, load_model, save
from syncnet.model.export import PARITY, export
from syncnet.model.network import SyncNet, standardise

# As small as the encoder takes it: 111 pixels in, 256 numbers out.
SMALL = replace(TINY, name="small", crop_size=111, embedding=256)
RECIPE = {"seed": 3, "loss": {"kind": "softmax"}, "clips": 9, "speakers": 4, "minutes_of_video": 1.5,
          "teacher": "lr_asd.pt"}


@pytest.fixture
def trained() -> Trained:
    torch.manual_seed(1)
    return Trained(wear_norms(SyncNet(SMALL)), 12, {"K5": 0.5}, RECIPE)


def test_graphs_equal_torch_and_carry_their_texts(trained: Trained, tmp_path: Path) -> None:
    done = export(trained, tmp_path, name="probe", version="7", licence="Free.", metrics={"dev": 0.25})
    assert set(done.parity) == set(PARTS) and max(done.parity.values()) <= PARITY
    entry = json.loads((tmp_path / "syncnet-model.json").read_text())
    assert (entry["name"], entry["version"], entry["metrics"]) == ("probe", "7", {"K5": 0.5, "dev": 0.25})
    assert entry["config"]["crop_size"] == 111 and entry["trained"]["step"] == 12
    assert "Liao Junhua" in entry["licence"] and entry["licence"].startswith("Free.")
    for part in PARTS:
        session = ort.InferenceSession(str(tmp_path / f"{part}.onnx"), providers=["CPUExecutionProvider"])
        texts = session.get_modelmeta().custom_metadata_map
        assert texts["part"] == part and "9 clips of 4 speakers" in texts["card"] and "MIT" in texts["licence"]
        assert json.loads(texts["config"])["name"] == "small"
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*(f"{p}.onnx" for p in PARTS), "syncnet-model.json"])


def test_the_package_encoder_gives_what_torch_gives(trained: Trained, tmp_path: Path) -> None:
    export(trained, tmp_path)
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 256, (140, 111, 111), dtype=np.uint8)  # several pieces of the trunk
    mfcc = rng.standard_normal((13, 150)).astype(np.float32)
    encoder = Encoder(tmp_path, threads=1)
    pixels = torch.from_numpy(crops).float()
    pixels = (pixels - pixels.mean()) / (pixels.std(correction=0) + 1.0)
    with torch.no_grad():
        video = trained.model.video_head(standardise(trained.model.video_trunk(pixels[None])))[0].numpy()
        columns = standardise(torch.from_numpy(mfcc.T)[None]).transpose(1, 2)
        audio = trained.model.audio_head(standardise(trained.model.audio_trunk(columns)))[0].numpy()
    assert np.abs(encoder.embed_video(crops) - video).max() < 2e-3
    assert np.abs(encoder.embed_audio(mfcc) - audio).max() < 2e-3


def test_half_weights_are_half_as_large_and_move_little(trained: Trained, tmp_path: Path) -> None:
    export(trained, tmp_path / "full")
    export(trained, tmp_path / "half", half=True)
    sizes = {kind: (tmp_path / kind / "video_head.onnx").stat().st_size for kind in ("full", "half")}
    assert sizes["half"] < 0.75 * sizes["full"]
    moved = json.loads((tmp_path / "half" / "syncnet-model.json").read_text())["moved_by_half_weights"]
    assert set(moved) == set(PARTS) and 0 < max(moved.values()) < 0.05
    crops = np.random.default_rng(0).integers(0, 256, (30, 111, 111), dtype=np.uint8)
    full, half = (Encoder(tmp_path / kind, threads=1).embed_video(crops) for kind in ("full", "half"))
    assert 0 < np.abs(full - half).max() < 0.1


def test_int8_trunks_run_and_stay_near(trained: Trained, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    clips = [(rng.standard_normal((9, 111, 111)).astype(np.float32), rng.standard_normal((13, 36)).astype(np.float32))
             for _ in range(3)]
    export(trained, tmp_path, calibration=clips)
    assert json.loads((tmp_path / "syncnet-model.json").read_text())["precision"] == "int8"
    session = ort.InferenceSession(str(tmp_path / "audio_trunk.onnx"), providers=["CPUExecutionProvider"])
    got = session.run(None, {"mfcc": clips[0][1][None]})[0]
    with torch.no_grad():
        wanted = trained.model.audio_trunk(torch.from_numpy(clips[0][1])[None]).numpy()
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).max() > 0  # it is not the float graph
    assert np.corrcoef(got.ravel(), wanted.ravel())[0, 1] > 0.98


def test_checkpoints_come_back_and_bad_ones_are_named(trained: Trained, tmp_path: Path) -> None:
    model = trained.model
    path = tmp_path / "a" / "best.pt"
    twisted = {k: v + 1 if v.is_floating_point() else v for k, v in model.state_dict().items()}
    save(path, {"network": SMALL.to_dict(), "model": model.state_dict(), "average": twisted, "step": 5})
    assert [p.name for p in path.parent.iterdir()] == ["best.pt"]
    assert torch.equal(load_model(path).model.video_head.out.bias, model.video_head.out.bias + 1)
    assert torch.equal(load_model(path, averaged=False).model.video_head.out.bias, model.video_head.out.bias)
    with pytest.raises(InputError, match="does not exist"):
        load_model(tmp_path / "none.pt")
    (tmp_path / "text.pt").write_text("no checkpoint")
    with pytest.raises(InputError, match="not a readable checkpoint"):
        load_model(tmp_path / "text.pt")
    torch.save({"format": 99}, tmp_path / "other.pt")
    with pytest.raises(InputError, match="not a checkpoint of"):
        load_model(tmp_path / "other.pt")
