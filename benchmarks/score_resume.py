"""Score 500 short clips in one run, and again killed in the middle and resumed: the same table?

    python benchmarks/score_resume.py --clips 500 --jobs 2

Makes its own clips; random weights take the place of v2 unless `--installed` is given. Prints one table and exits with
1 if the two differ.
"""

from __future__ import annotations

import argparse
import csv
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import numpy as np

RANDOM = "SYNCNET_BENCHMARK_RANDOM"  # folder of the random weights; set for this script's own children

if os.environ.get(RANDOM):  # at import, so that the worker processes of a run have them too
    from random_v2 import use_random_weights

    use_random_weights(Path(os.environ[RANDOM]))


def make_clip(path: Path, seed: int) -> None:
    """A clip of 0.3 to 0.5 s: coloured squares that move, and noise that swells."""
    random = np.random.default_rng(seed)
    frames = int(random.integers(8, 14))
    scene = random.integers(0, 256, (12, 40, 3), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=25, width=96, height=96, pix_fmt="yuv420p")
        audio = out.add_stream("aac", rate=16000, layout="mono")
        for k in range(frames):
            picture = np.ascontiguousarray(scene[:, 3 * k : 3 * k + 96])
            out.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(video.encode(None))
        swell = np.interp(np.arange(frames * 640), np.arange(0, frames * 640 + 1, 640), random.random(frames + 1))
        samples = (random.normal(0, 0.2, frames * 640) * swell).astype(np.float32)[None]
        sound = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        sound.sample_rate = 16000
        out.mux(audio.encode(sound))
        out.mux(audio.encode(None))


def command(clips: Path, table: Path, journal: Path, recipe: str, jobs: int) -> list[str]:
    options = ["--recipe", recipe, "--jobs", str(jobs), "--csv", str(table), "--resume", str(journal), "--quiet"]
    return [sys.executable, __file__, "score", str(clips), *options]


def finished(journal: Path) -> int:
    """How many clips a journal holds."""
    return max(0, journal.read_bytes().count(b"\n") - 1) if journal.exists() else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=500)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--recipe", default="wav2lip-lrs")
    parser.add_argument("--installed", action="store_true", help="use the installed v2 weights")
    parser.add_argument("--folder", type=Path, help="where clips, journals and tables go; default: a temporary one")
    wanted = parser.parse_args()
    folder = wanted.folder or Path(tempfile.mkdtemp(prefix="score_resume"))
    clips = folder / "clips"
    clips.mkdir(parents=True, exist_ok=True)
    for k in range(wanted.clips):
        if not (clips / f"{k:04d}.mp4").exists():
            make_clip(clips / f"{k:04d}.mp4", k)
    environment = {**os.environ}
    if not wanted.installed:
        from random_v2 import use_random_weights

        use_random_weights(folder / "cache")
        environment[RANDOM] = str(folder / "cache")

    tables = {name: folder / f"{name}.csv" for name in ("one run", "resumed")}
    journals = {name: folder / f"{name}.jsonl" for name in tables}
    for file in (*tables.values(), *journals.values()):
        file.unlink(missing_ok=True)
    runs = {name: command(clips, tables[name], journals[name], wanted.recipe, wanted.jobs) for name in tables}
    began = time.monotonic()
    subprocess.run(runs["one run"], env=environment, check=True, stdout=subprocess.DEVNULL)
    one_run_s = time.monotonic() - began

    killed = subprocess.Popen(
        runs["resumed"], env=environment, start_new_session=True, stdout=subprocess.DEVNULL
    )
    while killed.poll() is None and finished(journals["resumed"]) < wanted.clips // 2:
        time.sleep(0.01)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    at_kill = finished(journals["resumed"])
    began = time.monotonic()
    subprocess.run(runs["resumed"], env=environment, check=True, stdout=subprocess.DEVNULL)
    rest_s = time.monotonic() - began

    same = tables["one run"].read_bytes() == tables["resumed"].read_bytes()
    rows = list(csv.DictReader(tables["one run"].open()))
    scored = sum(not row["error"] for row in rows)
    print("| clips | scored | one run | killed after | the rest | scored twice | tables |")
    print("|---|---|---|---|---|---|---|")
    print(
        f"| {wanted.clips} | {scored} | {one_run_s:.0f} s | {at_kill} clips | {rest_s:.0f} s "
        f"| {finished(journals['resumed']) - wanted.clips} | {'equal to the last byte' if same else 'DIFFERENT'} |"
    )
    return 0 if same and at_kill < wanted.clips else 1


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "score":
        from syncnet.cli import main as syncnet

        syncnet()
    sys.exit(main())
