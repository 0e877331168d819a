"""Media made by the ffmpeg program, another implementation than ours, with a flash and a beep at known times."""

import shutil
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from syncnet.container import moving_pictures, open_media
from syncnet.media import SAMPLE_RATE, read_sound
from syncnet.pictures import luma, native_pictures

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs the ffmpeg program: apt install ffmpeg")

FLASH_S = 1.0
H264 = "libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -bf 2"
VP9 = "libvpx-vp9 -deadline realtime -cpu-used 8"


def ffmpeg(*arguments: str | Path) -> None:
    """Run the ffmpeg program; fails the test with its words when it fails."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, f"{' '.join(command)}\n{run.stderr}"


def beep(at: float, rate: int = 44100, seconds: float = 2.5) -> str:
    """A lavfi source: a short 1 kHz burst whose energy is centred on a time (s)."""
    return f"aevalsrc='0.7*exp(-((t-{at})/0.01)^2)*sin(2*PI*1000*(t-{at}))':s={rate}:d={seconds}"


def flash(at: float = FLASH_S, fps: str = "25", seconds: float = 2.5, size: str = "64x64") -> str:
    """A lavfi source: black, but for one white picture at a time (s) that must be on the grid of `fps`."""
    half = 0.5 / float(Fraction(fps))
    show = f"between(t,{at - half},{at + half})"
    return f"color=black:s={size}:r={fps}:d={seconds},drawbox=c=white:t=fill:enable='{show}'"


def flash_and_beep(
    path: Path, video: str, audio: str, *, shift: float, fps: str = "25", flash_at: float = FLASH_S, rate: int = 44100
) -> Path:
    """Make a file with a flash, and a beep `shift` seconds after it, with codecs given as ffmpeg options."""
    picture, sound = flash(flash_at, fps), beep(flash_at + shift, rate)
    codecs = ["-c:v", *video.split(), "-c:a", *audio.split()]
    ffmpeg("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, *codecs, path)
    return path


@dataclass(frozen=True)
class Seen:
    """What was read of a file: times (s) of the flash and the beep, and whatever was reported."""

    flash: float
    beep: float
    problems: tuple[str, ...]

    @property
    def shift_ms(self) -> float:
        return (self.beep - self.flash) * 1e3


def picture_times(path: Path) -> list[tuple[float, float]]:
    """(presentation time in s, mean brightness) of every picture as decoded."""
    with open_media(path) as container:
        stream = moving_pictures(container)[0]
        return [(p.time, float(luma(p.frame).mean())) for p in native_pictures(container, stream, lambda _: None)]


def see(path: Path, track: int = 0) -> Seen:
    """Find the flash and the beep by the code under test."""
    problems: list[str] = []
    shown = picture_times(path)
    assert shown, "no picture"
    flash_time = max(shown, key=lambda picture: picture[1])[0]
    sound = read_sound(path, track=track, on_problem=problems.append)
    power = sound.samples.astype(np.float64) ** 2
    peak = int(power.argmax())
    near = np.arange(max(0, peak - 800), min(peak + 800, power.size))
    centre = float((power[near] * near).sum() / power[near].sum())
    return Seen(flash_time, sound.start + centre / SAMPLE_RATE, tuple(problems))
