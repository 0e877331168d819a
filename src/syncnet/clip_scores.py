"""One file scored by one recipe: pictures to faces to embeddings, sound beside them, and the numbers of each face."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from syncnet.colour import Bgr, JpegCopy, XvidCopy, bgr, stated_rate
from syncnet.container import ignore
from syncnet.encoder import Encoder
from syncnet.errors import NoAnswer
from syncnet.face_tracks import Box, FaceTrack, crop_face, crop_squares, track_shot
from syncnet.faces import FaceFinder
from syncnet.media import FPS, OnProblem, frames, read_sound
from syncnet.mfcc import mfcc
from syncnet.pictures import decoded_on_grid
from syncnet.recipes import Recipe
from syncnet.score import COLUMNS_PER_FRAME, WINDOW_COLUMNS, Pairs, SyncScore, full_window_count, score, window_count
from syncnet.shots import ShotDetector
from syncnet.sound import SAMPLE_RATE
from syncnet.tracks import mouth_tracks
from syncnet.v2_encoder import FACE, V2Encoder, VideoWindows

SURE_FACE = 0.9  # score of the finder from which a face counts, the limit that the release sets its own finder
_SMALLEST = 0.6  # of the recipe's least face: what the finder looks for, since boxes differ between finders
_TOO_LITTLE_SOUND = "the face from {:.2f} to {:.2f} s has too little sound beside it to be scored"


@dataclass(frozen=True)
class TrackScore:
    """One face (or the whole picture) from `start` to `end` seconds of presentation time, and what it scores."""

    start: float
    end: float
    score: SyncScore


@dataclass(frozen=True)
class ClipScore:
    """What a file scores: its tracks in order, and their mean as the recipe takes it.

    `distance`, `confidence`: LSE-D and LSE-C with v2. `reference_offset`: frames, positive = audio leads.
    `notes`: what makes the numbers doubtful, in words.
    """

    tracks: tuple[TrackScore, ...]
    distance: float
    confidence: float
    reference_offset: float
    notes: tuple[str, ...]


def score_clip(path: Path, recipe: Recipe, network: V2Encoder | Encoder) -> ClipScore:
    """Score a file. Raises InputError for a file that cannot be read, NoAnswer without a face or when too short.

    An `Encoder` (our own network) takes mouth crops instead of faces and is only meant for the corrected recipe.
    """
    notes: list[str] = []
    if isinstance(network, Encoder):
        found = _own_network(path, network, notes.append)
    elif recipe.min_track is None:
        found = _whole_picture(path, recipe, network, notes.append)
    else:
        found = _face_tracks(path, recipe, network, recipe.min_track, notes.append)
    return _combined(found, recipe, tuple(dict.fromkeys(notes)))


def _combined(tracks: list[TrackScore], recipe: Recipe, notes: tuple[str, ...]) -> ClipScore:
    """The mean over a clip's tracks: by windows for the corrected recipe, else each track alike."""
    scores = [track.score for track in tracks]
    weights = [s.windows if recipe.corrected else 1 for s in scores]
    distance, confidence, offset = (
        float(np.average([getattr(s, name) for s in scores], weights=weights))
        for name in ("distance", "confidence", "reference_offset")
    )
    whole = float(int(offset)) if recipe.name == "latentsync" else offset
    return ClipScore(tuple(tracks), distance, confidence, whole, notes)


def _whole_picture(path: Path, recipe: Recipe, network: V2Encoder, report: OnProblem) -> list[TrackScore]:
    rate = stated_rate(path) if recipe.native_rate else FPS
    if abs(rate - FPS) > 0.01:
        report(
            f"the file has {rate:.6g} frames per second and the recipe takes them for 25: picture and sound run apart, "
            "the numbers mean nothing; convert the file to 25 frames per second first"
        )
    copy = JpegCopy() if recipe.lossy else bgr
    windows = network.video_windows()
    start, count = 0.0, 0
    for time, frame in decoded_on_grid(path, fps=rate, on_problem=report):
        start = start if count else time
        windows.push(np.asarray(cv2.resize(copy(frame), (FACE, FACE), interpolation=cv2.INTER_LINEAR), np.uint8))
        count += 1
    sound = sound_from(path, start, None, report)
    return [TrackScore(start, start + count / rate, _score(windows.finish(), count, sound, recipe, network))]


def _face_tracks(
    path: Path, recipe: Recipe, network: V2Encoder, min_track: int, report: OnProblem
) -> list[TrackScore]:
    tracks, start = find_face_tracks(path, min_track, recipe.min_face, report)
    if not tracks:
        raise NoAnswer(
            f"{path}: no face of more than {recipe.min_face:g} pixels was found in more than {min_track} frames of a "
            f"shot, as the recipe {recipe.name} asks for."
        )
    found = []
    for track, video in zip(tracks, _embed_tracks(path, tracks, recipe, network), strict=True):
        begin, end = start + track.first / FPS, start + (track.last + 1) / FPS
        sound = sound_from(path, begin, end, report)
        try:
            found.append(TrackScore(begin, end, _score(video, len(track.boxes), sound, recipe, network)))
        except NoAnswer:
            report(_TOO_LITTLE_SOUND.format(begin, end))
    if not found:
        raise NoAnswer(f"{path}: no face has enough sound beside it to be scored.")
    return found


