"""What a repair will do, worked out and put in words before anything is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
from av.container import OutputContainer

from syncnet.errors import InputError
from syncnet.media import MediaInfo
from syncnet.retime import FADE_S
from syncnet.sound_codec import Encoding, encoding_for, held_by
from syncnet.source_sound import TrackFormat, track_format
from syncnet.stretch import INAUDIBLE
from syncnet.timeline import Timeline

Mode = Literal["samples", "timestamps"]
MODES: tuple[Mode, ...] = ("samples", "timestamps")

EDIT_LIST_WORDS = (
    "in mp4 and mov the shift is an edit list: browsers, QuickTime and players built on FFmpeg follow it, while some "
    "television sets, hardware players, editing programs and upload services ignore it"
)
CLOCK_WORDS = (
    "the shift lies in the times of the packets alone: players follow it, but programs that take the streams apart and "
    "ignore their times see no change"
)


@dataclass(frozen=True)
class Plan:
    """What will be done: the `timeline` to be undone, the sound's new span in s, how it is coded (None: copied)."""

    mode: Mode
    timeline: Timeline
    start_s: float
    end_s: float
    source: TrackFormat
    encoding: Encoding | None
    words: tuple[str, ...]


def plan_repair(
    info: MediaInfo, audio_track: int, timeline: Timeline, mode: Mode, target: Path, codec: str | None = None
) -> Plan:
    """Plan the repair of one audio track; raises InputError for what the mode or the target's container cannot do.

    The sound keeps its span where it can: what is moved in front of it or behind the file's end is cut, what is
    missing becomes silence, so that the file lasts as long as before.
    """
    source = track_format(info.path, audio_track)
    if mode == "timestamps":
        if len(timeline.segments) != 1 or timeline.rate_ms_per_min or timeline.kind == "drift":
            raise InputError(
                f"{info.path}: {timeline.words}. Moving timestamps repairs one constant offset only: "
                "use --mode samples."
            )
        if codec is not None:
            raise InputError("--mode timestamps copies the sound: leave out --audio-codec.")
        note = EDIT_LIST_WORDS if _is_mov(target) else CLOCK_WORDS
        return Plan(mode, timeline, 0.0, 0.0, source, None, (_moves(timeline, "move the sound's timestamps"), note))
    with _container(target) as out:
        encoding = encoding_for(source, held_by(out), target.suffix, codec)
    start, end = new_span(info, audio_track, timeline)
    words = (*_retiming_words(timeline), f"code it as {encoding.words}")
    return Plan(mode, timeline, start, end, source, encoding, words)


def new_span(info: MediaInfo, audio_track: int, timeline: Timeline) -> tuple[float, float]:
    """Where the corrected sound starts and ends: as before, or further out as far as the file's own span allows."""
    track = info.audio[audio_track]
    first, last = track.start, track.start + (track.duration or info.duration or 0.0)
    shown = info.video[0].start if info.video else first
    limits = [last, *(v.start + v.duration for v in info.video[:1] if v.duration is not None)]
    start = min(first, max(shown, first - timeline.segments[0].start_ms / 1e3))
    end = max(last, min(last - timeline.segments[-1].end_ms / 1e3, max(limits)))
    return start, end


def _retiming_words(timeline: Timeline) -> tuple[str, ...]:
    if timeline.kind == "drift" and len(timeline.segments) == 1:
        rate = timeline.rate_ms_per_min / 60e3
        how = "by resampling, pitch within 5 cents" if abs(rate) <= INAUDIBLE else "with the pitch kept"
        verb = "shorten" if rate > 0 else "lengthen"
        return (
            f"{verb} the sound by {abs(rate) * 100:.3f} % ({how})",
            _moves(timeline, "move it", timeline.segments[0].start_ms),
        )
    if len(timeline.segments) == 1:
        return (_moves(timeline, "move the sound"),)
    moved = [s for s in timeline.segments if round(s.offset_ms)]
    return (
        f"move the sound in {len(moved)} of {len(timeline.segments)} stretches, "
        f"by up to {max(abs(s.offset_ms) for s in timeline.segments):.0f} ms, "
        f"with cross-fades of {FADE_S * 1e3:.0f} ms between them",
    )


def _moves(timeline: Timeline, verb: str, offset_ms: float | None = None) -> str:
    offset = timeline.segments[0].offset_ms if offset_ms is None else offset_ms
    return f"{verb} {abs(offset):.0f} ms {'earlier' if offset > 0 else 'later'}"


def _is_mov(target: Path) -> bool:
    return target.suffix.lower() in (".mp4", ".mov", ".m4v", ".m4a", ".3gp", ".3g2")


def _container(target: Path) -> OutputContainer:
    try:
        return av.open(f"file:{target.with_name('.' + target.name)}", "w")  # opens no file until it is written to
    except ValueError as error:
        raise InputError(f"{target.name}: FFmpeg knows no container by this ending; .mp4 or .mkv would do.") from error
