"""Sets of files: killed and resumed, in parallel, with files that fail; tables that say how they were made."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest

from syncnet import weights_store
from syncnet.errors import InputError
from syncnet.journal import Journal, Record
from syncnet.recipes import RECIPES
from syncnet.score_report import as_csv, as_json, as_table, figure_names, offset_in_words
from syncnet.score_set import Network, media_files, network_named, score_files, set_mean

pytest.importorskip("torch")

import torch

from syncnet.model import v2
from v2_reference import random_state

LRS = RECIPES["wav2lip-lrs"]
CLIPS = 12

# The program with random weights released under the name v2; worker processes import it too.
PROGRAM = """
from pathlib import Path
from syncnet.weights_store import RELEASES, Release
model = Path({model!r})
RELEASES["v2"] = Release("v2", "random", "http://127.0.0.1:9/x.model", model.stat().st_size, {digest!r})
if __name__ == "__main__":
    from syncnet.cli import main
    main()
"""


def tiny_clip(path: Path, seed: int, frames: int = 16) -> Path:
    """Less than a second of coloured noise that moves, with noise for sound."""
    random = np.random.default_rng(seed)
    scene = random.integers(0, 256, (8, 24, 3), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=25, width=64, height=64, pix_fmt="yuv420p")
        audio = out.add_stream("aac", rate=16000, layout="mono")
        for k in range(frames):
            picture = np.ascontiguousarray(scene[:, 4 * k % 128 : 4 * k % 128 + 64])
            out.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(video.encode(None))
        samples = random.normal(0, 0.1, (1, frames * 640)).astype(np.float32)
        sound = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        sound.sample_rate = 16000
        out.mux(audio.encode(sound))
        out.mux(audio.encode(None))
    return path


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of twelve tiny clips, one of them too short and one no film at all."""
    folder = tmp_path_factory.mktemp("clips")
    for k in range(CLIPS - 2):
        tiny_clip(folder / f"{k:02d}.mp4", k)
    tiny_clip(folder / "short.mp4", 99, frames=4)
    (folder / "text.mp4").write_text("not a film")
    (folder / "notes.txt").write_text("left alone: no ending of a film")
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with random v2 weights installed, and beside it `program.py`, which takes them for the released ones."""
    folder = tmp_path_factory.mktemp("cache")
    model = folder / "random.model"
    torch.save(random_state(), model)
    digest = weights_store.sha256(model)
    (folder / "program.py").write_text(PROGRAM.format(model=str(model), digest=digest))
    released = weights_store.Release("v2", "random", "http://127.0.0.1:9/x.model", model.stat().st_size, digest)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        weights_store.install(released, model, v2.convert)
    return folder


@pytest.fixture
def random_v2(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Network:
    model = cache / "random.model"
    digest = weights_store.sha256(model)
    released = weights_store.Release("v2", "random", "http://127.0.0.1:9/x.model", model.stat().st_size, digest)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setitem(weights_store.RELEASES, "v2", released)
    return network_named("v2", LRS)


def command(cache: Path, *arguments: object) -> list[str]:
    return [sys.executable, str(cache / "program.py"), "score", *map(str, arguments)]


def environment(cache: Path) -> dict[str, str]:
    return {**os.environ, "XDG_CACHE_HOME": str(cache), "OMP_NUM_THREADS": "1"}


def run(cache: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(cache, *arguments), capture_output=True, text=True, env=environment(cache), check=False, timeout=300
    )


def test_a_killed_run_goes_on_to_the_same_table(clips: Path, cache: Path, tmp_path: Path) -> None:
    whole = run(cache, clips, "--recipe", "wav2lip-lrs", "--json", "--csv", tmp_path / "whole.csv")
    assert whole.returncode == 3, whole.stderr
    assert len(json.loads(whole.stdout)["clips"]) == CLIPS

    journal = tmp_path / "scores.jsonl"
    options = [clips, "--recipe", "wav2lip-lrs", "--json", "--resume", journal, "--csv", tmp_path / "resumed.csv"]
    started = subprocess.Popen(
        command(cache, *options, "--jobs", 2), env=environment(cache), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and (not journal.exists() or journal.read_bytes().count(b"\n") < 4):
        assert started.poll() is None, "the run ended before it could be killed"
        time.sleep(0.005)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    assert not (tmp_path / "resumed.csv").exists()
    kept = journal.read_bytes()
    finished = kept.count(b"\n") - 1
    assert 3 <= finished < CLIPS
    journal.write_bytes(kept[: kept.rfind(b"\n") + 1] + b'{"file": "killed in the mid')

    resumed = run(cache, *options)
    assert resumed.stdout == whole.stdout
    assert (tmp_path / "resumed.csv").read_text() == (tmp_path / "whole.csv").read_text()
    assert journal.read_bytes().count(b"\n") == 1 + CLIPS  # nothing was scored twice
    assert journal.read_bytes().startswith(kept[: kept.rfind(b"\n") + 1])


def test_two_jobs_give_the_table_of_one(clips: Path, random_v2: Network, cache: Path) -> None:
    one = score_files(media_files([clips]), LRS, random_v2)
    two = run(cache, clips, "--recipe", "wav2lip-lrs", "--jobs", 2, "--json")
    found = {clip["file"]: clip for clip in json.loads(two.stdout)["clips"]}
    for record in one:
        if "error" in record:
            assert found[record["file"]]["error"] == record["error"]
        else:
            assert found[record["file"]]["lse_d"] == record["distance"]
            assert found[record["file"]]["tracks"][0]["curve"] == record["tracks"][0]["curve"]


def test_files_that_fail_are_left_out_of_the_mean_and_named(clips: Path, random_v2: Network) -> None:
    records = score_files([clips / "00.mp4", clips / "short.mp4", clips / "text.mp4", clips / "01.mp4"], LRS, random_v2)
    assert [record.get("exit_code", 0) for record in records] == [0, 3, 2, 0]
    mean = set_mean(records, LRS)
    assert mean is not None
    assert (mean["clips"], mean["failed"], mean["rows"]) == (2, 2, 2)
    assert mean["distance"] == pytest.approx((records[0]["distance"] + records[3]["distance"]) / 2, rel=1e-15)


def test_a_changed_file_is_scored_again(clips: Path, random_v2: Network, tmp_path: Path) -> None:
    film = tiny_clip(tmp_path / "a.mp4", 1)
    work = {"recipe": LRS.id}
    (first,) = score_files([film], LRS, random_v2, journal=Journal(tmp_path / "j", work))
    (kept,) = score_files([film], LRS, random_v2, journal=Journal(tmp_path / "j", work))
    assert kept == first
    tiny_clip(film, 2)
    (second,) = score_files([film], LRS, random_v2, journal=Journal(tmp_path / "j", work))
    assert second["distance"] != first["distance"]
    assert (tmp_path / "j").read_bytes().count(b"\n") == 3


def test_a_journal_of_another_recipe_is_refused(clips: Path, cache: Path, tmp_path: Path) -> None:
    assert run(cache, clips / "00.mp4", "--recipe", "wav2lip-lrs", "--resume", tmp_path / "j").returncode == 0
    other = run(cache, clips / "00.mp4", "--recipe", "ours", "--resume", tmp_path / "j")
    assert other.returncode == 2
    assert "was begun with another recipe" in other.stderr and "Traceback" not in other.stderr


def test_the_printed_table_says_how_it_was_made(clips: Path, cache: Path) -> None:
    done = run(cache, clips / "00.mp4", clips / "text.mp4", "--recipe", "wav2lip-lrs")
    assert done.returncode == 2
    digest = weights_store.sha256(cache / "random.model")
    assert f"recipe {LRS.id}: " in done.stdout and f"sha256:{digest}" in done.stdout
    assert "onnxruntime" in done.stdout and "libavcodec" in done.stdout
    assert "reference offset: frames, positive = audio leads" in done.stdout
    assert "mean over 1 clips: LSE-D" in done.stdout and "(1 of 2 files left out)" in done.stdout
    assert "text.mp4: not a video or audio file" in done.stderr


def test_wrong_use_is_told(cache: Path, clips: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for arguments, words in (
        ([clips, "--recipe", "lse"], "no recipe 'lse'"),
        ([tmp_path / "empty", "--recipe", "ours"], "no film in this folder"),
        ([tmp_path / "absent.mp4", "--recipe", "ours"], "no such file"),
        ([clips, "--recipe", "latentsync", "--model", "syncnet"], "defined for the network v2"),
        ([clips, "--recipe", "ours", "--csv", tmp_path / "absent" / "x.csv"], "there is no folder"),
    ):
        done = run(cache, *arguments)
        assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr, (arguments, done)


def test_folders_are_searched_and_files_taken_once(clips: Path, tmp_path: Path) -> None:
    found = media_files([clips, clips / "00.mp4"])
    assert [path.name for path in found] == [*(f"{k:02d}.mp4" for k in range(10)), "short.mp4", "text.mp4"]
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "X.MKV").touch()
    assert media_files([tmp_path]) == [inner / "X.MKV"]


V2 = Network("v2", {"name": "SyncNet v2", "hash": "sha256:abc"})
OWN = Network("syncnet", {"name": "syncnet", "version": "1", "hash": "def"})
VERSIONS = {"syncnet": "0.1.0", "numpy": "2.0"}


def scored(file: str, *figures: tuple[float, float, int]) -> Record:
    tracks = [
        {"start": 0.0, "end": 2.0, "distance": d, "confidence": c, "reference_offset": o, "windows": 45, "curve": [d]}
        for d, c, o in figures
    ]
    mean = [float(np.mean(values)) for values in zip(*figures, strict=True)]
    return {"file": file, "distance": mean[0], "confidence": mean[1], "reference_offset": mean[2], "notes": [],
            "tracks": tracks}  # fmt: skip


RECORDS: list[Record] = [
    scored("a.mp4", (6.0, 8.0, 3), (10.0, 2.0, -1)),
    scored("b.mp4", (7.0, 5.0, 0)),
    {"file": "c.mp4", "error": "c.mp4: no face", "exit_code": 3},
]


def test_the_mean_is_over_tracks_or_over_clips_as_the_recipe_says() -> None:
    over_tracks, over_clips = set_mean(RECORDS, RECIPES["wav2lip-real"]), set_mean(RECORDS, RECIPES["latentsync"])
    assert over_tracks and over_clips
    assert (over_tracks["over"], over_tracks["rows"]) == ("tracks", 3)
    assert over_tracks["distance"] == pytest.approx((6 + 10 + 7) / 3)
    assert (over_clips["over"], over_clips["rows"]) == ("clips", 2)
    assert over_clips["distance"] == pytest.approx((8 + 7) / 2)
    assert over_clips["confidence"] == pytest.approx((5 + 5) / 2)
    assert set_mean(RECORDS[2:], LRS) is None


def test_only_the_released_network_makes_lse() -> None:
    assert figure_names(LRS, V2) == ("LSE-D", "LSE-C")
    assert figure_names(RECIPES["ours"], V2) == ("LSE-D corrected", "LSE-C corrected")
    assert figure_names(RECIPES["ours"], OWN) == ("SN-D", "SN-C")
    for text in (
        as_table(RECORDS, RECIPES["ours"], OWN, VERSIONS),
        as_csv(RECORDS, RECIPES["ours"], OWN, VERSIONS),
        as_json(RECORDS, RECIPES["ours"], OWN, VERSIONS),
    ):
        assert "lse" not in text.lower()


def test_words_and_signs() -> None:
    assert offset_in_words(3) == "audio is 120 ms early (leads the picture)"
    assert offset_in_words(-2) == "audio is 80 ms late (lags the picture)"
    assert offset_in_words(0) == "audio is in sync"


def test_json_holds_everything() -> None:
    document = json.loads(as_json(RECORDS, RECIPES["latentsync"], V2, VERSIONS))
    assert document["recipe"]["id"] == "latentsync+own-faces@1" and len(document["recipe"]["steps"]) > 5
    assert document["model"] == V2.identity and document["versions"] == VERSIONS
    first = document["clips"][0]["tracks"][0]
    assert (first["lse_d"], first["lse_c"], first["reference_offset_frames"], first["offset_ms"]) == (6, 8, 3, -120)
    assert first["in_words"] == "audio is 120 ms early (leads the picture)"
    assert document["clips"][2] == {"file": "c.mp4", "error": "c.mp4: no face"}
    assert document["mean"] == {"over": "clips", "rows": 2, "clips": 2, "failed": 1, "lse_d": 7.5, "lse_c": 5.0}


def test_csv_has_a_row_per_track_with_recipe_and_versions() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(RECORDS, RECIPES["wav2lip-real"], V2, VERSIONS))))
    assert [row["file"] for row in rows] == ["a.mp4", "a.mp4", "b.mp4", "c.mp4"]
    assert rows[1]["lse_d"] == "10.0" and rows[1]["reference_offset_frames_positive_audio_leads"] == "-1"
    assert rows[3]["error"] == "c.mp4: no face" and rows[3]["lse_d"] == ""
    for row in rows:
        assert row["recipe"] == "wav2lip-real+own-faces@1" and row["model_hash"] == "sha256:abc"
        assert row["versions"] == "syncnet=0.1.0 numpy=2.0"


def test_v2_is_needed_and_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(InputError, match="syncnet weights get v2"):
        network_named("v2", LRS)
