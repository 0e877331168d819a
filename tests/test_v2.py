"""The v2 network against an independent transcription of its published description, with the same random weights."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from syncnet.errors import InputError

torch: Any = pytest.importorskip("torch")
Tensor = Any

from syncnet.model import v2  # noqa: E402
from syncnet.v2_encoder import V2Encoder  # noqa: E402
from v2_reference import embed, random_state  # noqa: E402


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return random_state()


@pytest.fixture(scope="module")
def encoder(state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> V2Encoder:
    folder = tmp_path_factory.mktemp("v2")
    torch.save(state, folder / "v2.model")
    v2.convert(folder / "v2.model", folder / "onnx")
    return V2Encoder(folder / "onnx")


def test_the_network_has_the_published_number_of_parameters() -> None:
    network = v2.V2()
    lip = sum(p.numel() for part in (network.netcnnlip, network.netfclip) for p in part.parameters())
    audio = sum(p.numel() for part in (network.netcnnaud, network.netfcaud) for p in part.parameters())
    assert (lip, audio) == (7_966_912, 5_664_704)
    assert lip + audio == v2.PARAMETERS == 13_631_616


def test_names_and_shapes_are_those_of_the_table(state: dict[str, Tensor]) -> None:
    expected = {name: tuple(value.shape) for name, value in state.items()}
    assert {name: tuple(value.shape) for name, value in v2.V2().state_dict().items()} == expected


def test_feature_maps_have_the_published_sizes() -> None:
    network = v2.V2().eval()
    sizes = []
    x = torch.zeros(1, 3, 5, 224, 224)
    for layer in network.netcnnlip:
        x = layer(x)
        sizes.append(x.shape[-1])
    assert [s for k, s in enumerate(sizes) if k in (0, 3, 4, 7, 14, 17, 18)] == [109, 54, 26, 13, 13, 6, 1]
    x = torch.zeros(1, 1, 13, 20)
    maps = []
    for layer in network.netcnnaud:
        x = layer(x)
        maps.append(tuple(x.shape[1:]))
    at = {0: (64, 13, 20), 7: (192, 11, 9), 8: (384, 11, 9), 14: (256, 11, 9), 17: (256, 5, 4), 20: (512, 1, 1)}
    assert {k: maps[k] for k in at} == at


def test_video_embeddings_equal_the_transcription(encoder: V2Encoder, state: dict[str, Tensor]) -> None:
    faces = np.random.default_rng(1).integers(0, 256, (17, 224, 224, 3), dtype=np.uint8)
    whole = torch.from_numpy(faces.astype(np.float32)).permute(3, 0, 1, 2)  # colours, time, height, width
    expected = embed(state, "video", torch.stack([whole[:, k : k + 5] for k in range(13)])).numpy()
    found = encoder.embed_video(iter(faces))
    assert found.shape == (13, 1024) and found.dtype == np.float32
    assert 0.1 < expected.std() < 10.0  # so that 1e-4 means something
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_audio_embeddings_equal_the_transcription(encoder: V2Encoder, state: dict[str, Tensor]) -> None:
    columns = np.random.default_rng(2).normal(0, 10, (13, 63)).astype(np.float32)
    windows = np.stack([columns[:, 4 * k : 4 * k + 20] for k in range(11)])[:, None]
    expected = embed(state, "audio", torch.from_numpy(windows)).numpy()
    found = encoder.embed_audio(columns)
    assert found.shape == (11, 1024)
    assert 0.1 < expected.std() < 10.0
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_torch_network_equals_the_transcription(state: dict[str, Tensor]) -> None:
    network = v2.V2().eval()
    network.load_state_dict(state)
    faces = torch.rand(2, 3, 5, 224, 224, generator=torch.Generator().manual_seed(3)) * 255
    columns = torch.randn(2, 1, 13, 20, generator=torch.Generator().manual_seed(4)) * 10
    with torch.inference_mode():
        torch.testing.assert_close(
            network.embed_video(faces), embed(state, "video", faces), atol=1e-5, rtol=1e-5
        )
        torch.testing.assert_close(
            network.embed_audio(columns), embed(state, "audio", columns), atol=1e-5, rtol=1e-5
        )


def test_colour_order_matters(encoder: V2Encoder) -> None:
    faces = np.random.default_rng(5).integers(0, 256, (5, 224, 224, 3), dtype=np.uint8)
    assert np.abs(encoder.embed_video(faces) - encoder.embed_video(faces[..., ::-1])).max() > 0.01


def test_too_little_gives_no_windows(encoder: V2Encoder) -> None:
    assert encoder.embed_video(np.zeros((4, 224, 224, 3), np.uint8)).shape == (0, 1024)
    assert encoder.embed_audio(np.zeros((13, 19), np.float32)).shape == (0, 1024)
    with pytest.raises(ValueError, match="224"):
        encoder.embed_video(np.zeros((5, 96, 96, 3), np.uint8))


def test_conversion_gives_the_same_bytes_twice(state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(state, tmp_path / "v2.model")
    digests = []
    for run in ("a", "b"):
        v2.convert(tmp_path / "v2.model", tmp_path / run)
        made = sorted((tmp_path / run).iterdir())
        assert [file.name for file in made] == ["audio.onnx", "video.onnx"]
        digests.append([hashlib.sha256(file.read_bytes()).hexdigest() for file in made])
    assert digests[0] == digests[1]


def test_the_old_file_format_and_missing_counters_load(state: dict[str, Tensor], tmp_path: Path) -> None:
    old = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "old.model", _use_new_zipfile_serialization=False)
    loaded = v2.load(tmp_path / "old.model")
    assert not loaded.training
    assert torch.equal(loaded.netcnnlip[18].weight, state["netcnnlip.18.weight"])


def test_foreign_names_are_named(state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({f"module.{name}": value for name, value in state.items()}, tmp_path / "w")
    with pytest.raises(InputError, match=r"names do not match.*netcnnaud\.0\.bias.*module\.netcnnaud\.0\.bias"):
        v2.load(tmp_path / "w")


def test_wrong_shapes_and_values_are_named(state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(state | {"netfclip.3.weight": torch.zeros(256, 512)}, tmp_path / "w")
    with pytest.raises(InputError, match=r"netfclip\.3\.weight is \(256, 512\), not \(1024, 512\)"):
        v2.load(tmp_path / "w")
    torch.save(state | {"netfclip.3.bias": torch.full((1024,), float("nan"))}, tmp_path / "w")
    with pytest.raises(InputError, match=r"not finite numbers: netfclip\.3\.bias"):
        v2.load(tmp_path / "w")


class Malice:
    """Would create a file if unpickled."""

    def __init__(self, target: str) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (self.target, "w")


def test_code_in_a_weights_file_is_not_run(tmp_path: Path) -> None:
    target = tmp_path / "ran"
    torch.save({"netcnnaud.0.weight": Malice(str(target))}, tmp_path / "w")
    with pytest.raises(InputError, match="cannot be read as a file of PyTorch weights"):
        v2.load(tmp_path / "w")
    assert not target.exists()


@pytest.mark.parametrize("content", [b"", b"not weights", b"\x80\x02."])
def test_other_files_are_refused_in_words(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as a file of PyTorch weights"):
        v2.load(tmp_path / "w")
    torch.save([1, 2], tmp_path / "w")
    with pytest.raises(InputError, match="holds no state dict"):
        v2.load(tmp_path / "w")
