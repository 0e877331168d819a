"""Speed and memory of `syncnet detect`, beside the floor: plain decoding of the same file.

python benchmarks/speed.py [--minutes 1 20] [--video FILE]
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from corpus import clips, ffmpeg

REPEATS = 3

DECODE = """
import sys, time
from syncnet.media import frames, sound_chunks
began = time.perf_counter()
for chunk in sound_chunks(sys.argv[1]): pass
for frame in frames(sys.argv[1]): pass
print(time.perf_counter() - began)
"""

DETECT = """
import resource, sys, time
import syncnet
from syncnet.encoder import default_encoder
default_encoder()
began = time.perf_counter()
result = syncnet.detect(sys.argv[1])
print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, result.offset_ms)
"""


def run(code: str, path: Path) -> list[str]:
    """Run a piece of Python on a file in a process of its own and return the words it prints."""
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    return done.stdout.split()


def long_clip(out: Path, minutes: float, source: Path | None) -> None:
    """A 1280x720 25 fps H.264 + AAC recording of one talking face, a clip of the corpus over and over."""
    clip = source or max(clips("train"), key=lambda c: c.seconds).path
    fit = "scale=-2:720,pad=1280:720:(ow-iw)/2:0,fps=25"
    once = out.with_name("once.mp4")
    ffmpeg("-i", clip, "-vf", fit, "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-c:a", "aac", once)
    ffmpeg("-stream_loop", "-1", "-i", once, "-t", str(60 * minutes), "-c", "copy", out)


def main() -> None:
    parser = argparse.ArgumentParser(description="Seconds, ratio to decoding, and peak memory of syncnet detect.")
    parser.add_argument("--minutes", type=float, nargs="+", default=[1.0, 20.0])
    parser.add_argument("--video", type=Path, help="a clip to repeat instead of one from the corpus")
    given = parser.parse_args()
    print(f"{'minutes':>8s} {'decode s':>9s} {'detect s':>9s} {'x decode':>9s} {'x real time':>12s} {'peak MiB':>9s}")
    with tempfile.TemporaryDirectory() as folder:
        for minutes in given.minutes:
            path = Path(folder) / f"{minutes:g}.mp4"
            long_clip(path, minutes, given.video)
            repeats = REPEATS if minutes <= 2 else 1
            decode = sorted(float(run(DECODE, path)[0]) for _ in range(repeats))[repeats // 2]
            runs = sorted([float(w) for w in run(DETECT, path)[:2]] for _ in range(repeats))
            detect, peak = runs[repeats // 2]
            figures = f"{decode:9.2f} {detect:9.2f} {detect / decode:9.2f} {60 * minutes / detect:12.1f} {peak:9.0f}"
            print(f"{minutes:8g} {figures}", flush=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"(medians of {REPEATS} runs up to 2 minutes, else one run; {used.ru_utime:.0f} s of processor time in all)")


if __name__ == "__main__":
    main()
