"""Results -> words, JSON, CSV and pictures."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from syncnet.offset import in_words, window_offsets

if TYPE_CHECKING:

    from syncnet.results import SyncResult, TrackResult


def lines_in_words(result: SyncResult) -> list[str]:
    """The answer for a file and for each of its tracks, a line each, as one would say it."""
    lines = [f"{result.file}: {result.in_words}{_figures(result)}"]
    if result.offset is not None and not result.trusted:
        lines += [f"  not to be trusted: {reason}" for reason in result.reasons]
    lines += [f"  note: {problem}" for problem in result.problems]
    if len(result.tracks) > 1:
        lines += [f"  {track_in_words(track)}" for track in result.tracks]
    return lines


def track_in_words(track: TrackResult) -> str:
    """One track's answer in a line."""
    place = f"track {track.id}, {track.start_s:.1f}-{track.end_s:.1f} s"
    if track.offset is None:
        return f"{place}: no answer ({'; '.join(track.reasons)})"
    trust = "" if track.offset.trusted else "; unsure"
    return f"{place}: {in_words(track.offset.offset_ms)}, confidence {track.confidence:.1f}{trust}"


def _figures(result: SyncResult) -> str:
    """Interval, confidence and windows behind an answer."""
    if result.offset is None:
        return ""
    interval = ""
    if result.interval_ms:
        low, high = result.interval_ms
        interval = f" (95 % interval {low:.0f} to {high:.0f} ms)"
    counted = f"{result.windows_used} of {result.windows_total} windows"
    return f"{interval}, confidence {result.confidence:.1f}, from {counted}"


def result_dict(result: SyncResult) -> dict[str, Any]:
    """The JSON object of a result; the schema is documented in docs/json.md."""
    return {
        "file": result.file,
        "offset_ms": _rounded(result.offset_ms),
        "confidence": _rounded(result.confidence, 3),
        "interval_ms": result.interval_ms and [_rounded(v) for v in result.interval_ms],
        "trusted": result.trusted,
        "reasons": list(result.reasons),
        "words": result.in_words,
        "windows_used": result.windows_used,
        "windows_total": result.windows_total,
        "duration_s": _rounded(result.duration_s, 3),
        "problems": list(result.problems),
        "tracks": [
            {
                "id": t.id,
                "shot": t.shot,
                "start_s": _rounded(t.start_s, 3),
                "end_s": _rounded(t.end_s, 3),
                "offset_ms": _rounded(t.offset_ms),
                "confidence": _rounded(t.confidence, 3),
                "trusted": t.offset is not None and t.offset.trusted,
                "reasons": list(t.reasons),
                "face_px": _rounded(t.face_px),
                "yaw_deg": _rounded(t.yaw_deg),
            }
            for t in result.tracks
        ],
        "shots": [_rounded(s, 3) for s in result.shots],
        "model": result.model,
    }


def _rounded(value: float | None, digits: int = 1) -> float | None:
    return None if value is None else round(value, digits)


def windows_csv(results: list[SyncResult]) -> str:
    """A table of single windows: file, track, time of the window's middle (s), offset (ms), confidence."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["file", "track", "time_s", "offset_ms", "confidence"])
    for result in results:
        for track in result.tracks:
            windows = window_offsets(track.curves)
            for time, offset, sure in zip(windows.times, windows.offset_ms, windows.confidence, strict=True):
                if np.isfinite(offset):
                    table.writerow([result.file, track.id, f"{time:.3f}", f"{offset:.1f}", f"{sure:.3f}"])
    return text.getvalue()
