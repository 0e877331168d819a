"""Nothing is sent or left behind: recordings and habits are nobody else's business."""

import os
import subprocess
import sys
from pathlib import Path

from syncnet.cascade import network

LOAD = "import syncnet; from syncnet.cascade import network; network('mtcnn_pnet', 1); print('loaded')"


def test_running_a_network_leaves_no_trace_in_the_home_folder(tmp_path: Path) -> None:
    """onnxruntime keeps what it will report to its maker, and a number for the device, in the user's cache."""
    homes = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"), str(tmp_path))
    kept = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    run = subprocess.run([sys.executable, "-c", LOAD], env=kept | homes, capture_output=True, text=True, check=False)
    assert run.stdout == "loaded\n", run.stderr
    assert list(tmp_path.rglob("*")) == []


def test_reporting_is_off_in_this_process_too() -> None:
    assert network("mtcnn_pnet", 1) is not None
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
