"""The offset over time of a measured file: what its windows say in pieces, set beside what they say together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from syncnet.curves import ROWS, Curves
from syncnet.evidence import Blocks, join, pool
from syncnet.offset import ClipOffset
from syncnet.side import side
from syncnet.timeline import IN_SYNC_MS, NOTICEABLE_MS, Kind, Segment, Timeline
from syncnet.timeline_fit import fit

if TYPE_CHECKING:
    from syncnet.results import SyncResult


def timeline_of(result: SyncResult) -> Timeline:
    """Explain a measured file over time: in sync, constant, drifting, stepping, intermittent or undecided.

    Where the file has one offset throughout, it is the one that `detect` gives.
    """
    start = result.shots[0] if result.shots else 0.0
    return explained(
        [track.curves for track in result.tracks],
        result.offset,
        result.reasons,
        span=(start, start + result.duration_s),
        cuts_s=result.shots[1:],
    )


def explained(
    tracks: Sequence[Curves],
    whole: ClipOffset | None,
    reasons: Sequence[str],
    *,
    span: tuple[float, float],
    cuts_s: Sequence[float] = (),
) -> Timeline:
    """Explain the curves of a file's face tracks over the time `span` (start, end) in s.

    `whole` is the answer of all windows together and `reasons` what speaks against it; `cuts_s` are the shot cuts.
    """
    blocks = [block for curves in tracks for block in _pooled(curves)]
    if whole is None or not blocks:
        return Timeline("undecided", *span, reasons=tuple(reasons) or ("no window with both a face and sound",))
    end = max(span[1], *(float(curves.times[-1]) for curves in tracks if len(curves.times)))
    found = fit(join(blocks), whole.offsets_s, start_s=span[0], end_s=end, cuts_s=cuts_s)
    return reconciled(found, whole, reasons)


def _pooled(curves: Curves) -> Iterator[Blocks]:
    """The blocks of one track, so many windows at a time that memory stays bounded."""
    for first in range(0, len(curves.times), ROWS):
        yield pool(curves.times[first : first + ROWS], curves.distance[first : first + ROWS])


def reconciled(found: Timeline, whole: ClipOffset, reasons: Sequence[str]) -> Timeline:
    """Bring the answer over time and the answer of all windows together into one.

    One offset throughout: it is that of all windows together, and distrusted if the other way of reading them puts it
    more than a frame elsewhere. No answer over time: that of all windows together stands if it can be trusted. Several
    offsets: they stand as found, since they are why the windows do not agree on one.
    """
    if not found.segments:
        if reasons:
            return replace(found, reasons=tuple(dict.fromkeys((*found.reasons, *reasons))))
        return _throughout(found, whole, ())
    if len(found.segments) > 1 or found.kind == "drift":
        return found
    against = tuple(dict.fromkeys((*reasons, *found.reasons)))
    other = found.segments[0].offset_ms
    if abs(other - whole.offset_ms) > NOTICEABLE_MS:
        apart = f"two ways of reading the windows disagree: {side(whole.offset_ms)} and {side(other)}"
        against = (*against, apart)
    return _throughout(found, whole, against)


def _throughout(found: Timeline, whole: ClipOffset, reasons: tuple[str, ...]) -> Timeline:
    """The timeline of one offset, that of all windows together."""
    ms = whole.offset_ms
    interval = whole.interval_ms or (ms, ms)
    segment = Segment(found.start_s, found.end_s, ms, ms, interval, whole.confidence, whole.windows_total)
    kind: Kind = "in sync" if abs(ms) <= IN_SYNC_MS else "constant"
    inherited = tuple(replace(stretch, offset_ms=ms) for stretch in found.inherited)
    return replace(found, kind=kind, segments=(segment,), inherited=inherited, reasons=reasons)
