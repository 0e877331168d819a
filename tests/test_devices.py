"""Lower precision where the device has it, and only there."""

import pytest
import torch

from syncnet.model import devices

CPU = torch.device("cpu")


@pytest.mark.parametrize("has", [False, True])
@pytest.mark.parametrize("wanted", [False, True])
def test_bfloat16_is_used_only_where_it_is_wanted_and_there(
    has: bool, wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "has_bfloat16", lambda device: has)
    with devices.autocast(CPU, wanted):
        assert torch.is_autocast_enabled("cpu") == (has and wanted)


def test_what_is_said_of_this_processor_is_true() -> None:
    layer, x = torch.nn.Conv2d(3, 4, 3), torch.randn(1, 3, 8, 8)
    with devices.autocast(CPU), torch.no_grad():
        out = layer(x)
    assert out.dtype == (torch.bfloat16 if devices.has_bfloat16(CPU) else torch.float32)
    assert torch.allclose(out.float(), torch.nn.functional.conv2d(x, layer.weight, layer.bias), atol=0.05)
