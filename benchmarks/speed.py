"""Speed and memory of `syncnet detect`, beside the floor: plain decoding of the same file.

python benchmarks/speed.py [--minutes 1 20] [--repeats 3] [--video FILE]

The recording is 1280x720 at 25 fps, H.264 and AAC: a clip of one person of the *train* split, or without the corpus the
drawn face of examples/, over and over. Wall time means something on an idle machine only; processor time (of all
threads) stands beside it: on two idle cores the wall time lies between half of it and all of it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from corpus import SHARED, ffmpeg

SPEAKER = SHARED / "data" / "clips" / "speakervid5m" / "54462b979d.mkv"
WANTED_SPEED, WANTED_MB = 5.0, 1024.0

DECODE = """
from syncnet.media import frames, sound_chunks
def work(path):
    for chunk in sound_chunks(path): pass
    for frame in frames(path): pass
    return {}
"""

DETECT = """
import syncnet
from syncnet.encoder import default_encoder
default_encoder()
def work(path):
    result = syncnet.detect(path)
    return {"faces": len(result.tracks), "face_px": max((t.face_px for t in result.tracks), default=0.0)}
"""

MEASURE = """
import json, resource, sys, time
wall, cpu = time.perf_counter(), time.process_time()
found = work(sys.argv[1])
found |= {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
print(json.dumps(found | {"mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""


@dataclass(frozen=True)
class Run:
    """One run: seconds by the clock, seconds of processor, and the peak of its memory in MiB."""

    wall: float
    cpu: float
    mb: float
    face_px: float = 0.0
    faces: int = 0


def run(code: str, path: Path, repeats: int) -> Run:
    """The run of middle wall time of a few, each in a process of its own."""
    runs = []
    for _ in range(repeats):
        command = [sys.executable, "-c", code + MEASURE, str(path)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        runs.append(Run(**json.loads(done.stdout)))
    return sorted(runs, key=lambda r: r.wall)[repeats // 2]


def once(out: Path, video: Path | None) -> Path:
    """A short 1280x720 recording of one face, to be repeated."""
    source = video or SPEAKER
    if not source.is_file():
        sys.path.append(str(Path(__file__).parents[1] / "examples"))
        from talking_face import make

        source = make(out.with_name("drawn.mp4"), seconds=12, seed=12, size=(360, 360), language="en-us").path
    fit = "scale=-2:720,crop='min(iw,1280)':720,pad=1280:720:(ow-iw)/2:0,fps=25"
    coded = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-c:a", "aac")
    ffmpeg("-i", source, "-vf", fit, *coded, out)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description="Seconds, ratio to decoding, and peak memory of syncnet detect.")
    parser.add_argument("--minutes", type=float, nargs="+", default=[1.0, 20.0])
    parser.add_argument("--repeats", type=int, default=3, help="runs of recordings of up to two minutes; longer: one")
    parser.add_argument("--video", type=Path, help="a recording of one face to repeat instead")
    given = parser.parse_args()
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}: wall time is fair if that load was below 0.3")
    print("          ---- decode ----  ---------- detect ----------  -- real time over --")
    print("minutes   wall s     cpu s  wall s     cpu s    / decode      wall      cpu / 2   peak MiB")
    peaks: list[float] = []
    face_px = 0.0
    with tempfile.TemporaryDirectory() as folder:
        short = once(Path(folder) / "once.mp4", given.video)
        for minutes in given.minutes:
            path = Path(folder) / f"{minutes:g}.mp4"
            ffmpeg("-stream_loop", "-1", "-i", short, "-t", str(60 * minutes), "-c", "copy", path)
            repeats = given.repeats if minutes <= 2 else 1
            floor, whole = run(DECODE, path, repeats), run(DETECT, path, repeats)
            seconds = 60 * minutes
            print(
                f"{minutes:7g} {floor.wall:8.1f} {floor.cpu:9.1f} {whole.wall:7.1f} {whole.cpu:9.1f} "
                f"{whole.cpu / floor.cpu:11.2f} {seconds / whole.wall:9.1f} {2 * seconds / whole.cpu:12.1f} "
                f"{whole.mb:10.0f}",
                flush=True,
            )
            peaks.append(whole.mb)
            face_px = whole.face_px
    print(f"one face, {face_px:.0f} px between the outer corners of the eyes; wanted: {WANTED_SPEED:g} times real time")
    if len(peaks) > 1:
        grown = f"{peaks[-1] / peaks[0] - 1:+.1%} from the first to the last"
        print(f"memory: {grown}; wanted within 10 % and under {WANTED_MB:g} MiB")


if __name__ == "__main__":
    main()
