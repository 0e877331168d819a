"""Copies of a clip by the `ffmpeg` program: shifted by a known amount, or in another container, codec or frame rate."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from corpus import Clip, ffmpeg

PUBLISHED = "as published"
SHIFTED = {"shifted by timestamps": ".mkv", "shifted by re-encoding": ".mp4"}
H264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-pix_fmt", "yuv420p")
AAC = ("-c:a", "aac", "-b:a", "128k")
EVEN = ("-vf", "scale=trunc(iw/2)*2:trunc(ih/2)*2")
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-crf", "28", "-b:v", "0")

DRESSES: dict[str, tuple[str, tuple[str, ...]]] = {
    "Matroska, H.264 + FLAC": (".mkv", (*EVEN, *H264, "-c:a", "flac")),
    "MP4, H.264 + AAC": (".mp4", (*EVEN, *H264, *AAC)),
    "WebM, VP9 + Opus": (".webm", (*VP9, "-c:a", "libopus", "-ar", "48000")),
    "MPEG-TS, H.264 + AAC": (".ts", (*EVEN, *H264, *AAC)),
    "24 fps": (".mp4", ("-vf", f"fps=24,{EVEN[1]}", *H264, *AAC)),
    "30 fps": (".mp4", ("-vf", f"fps=30,{EVEN[1]}", *H264, *AAC)),
    "59.94 fps": (".mp4", ("-vf", f"fps=60000/1001,{EVEN[1]}", *H264, *AAC)),
    "starts at 3.217 s": (".mkv", ("-c", "copy", "-output_ts_offset", "3.217")),
}
"""The same recording in other dress: what it is called, the file's ending, and how ffmpeg makes it."""


@dataclass(frozen=True)
class Variant:
    """A copy to be made of a clip; `truth_ms`: audio time minus video time that was put into it."""

    name: str
    truth_ms: float = 0.0

    def make(self, clip: Path, folder: Path) -> Path:
        """Write the copy into a folder and return its path; the clip itself where nothing is changed."""
        if self.name == PUBLISHED:
            return clip
        if self.name in DRESSES:
            ending, options = DRESSES[self.name]
            out = folder / f"copy{ending}"
            ffmpeg("-i", clip, *options, out)
            return out
        out = folder / f"copy{SHIFTED[self.name]}"
        late = ("-i", clip, "-itsoffset", f"{self.truth_ms / 1000:.3f}", "-i", clip, "-map", "0:v", "-map", "1:a")
        if self.name == "shifted by timestamps":  # not a bit of the streams changes
            ffmpeg(*late, "-c", "copy", out)
        else:  # the sound's samples move: silence in front, or its beginning cut
            ffmpeg(*late, *EVEN, *H264, "-af", "aresample=async=1:first_pts=0", *AAC, out)
        return out


def shifted(clip: Clip) -> list[Variant]:
    """Both shifted copies of a clip, by up to 900 ms either way; the same for every run."""
    draw = random.Random(clip.name)
    return [Variant(name, float(draw.choice((-1, 1)) * draw.randint(40, 900))) for name in SHIFTED]
