"""What `make demo` runs: measure a video of yours, or one made here whose offset is known.

python examples/demo.py                 # a drawn person whose voice is 187 ms late
VIDEO=talk.mp4 python examples/demo.py  # or: python examples/demo.py talk.mp4
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import syncnet
from face_speech import SpeechMissing
from talking_face import make

TRUE_MS = 187.0
SEED = 12
TOLERANCE_MS = 40.0  # one frame


def in_words(offset_ms: float) -> str:
    """Audio time minus video time as one would say it."""
    if round(offset_ms) == 0:
        return "audio and picture are together"
    return f"audio is {abs(offset_ms):.0f} ms {'late' if offset_ms > 0 else 'early'}"


def measure(path: str | Path) -> syncnet.SyncResult:
    """Run the package on a file and print its answer."""
    started = time.perf_counter()
    result = syncnet.detect(path)
    took = time.perf_counter() - started
    print(f"found:  {result.in_words}")
    if result.interval_ms:
        low, high = result.interval_ms
        print(f"        95 % interval {low:.0f} to {high:.0f} ms, ", end="")
        print(f"confidence {result.confidence:.1f}, from {result.windows_used} of {result.windows_total} windows")
    for reason in result.reasons:
        print(f"        careful: {reason}")
    print(f"        {result.duration_s:.0f} s of video in {took:.1f} s")
    return result


def demo(folder: Path) -> int:
    """Make a clip at a known offset, measure it, and say both; 0 when they agree within a frame."""
    path = folder / "talking.mp4"
    print("making a talking face ...")
    clip = make(path, seconds=12, offset_ms=TRUE_MS, seed=SEED, size=(384, 384), language="en-us")
    print(f"made:   {path}, {clip.seconds:.0f} s, {clip.size[0]}x{clip.size[1]}")
    print(f"truth:  {in_words(TRUE_MS)}")
    result = measure(path)
    if result.offset_ms is None:
        return 3
    away = abs(result.offset_ms - TRUE_MS)
    print(f"        {away:.0f} ms from the truth: {'within' if away <= TOLERANCE_MS else 'more than'} a frame")
    return 0 if away <= TOLERANCE_MS else 1


def main(arguments: list[str]) -> int:
    """The video named on the command line or by VIDEO, otherwise one made here."""
    video = arguments[0] if arguments else os.environ.get("VIDEO", "")
    folder = Path(os.environ.get("DEMO_DIR") or tempfile.mkdtemp(prefix="syncnet-demo-"))
    try:
        if video:
            print(f"video:  {video}")
            return 0 if measure(video).offset_ms is not None else 3
        folder.mkdir(parents=True, exist_ok=True)
        return demo(folder)
    except (syncnet.SyncNetError, SpeechMissing) as problem:
        print(f"demo: {problem}", file=sys.stderr)
        return getattr(problem, "exit_code", 2)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
