"""A few of the made scenes as real films, through the whole product: files in, words out."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from scene_make import KINDS, NOBODY, OFFSCREEN, Scene, Shown, sound, truth

from syncnet.active_speaker import WINDOWS
from syncnet.colour import bgr
from syncnet.media import FPS, SAMPLE_RATE
from syncnet.pictures import decoded_on_grid
from syncnet.speaker_analysis import watch, who_speaks
from syncnet.speaker_report import in_words
from syncnet.speaker_results import SpeakersResult

HEIGHT = 360
"""Pixels; every person has a panel as wide as that."""

FILMED = ((KINDS[1], 2), (KINDS[2], 3), (KINDS[4], 2))
"""Kinds and numbers of faces of the scenes that are filmed, one of each."""

Picture = NDArray[np.uint8]


def film(scene: Scene, path: Path) -> None:
    """Write a scene as H.264 and AAC: a panel for each person, in the places of each shot."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=25, options={"crf": "18", "preset": "veryfast"})
        video.width, video.height, video.pix_fmt = HEIGHT * scene.faces, HEIGHT, "yuv420p"
        audio = out.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        audio.bit_rate = 128_000
        number = 0
        for _, shown in scene.shots:
            panels = [_panels(face) for face in shown]
            for row in zip(*panels, strict=True):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(np.hstack(row)), format="bgr24")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                out.mux(video.encode(frame))
                number += 1
        out.mux(video.encode(None))
        heard = sound(scene)
        for first in range(0, len(heard), 1024):
            block = av.AudioFrame.from_ndarray(heard[None, first : first + 1024], format="fltp", layout="mono")
            block.sample_rate, block.pts, block.time_base = SAMPLE_RATE, first, Fraction(1, SAMPLE_RATE)
            out.mux(audio.encode(block))
        out.mux(audio.encode(None))


def _panels(face: Shown) -> list[Picture]:
    """The pictures of a person, fitted into squares."""
    wanted = set(face.frames.tolist())
    first = face.cast.start_s
    shown: dict[int, Picture] = {}
    for time, frame in decoded_on_grid(face.cast.path):
        number = round((time - first) * FPS)
        if number in wanted:
            shown[number] = _fitted(bgr(frame))
        if number > max(wanted):
            break
    return [shown[int(k)] for k in face.frames]


def _fitted(picture: Picture) -> Picture:
    scale = HEIGHT / max(picture.shape[:2])
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    out = np.zeros((HEIGHT, HEIGHT, 3), np.uint8)
    top, left = (HEIGHT - size[1]) // 2, (HEIGHT - size[0]) // 2
    out[top : top + size[1], left : left + size[0]] = small
    return out


def measure_films(scenes: Sequence[Scene], model: str) -> None:
    """Film some scenes, ask the product who speaks in each, and print per cent of moments right by window."""
    print("\nreal films of some of these scenes, read back by the whole product:")
    with tempfile.TemporaryDirectory() as folder:
        for number, (kind, faces) in enumerate(FILMED):
            scene = next(s for s in scenes if s.kind == kind and s.faces == faces)
            path = Path(folder) / f"scene-{number}.mp4"
            film(scene, path)
            seen = watch(path, model=model)
            shares = {w: _right(who_speaks(seen, window=w), scene) for w in WINDOWS}
            cells = "".join(f"   K={w} {100 * share:5.1f}" for w, share in shares.items())
            tracks = len(seen.result.tracks)
            print(f"  {faces} faces, {kind}, {tracks} tracks:{cells}")
            print(f"    {in_words(who_speaks(seen))}")
            print(f"    truth: {_truth_in_words(scene)}")


def _right(result: SpeakersResult, scene: Scene) -> float:
    """Share of the moments with voice at which the face in the right panel, or nobody's, is the likeliest."""
    true = truth(scene)
    lines = np.zeros((scene.faces + 1, scene.frames))
    for face in result.faces:
        first = round((face.start_s - result.start_s) * FPS)
        middle = (face.boxes[:, 0] + face.boxes[:, 2]) / 2
        for k, chance in enumerate(face.probability[: max(0, scene.frames - first)]):
            shown = next(shown for start, shown in reversed(scene.shots) if first + k >= start)
            panel = min(int(middle[k] // HEIGHT), len(shown) - 1)
            lines[shown[panel].person, first + k] = max(lines[shown[panel].person, first + k], chance)
    count = min(scene.frames, len(result.offscreen))
    lines[-1, :count] = result.offscreen[:count]
    who = lines.argmax(axis=0)
    who[who == scene.faces] = OFFSCREEN
    who[lines.max(axis=0) <= 0.0] = NOBODY
    voiced = true != NOBODY
    return float((who == true)[voiced].mean())


def _truth_in_words(scene: Scene) -> str:
    names = {OFFSCREEN: "off-screen", **{k: f"person {k + 1}" for k in range(scene.faces)}}
    return ", ".join(f"{names[v.person]} {v.first / FPS:.1f}-{v.last / FPS:.1f} s" for v in scene.voices)
