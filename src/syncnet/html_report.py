"""A measurement as one HTML file that can be handed on: words first, then the evidence for them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import syncnet
from syncnet.curves import window_offsets
from syncnet.html_figures import heat_map, mouths, over_time
from syncnet.html_page import facts, figure, page, section, table
from syncnet.media import SAMPLE_RATE, read_sound
from syncnet.results import SyncResult
from syncnet.side import side
from syncnet.strips import Strip
from syncnet.timeline import Timeline, clock
from syncnet.verdict import NORMS, Tolerance, Verdict

MOST_ROWS = 1500
UNASKED = Tolerance("itu-r-bt1359", "ITU-R BT.1359-1: from here on people notice", 45, 125)
"""The band drawn when no norm was asked for."""


def html_report(
    result: SyncResult,
    found: Timeline,
    verdict: Verdict | None = None,
    strips: Sequence[Strip] = (),
    *,
    audio_track: int = 0,
) -> str:
    """Write a result as an HTML document without references to anything outside it.

    `found`: the same result over time. `strips`: mouths to show; their sound is read from the file again.
    """
    name = Path(result.file).name
    words = found.words if found.kind in ("drift", "steps", "intermittent") else result.in_words
    parts = [f'<h1>{escape(name)}</h1><p class="answer">{escape(_sentence(words, sure=found.trusted))}</p>']
    if verdict is not None:
        parts.append(f'<p><span class="state {verdict.state}">{escape(verdict.words)}</span></p>')
    doubts = dict.fromkeys((*found.reasons, *result.reasons, *result.problems))
    if doubts:
        parts.append('<ul class="reasons">' + "".join(f"<li>{escape(doubt)}</li>" for doubt in doubts) + "</ul>")
    parts.append(section("In figures", facts(_figures(result, found))))
    limits = verdict.tolerance if verdict else UNASKED
    if result.curves is not None and len(result.curves.times):
        parts += _evidence(result, found, limits)
    if strips:
        parts.append(_mouths(result, found, strips, audio_track))
    if len(found.segments) > 1:
        parts.append(
            section("Stretches", table(["from", "to", "audio", "95 % interval"], _stretches(found)), long=True)
        )
    if result.tracks:
        rows = table(["track", "from", "to", "audio", "confidence", "face"], _tracks(result))
        parts.append(section("Face tracks", rows, long=True))
        parts.append(_windows(result))
    parts.append(_footer(result))
    return page(f"{name}: {words}", "".join(parts)).encode("ascii", "xmlcharrefreplace").decode("ascii")


def _sentence(words: str, *, sure: bool) -> str:
    if not sure and not words.startswith("no answer"):
        return f"Unsure: {words}"
    return words[:1].upper() + words[1:]


def _figures(result: SyncResult, found: Timeline) -> list[tuple[str, str]]:
    pairs = [("offset", "no answer" if result.offset_ms is None else side(result.offset_ms))]
    if result.interval_ms:
        pairs.append(("95 % interval", f"{side(result.interval_ms[0])} to {side(result.interval_ms[1])}"))
    pairs += [
        ("confidence", f"{result.confidence:.1f}"),
        ("sure windows", f"{result.windows_used} of {result.windows_total}"),
        ("over time", found.kind),
    ]
    if found.kind == "drift":
        pairs.append(("drift", f"{found.rate_ms_per_min:+.1f} ms per minute"))
    return [*pairs, ("length", clock(result.duration_s)), ("trusted", "yes" if found.trusted else "no")]


def _evidence(result: SyncResult, found: Timeline, limits: Tolerance) -> list[str]:
    assert result.curves is not None
    range_ms = (float(result.curves.offsets_s[0]) * 1e3, float(result.curves.offsets_s[-1]) * 1e3)
    drawn = heat_map(result.curves, found, result.shots[1:])
    caption = (
        "Milliseconds between sound and picture, over time. Bright: lips and voice fit at this offset. "
        "The line is the answer with its 95 % interval; dotted lines are cuts."
    )
    grey = " Grey: no speaking face, taken to be as beside it." if found.inherited else ""
    low, high = limits.range_ms
    allowed = f"Green: {-low:g} ms early to {high:g} ms late ({limits.title}).{grey}"
    dots = "Dots: what single windows of 0.2 s say, larger where they are surer. "
    return [
        section("Where lips and voice fit", figure(drawn, caption)),
        section("Offset over time", figure(over_time(result.tracks, found, limits, range_ms), dots + allowed)),
    ]


def _mouths(result: SyncResult, found: Timeline, strips: Sequence[Strip], audio_track: int) -> str:
    shown = []
    for strip in strips:
        length = round((strip.end - strip.start) * SAMPLE_RATE)
        before = _sound(result.file, audio_track, strip.start, length)
        after, how = None, "no offset is known, so the sound stands as it is"
        if found.segments:
            shift = found.at((strip.start + strip.end) / 2)
            after = _sound(result.file, audio_track, strip.start + shift / 1e3, length)
            how = f"red: the sound as it is, {side(shift)}; green: the same once it is put in place"
        caption = f"Track {strip.track} from {clock(strip.start)} on, every second picture at 25 a second; {how}."
        shown.append(figure(mouths(strip, before, after), caption))
    return section("Mouths and sound", "".join(shown), long=True)


def _sound(path: str, track: int, start: float, length: int) -> NDArray[np.float32]:
    """Exactly `length` samples from `start` (s) on, silence where there is none."""
    sound = read_sound(path, track=track, start=max(0.0, start), end=max(0.0, start + length / SAMPLE_RATE))
    out = np.zeros(length, np.float32)
    if len(sound.samples):
        first = round((sound.start - start) * SAMPLE_RATE)
        part = sound.samples[max(0, -first) : max(0, length - first)]
        out[max(0, first) : max(0, first) + len(part)] = part
    return out


def _stretches(found: Timeline) -> list[list[str]]:
    return [
        [
            clock(s.start_s),
            clock(s.end_s),
            side(s.offset_ms),
            f"{side(s.interval_ms[0])} to {side(s.interval_ms[1])}",
        ]
        for s in found.segments
    ]


def _tracks(result: SyncResult) -> list[list[str]]:
    return [
        [
            str(t.id),
            clock(t.start_s),
            clock(t.end_s),
            "no answer" if t.offset_ms is None else side(t.offset_ms) + ("" if not t.reasons else " (unsure)"),
            f"{t.confidence:.1f}",
            f"{t.face_px:.0f} px, turned {t.yaw_deg:+.0f}°",
        ]
        for t in result.tracks
    ]


def _windows(result: SyncResult) -> str:
    """A table of windows, thinned out for long recordings, folded away until it is asked for."""
    rows: list[list[str]] = []
    total = sum(len(t.curves.times) for t in result.tracks)
    step = max(1, -(-total // MOST_ROWS))
    for track in result.tracks:
        windows = window_offsets(track.curves)
        for k in range(0, len(windows.times), step):
            if np.isfinite(windows.offset_ms[k]):
                own = side(float(windows.offset_ms[k]))
                rows.append([f"{windows.times[k]:.2f} s", str(track.id), own, f"{windows.confidence[k]:.2f}"])
    which = "every window" if step == 1 else f"one window in {step}; syncnet detect --csv writes them all"
    inside = f"<details><summary>{len(rows)} rows: {which}</summary>"
    return section("Windows", inside + table(["time", "track", "audio", "confidence"], rows) + "</details>", long=True)


def _footer(result: SyncResult) -> str:
    model = " ".join(result.model.get(key, "") for key in ("name", "version", "hash")).strip() or "unknown"
    sign = "Offset is audio time minus video time: early means that the sound leads the picture, late that it lags."
    made = f"Made by syncnet {syncnet.__version__}; model: {model}."
    norms = "; ".join(n.words for n in NORMS.values())
    return f"<footer><p>{escape(sign)}</p><p>{escape(made)}</p><p>Norms: {escape(norms)}.</p></footer>"
