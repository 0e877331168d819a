"""Shards from videos: what may teach, what is left out and why, and a run that is killed anywhere goes on whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from syncnet.errors import InputError
from syncnet.model import prepared, shard_writer
from syncnet.model.prepare import prepare
from syncnet.model.prepared import Clip, PrepareConfig, Prepared, prepare_file
from syncnet.model.shards import read_crops, read_manifest, read_sound
from syncnet.model.sources import Source, find_sources
from syncnet.tracks import MouthTrack

CONFIG = PrepareConfig(crop_size=8)


def number(path: Path) -> int:
    return int(path.stem.removeprefix("v"))


def made(path: Path, config: PrepareConfig) -> Prepared:
    """Stands for the work on one file: its number decides what comes out, every third is damaged."""
    n = number(path)
    if n % 3 == 2:
        return Prepared(error=f"{path}: cannot be read", problems=("cut short",))
    rng = np.random.default_rng(n)
    clips = tuple(
        Clip(track=k, start_s=k * 2.0, crops=rng.integers(0, 256, (20 + n, 8, 8), dtype=np.uint8),
             sound=rng.integers(-9000, 9000, 16000 + n, dtype=np.int16), sound_lead_s=0.1,
             quality={"face_px": 50.0, "yaw_deg": 2.0, "mouth_motion": 0.01})
        for k in range(1 + n % 2))
    return Prepared(clips, rejected={"bridged": n})


def sources(count: int) -> list[Source]:
    return [Source(Path(f"v{n}.mp4"), f"v{n}.mp4", f"s{n}", "made") for n in range(count)]


def content(folder: Path) -> dict[str, tuple[bytes, bytes]]:
    """Pictures and sound of every clip by its key."""
    return {c.key: (read_crops(c).tobytes(), read_sound(c, 0, c.sound_samples)[0].tobytes())
            for c in read_manifest(folder)}


def test_clips_come_back_from_shards_byte_for_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_writer, "SHARD_BYTES", 4000)  # about two clips a shard
    counts = prepare(sources(10), tmp_path, CONFIG, work=made)
    assert counts["files"] == 10 and counts["errors"] == 3 and counts["left out: bridged"] == 30
    clips = read_manifest(tmp_path)
    assert len(clips) == counts["clips"] == 11 and len({c.shard for c in clips}) > 2
    for clip in clips:
        wanted = made(Path(clip.source), CONFIG).clips[clip.track]
        assert np.array_equal(read_crops(clip), wanted.crops)
        assert np.array_equal(np.rint(read_sound(clip, 0, clip.sound_samples)[0] * 32768), wanted.sound)
        assert clip.sound_lead_s == 0.1 and clip.start_s == wanted.start_s
    told = [json.loads(line) for line in (tmp_path / "files.jsonl").read_text().splitlines()]
    assert [t["source"] for t in told if t["error"]] == ["v2.mp4", "v5.mp4", "v8.mp4"]


def test_a_run_that_was_cut_anywhere_goes_on(tmp_path: Path) -> None:
    prepare(sources(8), tmp_path / "whole", CONFIG, work=made)
    for cut in range(8):
        out = tmp_path / str(cut)
        prepare(sources(cut), out, CONFIG, work=made)
        # What a kill can leave: bytes without a line, and half a line.
        with (out / "00000.frames").open("ab") as file:
            file.write(b"x" * 777)
        with (out / "manifest.jsonl").open("a") as text:
            text.write('{"key": "v7.mp4#0", "shard"')
        done: list[str] = []
        prepare(sources(8), out, CONFIG, work=made, on_done=lambda source, _, done=done: done.append(source.name))  # type: ignore[misc]
        assert done == [f"v{n}.mp4" for n in range(cut, 8)]
        assert content(out) == content(tmp_path / "whole")


def test_a_line_without_its_file_finished_is_done_again(tmp_path: Path) -> None:
    prepare(sources(4), tmp_path, CONFIG, work=made)
    lines = (tmp_path / "files.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "files.jsonl").write_text("".join(lines[:-1]))  # killed between the two manifests
    prepare(sources(4), tmp_path, CONFIG, work=made)
    keys = [c.key for c in read_manifest(tmp_path)]
    assert len(keys) == len(set(keys)) == 5


def test_kill_9_in_the_middle(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        "import time, sys\nfrom pathlib import Path\nfrom test_prepare import *\n"
        "def slow(path, config):\n    print('begun', flush=True)\n    time.sleep(0.05)\n    return made(path, config)\n"
        "prepare(sources(400), Path(sys.argv[1]), CONFIG, work=slow)\n")
    out = tmp_path / "out"
    run = subprocess.Popen([sys.executable, str(script), str(out)], stdout=subprocess.PIPE,
                           env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)})
    assert run.stdout is not None
    for _ in range(12):
        assert run.stdout.readline()
    run.kill()
    run.stdout.close()
    assert run.wait() == -signal.SIGKILL
    counts = prepare(sources(20), out, CONFIG, work=made)
    prepare(sources(20), tmp_path / "whole", CONFIG, work=made)
    assert counts["files"] == 20 and content(out) == content(tmp_path / "whole")


def test_several_processes_give_the_same_clips(tmp_path: Path) -> None:
    prepare(sources(9), tmp_path / "one", CONFIG, work=made)
    prepare(sources(9), tmp_path / "two", CONFIG, work=made, jobs=2)
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_other_settings_do_not_mix(tmp_path: Path) -> None:
    prepare(sources(1), tmp_path, CONFIG, work=made)
    with pytest.raises(InputError, match="other settings"):
        prepare(sources(2), tmp_path, replace(CONFIG, crop_size=9), work=made)


def track(frames: int, size: float, *, start: float = 0.0, track_id: int = 0) -> MouthTrack:
    return MouthTrack(
        id=track_id, shot=0, start=start, crops=np.zeros((frames, 8, 8), np.uint8),
        boxes=np.zeros((frames, 4), np.float32), size=np.full(frames, size, np.float32),
        yaw=np.zeros(frames, np.float32), mouth_open=np.zeros(frames, np.float32), seen=np.ones(frames, bool))


def test_windows_with_a_rival_face_or_none_are_refused() -> None:
    mine = track(100, 60.0)
    mine.seen[10:15] = False
    mine.size[90:] = 5.0
    rival = track(20, 50.0, start=40 / 25, track_id=1)
    small = track(100, 20.0, track_id=2)  # somebody far behind
    usable, reasons = prepared._usable(mine, [rival, small], PrepareConfig())
    assert dict(reasons) == {"bridged": 5, "face too small": 10, "more than one face": 20}
    assert usable.sum() == 65 and not usable[40:60].any() and not usable[10:15].any()
    assert list(prepared._runs(usable)) == [(0, 10), (15, 40), (60, 90)]


def test_what_cannot_be_read_is_told_not_raised(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no film")
    result = prepare_file(tmp_path / "text.mp4", PrepareConfig())
    assert result.error is not None and "text.mp4" in result.error and result.clips == ()


def test_sources_of_nested_folders_and_of_manifests(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name in ("a/one.mp4", "a/b/two.MKV", "a/b/notes.txt"):
        (tmp_path / name).write_bytes(b"")
    found = find_sources(tmp_path)
    assert [(s.name, s.corpus) for s in found] == [("a/b/two.MKV", "b"), ("a/one.mp4", "a")]
    (tmp_path / "manifest.csv").write_text("file,speaker,corpus,kind,split\na/one.mp4,s,c,real,train\nx.mp4,t,c,,dev\n")
    assert [(s.name, s.speaker) for s in find_sources(tmp_path, split="train")] == [("a/one.mp4", "s")]
    with pytest.raises(InputError, match="no videos"):
        find_sources(tmp_path, split="test")
    with pytest.raises(InputError, match="no such folder"):
        find_sources(tmp_path / "none")
