"""The whole chain through the command line on made clips: prepare, train, refine, evaluate, export, detect."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import face_speech
from conftest import NO_VOICE
from made_shards import TINY
from syncnet.cli import app
from talking_face import make

CLIPS = 4
SECONDS = 2.0
WIDTHS = ("video_widths", "shape_width", "shape_features", "audio_widths", "audio_features", "hidden")
NETWORK = {name: getattr(replace(TINY), name) for name in WIDTHS}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of drawn people who talk, with a manifest; one is damaged."""
    if not face_speech.available():
        pytest.skip(NO_VOICE)
    folder = tmp_path_factory.mktemp("recordings")
    rows = []
    for n in range(CLIPS):
        name = f"nested/talk{n}.mp4"
        (folder / "nested").mkdir(exist_ok=True)
        make(folder / name, seconds=SECONDS, seed=20 + n, size=(200, 200), face_width=110)
        rows.append({"file": name, "split": "train", "speaker": f"p{n}", "corpus": "drawn", "kind": "made"})
    (folder / "broken.mp4").write_bytes(b"\0" * 1000)
    rows.append({"file": "broken.mp4", "split": "train", "speaker": "p9", "corpus": "drawn", "kind": "made"})
    with (folder / "manifest.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    return folder


@pytest.fixture
def run() -> Callable[..., str]:
    torch.set_num_threads(1)

    def call(*arguments: str | Path, codes: tuple[int, ...] = (0,)) -> str:
        done = CliRunner().invoke(app, [str(a) for a in arguments])
        assert done.exit_code in codes, f"{arguments[0]}: {done.output}\n{done.exception}"
        return done.stdout

    return call


@pytest.mark.slow
def test_from_recordings_to_an_answer(recordings: Path, tmp_path: Path, run: Callable[..., str]) -> None:
    shards, course, clean, model = (tmp_path / name for name in ("shards", "run", "clean", "model"))

    counts = json.loads(run("prepare", recordings, "--split", "train", "--out", shards, "--jobs", "1", "--json"))
    assert counts["files"] == CLIPS + 1 and counts["errors"] == 1 and counts["clips"] >= CLIPS

    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({
        "network": NETWORK, "steps": 4, "warmup": 2, "eval_steps": 2, "eval_clips": 2, "workers": 0, "held_out": 0.0,
        "pairs": {"snippet_frames": [25], "batch_frames": 50}, "tensorboard": True, "compute": "cpu"}))
    run("train", shards, "--out", course, "--config", settings)
    assert (course / "last.pt").is_file() and list((course / "tensorboard").glob("events.*"))

    told = json.loads(run("refine", shards, "--model", course / "last.pt", "--out", clean, "--json"))
    assert told["clips"] == counts["clips"] == sum(told["verdicts"].values())
    assert "dropped" not in told["verdicts"]  # too few clips to draw a line: nothing is refused

    run("train", clean, "--out", tmp_path / "again", "--start", course / "last.pt", "--config", settings,
        "--set", "steps=2")
    done = run("export", tmp_path / "again" / "last.pt", "--out", model, "--name", "smoke")
    assert "four ONNX files" in done

    # A network of four steps knows nothing: that there is no answer (3) is as good as one.
    talk = recordings / "nested" / "talk0.mp4"
    answer = json.loads(run("detect", talk, "--model", model, "--json", codes=(0, 3)))
    assert answer["model"]["name"] == "smoke" and len(answer["tracks"]) == 1
    assert (answer["offset_ms"] is None) == bool(answer["words"].startswith("no answer")) and answer["words"]

    table = tmp_path / "clips.csv"
    figures = json.loads(run("evaluate", recordings, "--split", "train", "--model", model, "--json", "--csv", table,
                             "--plots", tmp_path / "pictures", "--resume", tmp_path / "journal.jsonl", codes=(0, 3)))
    assert figures["clips"] == CLIPS + 1 and "broken.mp4" in figures["problems"]
    right = figures["groups"][0]["right"]
    assert all(v is None or 0.0 <= v <= 1.0 for v in right) and right[0] is not None
    assert 0.0 <= figures["pairs"]["auc"] <= 1.0 and (tmp_path / "pictures" / "distances.png").is_file()
    with table.open() as file:
        rows = list(csv.DictReader(file))
    offsets = {r["file"]: float(r["offset_ms"]) if r["offset_ms"] else None for r in rows}
    assert len(offsets) == CLIPS + 1 and offsets["broken.mp4"] is None
    assert offsets["nested/talk0.mp4"] == pytest.approx(answer["offset_ms"], abs=0.11)
