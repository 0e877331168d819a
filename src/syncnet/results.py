"""What a measurement says: for the file, and for each face track."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from syncnet.errors import InputError
from syncnet.offset import ClipOffset, Curves, in_words


@dataclass(frozen=True)
class TrackResult:
    """What one face track says. `offset` is None when there is no answer, and `nothing` says why.

    `id`, `shot`: as in `MouthTrack`. `start_s`, `end_s`: presentation time. `curves`: the windows' distance curves.
    `face_px`: median outer-eye-corner distance in pixels; `yaw_deg`: median head turn, positive to the right.
    """

    id: int
    shot: int
    start_s: float
    end_s: float
    offset: ClipOffset | None
    curves: Curves
    face_px: float
    yaw_deg: float
    nothing: tuple[str, ...] = ()

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why there is no answer, or why it should not be trusted, in words; empty when it is trusted."""
        return self.nothing if self.offset is None else self.offset.reasons

    @property
    def offset_ms(self) -> float | None:
        """Audio time minus video time in milliseconds, or None."""
        return None if self.offset is None else self.offset.offset_ms

    @property
    def confidence(self) -> float:
        """Median minus minimum of the track's mean curve, 0 without an offset."""
        return 0.0 if self.offset is None else self.offset.confidence


@dataclass(frozen=True)
class SyncResult:
    """The answer for a file.

    `offset`: from the windows of all tracks together, None when there is no answer; `reasons`: why there is none or why
    it should not be trusted, in words. `tracks`: in order of time. `shots`: start of each shot in seconds. `problems`:
    what was wrong with the file itself. `model`: name, version and hash of the network.
    """

    file: str
    duration_s: float
    offset: ClipOffset | None
    reasons: tuple[str, ...]
    tracks: tuple[TrackResult, ...]
    shots: tuple[float, ...]
    problems: tuple[str, ...]
    model: dict[str, str]
    curves: Curves | None = field(default=None, repr=False)

    @property
    def offset_ms(self) -> float | None:
        """Audio time minus video time in milliseconds: negative early, positive late; None when there is no answer."""
        return None if self.offset is None else self.offset.offset_ms

    @property
    def confidence(self) -> float:
        """Median minus minimum of the mean distance curve: 0 nothing found, distances go to 20."""
        return 0.0 if self.offset is None else self.offset.confidence

    @property
    def interval_ms(self) -> tuple[float, float] | None:
        """95 % bootstrap interval of the offset in milliseconds, None for clips too short for one."""
        return None if self.offset is None else self.offset.interval_ms

    @property
    def trusted(self) -> bool:
        """Whether there is an answer and nothing speaks against it."""
        return self.offset is not None and not self.reasons

    @property
    def windows_used(self) -> int:
        """Windows that are sure by themselves."""
        return 0 if self.offset is None else self.offset.windows_used

    @property
    def windows_total(self) -> int:
        """Windows of 0.2 s that have picture and sound."""
        return 0 if self.offset is None else self.offset.windows_total

    @property
    def in_words(self) -> str:
        """The answer as one would say it."""
        if self.offset is None:
            return "no answer: " + "; ".join(self.reasons)
        return in_words(self.offset.offset_ms)


def only_track(result: SyncResult, track_id: int) -> SyncResult:
    """The same result as if only one of its tracks were there; raises `InputError` when there is no such track."""
    chosen = next((t for t in result.tracks if t.id == track_id), None)
    if chosen is None:
        known = ", ".join(str(t.id) for t in result.tracks) or "none"
        raise InputError(f"{result.file}: no track {track_id}; found: {known}.")
    return replace(result, offset=chosen.offset, reasons=chosen.reasons, tracks=(chosen,), curves=chosen.curves)