def find_face_tracks(path: Path, min_track: int, min_face: float, report: OnProblem) -> tuple[list[FaceTrack], float]:
    """The released pipeline's face tracks of a file, from our shots and faces, and the time of its first picture."""
    finder, cut = FaceFinder(min_face=max(20, int(min_face * _SMALLEST))), ShotDetector()
    shot: list[list[Box]] = []
    tracks: list[FaceTrack] = []
    start, first = 0.0, 0
    for number, frame in enumerate(frames(path, on_problem=report)):
        start = start if number else frame.time
        if cut(frame.luma) and shot:
            tracks += track_shot(shot, first, min_track=min_track, min_face=min_face)
            shot, first = [], number
        shot.append([face.box for face in finder(frame.luma) if face.score >= SURE_FACE])
    tracks += track_shot(shot, first, min_track=min_track, min_face=min_face)
    return tracks, start


def _embed_tracks(
    path: Path, tracks: list[FaceTrack], recipe: Recipe, network: V2Encoder
) -> list[NDArray[np.float32]]:
    """Embed all tracks in a second pass through the file, each face cut out as its frame comes by."""
    done: list[NDArray[np.float32]] = [np.empty((0, 0), np.float32)] * len(tracks)
    streams: dict[int, tuple[VideoWindows, Callable[[Bgr], Bgr]]] = {}
    squares = [crop_squares(track) for track in tracks]
    last = max(track.last for track in tracks)
    for number, frame in _numbered(path, last):
        now = [k for k, track in enumerate(tracks) if track.first <= number <= track.last]
        picture = bgr(frame) if now else None
        for k in now:
            if k not in streams:
                streams[k] = network.video_windows(), _lossy_copies() if recipe.lossy else _as_it_is
            windows, copy = streams[k]
            assert picture is not None
            windows.push(copy(crop_face(picture, squares[k][number - tracks[k].first])))
            if number == tracks[k].last:
                done[k] = windows.finish()
                del streams[k]
    return done


def _numbered(path: Path, last: int) -> Iterator[tuple[int, VideoFrame]]:
    """The pictures at 25 per second with their numbers, up to the last one wanted."""
    for number, (_, frame) in enumerate(decoded_on_grid(path, on_problem=ignore)):
        yield number, frame
        if number == last:
            return


def _lossy_copies() -> Callable[[Bgr], Bgr]:
    """The release's two copies of a face crop, one after the other; one such pair per track."""
    xvid, jpeg = XvidCopy(), JpegCopy()
    return lambda face: jpeg(xvid(face))


def _as_it_is(face: Bgr) -> Bgr:
    return face


def _own_network(path: Path, encoder: Encoder, report: OnProblem) -> list[TrackScore]:
    """The same arithmetic on our own network's embeddings: mouth tracks, one window of sound per frame."""
    found = []
    for track in mouth_tracks(frames(path, on_problem=report)):
        start, end = track.start + encoder.zero_s, track.end + encoder.zero_s
        columns = mfcc(sound_from(path, start, end, report))
        video, audio = encoder.embed_video(track.crops), encoder.embed_audio(columns)[::COLUMNS_PER_FRAME]
        count = min(len(video), len(audio))
        try:
            found.append(TrackScore(track.start, track.end, score(video[:count], audio[:count], pairs=Pairs.VALID)))
        except NoAnswer:
            report(_TOO_LITTLE_SOUND.format(track.start, track.end))
    if not found:
        raise NoAnswer(f"{path}: no face was found that could be followed for long enough with sound beside it.")
    return found


def sound_from(path: Path, start: float, end: float | None, report: OnProblem) -> NDArray[np.float32]:
    """Samples of the first sound track from `start` seconds of presentation time on, up to `end`: (N,) float32, 16 kHz.

    Where the sound begins later, silence comes first; where it ends earlier, there are fewer samples.
    """
    sound = read_sound(path, start=start, end=end, on_problem=report)
    late = round((sound.start - start) * SAMPLE_RATE) if len(sound.samples) else 0
    return np.pad(sound.samples, (max(late, 0), 0))


def as_16_bits(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Samples rounded to the steps of 16-bit sound, as in the WAV file of the release; still float32 in [-1, 1)."""
    return np.asarray(np.clip(np.rint(samples * np.float32(32768)), -32768, 32767) / 32768, np.float32)


def _score(
    video: NDArray[np.float32], count: int, sound: NDArray[np.float32], recipe: Recipe, network: V2Encoder
) -> SyncScore:
    """Score the embeddings of `count` frames against the sound that begins with them."""
    if recipe.corrected:
        columns = mfcc(sound)
        many = full_window_count(count, columns.shape[1])
    else:
        columns = mfcc(as_16_bits(sound))
        many = window_count(count, len(sound))
    wanted = COLUMNS_PER_FRAME * (many - 1) + WINDOW_COLUMNS if many else 0
    return score(video[:many], network.embed_audio(columns[:, :wanted]), pairs=recipe.pairs)
