"""Files measured one after the other that may show the same pictures: those are watched once, every sound is heard."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from syncnet.analysis import analyse, compare, sound_features
from syncnet.container import ignore, moving_pictures, open_media, packets, seconds
from syncnet.encoder import Encoder
from syncnet.media import probe
from syncnet.over_time import explained, timeline_of
from syncnet.repair import OnTime
from syncnet.results import TrackResult
from syncnet.timeline import Timeline
from syncnet.tracks import MouthTrack

STEADY_S = 0.002
"""Times of the same packets in two containers may differ by this much beyond a common shift: their clocks round."""

_READING = 0.5  # of the work on sound alone that is reading it, the rest is comparing


class Measuring:
    """Measures files for `repair`: a callable from (path, on_time) to the file's timeline.

    A repair copies the pictures bit for bit, so measuring its result anew needs the sound alone. That the pictures are
    the same is checked packet by packet; where they are not, the file is watched from its start. 25 kB are kept
    for each second of a face: `seen`, which another one with the same encoder may be given. `on_tracks` is handed what
    the face tracks of each file say.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        range_s: float = 1.0,
        audio_track: int = 0,
        on_tracks: Callable[[Sequence[TrackResult]], None] | None = None,
        seen: Seen | None = None,
    ) -> None:
        self._encoder = encoder
        self._on_tracks = on_tracks
        self._range_s = range_s
        self._audio_track = audio_track
        self.seen = seen

    def __call__(self, path: Path, on_time: OnTime | None = None) -> Timeline:
        """Measure a file; raises as `syncnet.detect` does."""
        moved_s = None if self.seen is None else same_pictures(self.seen.path, path)
        if self.seen is not None and moved_s is not None:
            return self._heard(path, self.seen, moved_s, on_time)
        return self._watched(path, on_time)

    def _watched(self, path: Path, on_time: OnTime | None) -> Timeline:
        stretches: list[MouthTrack] = []
        eye = _Recording(self._encoder)
        result = analyse(
            path,
            range_s=self._range_s,
            audio_track=self._audio_track,
            encoder=eye,
            on_progress=on_time,
            on_track=lambda track: stretches.append(_without_crops(track)),
        )
        found = timeline_of(result)
        if self._on_tracks:
            self._on_tracks(result.tracks)
        self.seen = Seen(path, tuple(stretches), tuple(eye.videos), result.shots, (found.start_s, found.end_s))
        return found

    def _heard(self, path: Path, seen: Seen, moved_s: float, on_time: OnTime | None) -> Timeline:
        length = seen.span[1] - seen.span[0]

        def told(seconds: float) -> None:
            if on_time:
                on_time(min(seconds, length), length)

        sound = sound_features(path, self._audio_track, [], lambda seconds: told(_READING * seconds))

        def recalled() -> Iterator[MouthTrack]:
            for number, track in enumerate(seen.stretches):
                told((_READING + (1 - _READING) * number / len(seen.stretches)) * length)
                yield replace(track, start=track.start + moved_s)

        said = compare(recalled(), sound, _Recalling(self._encoder, seen.videos), range_s=self._range_s)
        if self._on_tracks:
            self._on_tracks(said.tracks)
        return explained(
            [track.curves for track in said.tracks],
            said.offset,
            said.reasons,
            span=(seen.span[0] + moved_s, seen.span[1] + moved_s),
            cuts_s=[cut + moved_s for cut in seen.shots[1:]],
        )


@dataclass(frozen=True)
class Seen:
    """What was seen of a file: the stretches of faces without their crops, and the embeddings (W, 256) of each.

    `shots` are the starts of shots and `span` the start and end of the file, in s.
    """

    path: Path
    stretches: tuple[MouthTrack, ...]
    videos: tuple[NDArray[np.float32], ...]
    shots: tuple[float, ...]
    span: tuple[float, float]


class _Recording(Encoder):
    """An encoder that keeps the embeddings of all pictures it is shown."""

    def __init__(self, inner: Encoder) -> None:
        self.model = inner.model
        self.videos: list[NDArray[np.float32]] = []
        self._inner = inner

    def embed_video(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.videos.append(self._inner.embed_video(crops))
        return self.videos[-1]

    def embed_audio(self, mfcc: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._inner.embed_audio(mfcc)


class _Recalling(Encoder):
    """An encoder that hears, and is told the embeddings of pictures in the order in which they were first seen."""

    def __init__(self, inner: Encoder, videos: tuple[NDArray[np.float32], ...]) -> None:
        self.model = inner.model
        self._inner = inner
        self._videos = iter(videos)

    def embed_video(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        return next(self._videos)

    def embed_audio(self, mfcc: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._inner.embed_audio(mfcc)


def _without_crops(track: MouthTrack) -> MouthTrack:
    """The same track with crops of one pixel that take no memory: only how many there are still counts."""
    return replace(track, crops=np.broadcast_to(np.zeros((1, 1, 1), np.uint8), (len(track.crops), 1, 1)))


def same_pictures(one: Path, other: Path) -> float | None:
    """Seconds by which the pictures of another file come later, None if they are not the same packets, evenly moved."""
    here, there = _pictures(one), _pictures(other)
    if here.digest != there.digest or len(here.times) != len(there.times) or not len(here.times):
        return None
    apart = there.times - here.times
    if np.abs(apart - np.median(apart)).max() > STEADY_S:
        return None
    return probe(other).video[0].start - probe(one).video[0].start


@dataclass(frozen=True)
class _Packets:
    digest: bytes
    times: NDArray[np.float64]


def _pictures(path: Path) -> _Packets:
    """A hash over the packets of a file's pictures, and the times of those that have one."""
    digest = hashlib.blake2b()
    times: list[float] = []
    with open_media(path) as container:
        stream = moving_pictures(container)[0]
        for packet in packets(container, ignore):
            if packet.stream_index == stream.index and packet.size:
                digest.update(packet)
                if packet.pts is not None:
                    times.append(seconds(stream, packet.pts))
    return _Packets(digest.digest(), np.array(times))
