"""The figures of the HTML report as SVG: the heat map, the offset over time, a strip of mouths with its sound.

Colours are those of the page's style sheet, so that they follow light and dark.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from html import escape

import cv2
import numpy as np
from numpy.typing import NDArray

from syncnet.curves import ROWS, Curves, window_offsets
from syncnet.media import FPS, SAMPLE_RATE
from syncnet.results import TrackResult
from syncnet.strips import Strip
from syncnet.timeline import Timeline, clock
from syncnet.verdict import Tolerance

WIDTH = 760.0
LEFT, RIGHT = 76.0, 24.0
MOST_COLUMNS = 700
MOST_DOTS = 1200
SMOOTH_S = 0.6
TRACK_COLOURS = 6
"""Colours of tracks in the style sheet: they repeat from here on."""


class _Axes:
    """A frame for a figure over time: from seconds and milliseconds to places on the page."""

    def __init__(self, span: tuple[float, float], range_ms: tuple[float, float], top: float, height: float) -> None:
        self.start, self.end = span[0], max(span[1], span[0] + 0.1)
        self.low, self.high = range_ms
        self.top, self.height = top, height

    def x(self, time_s: float) -> float:
        inside = min(max(time_s, self.start), self.end)
        return LEFT + (WIDTH - LEFT - RIGHT) * (inside - self.start) / (self.end - self.start)

    def y(self, offset_ms: float) -> float:
        inside = min(max(offset_ms, self.low), self.high)
        return self.top + self.height * (self.high - inside) / (self.high - self.low)

    def grid(self) -> str:
        """Lines and labels of both axes."""
        parts = [f'<rect class="frame" {_box(LEFT, self.top, WIDTH - LEFT - RIGHT, self.height)}/>']
        for ms in ticks(self.low, self.high, 5):
            y = self.y(ms)
            kind = "zero" if ms == 0 else "line"
            label = f"{abs(ms):g} {'late' if ms > 0 else 'early'}" if ms else "0"
            parts.append(f'<path class="{kind}" d="M{LEFT:g} {y:.1f}H{WIDTH - RIGHT:g}"/>')
            parts.append(f'<text x="{LEFT - 6:g}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
        bottom = self.top + self.height
        for time in ticks(self.start, self.end, 6):
            x = self.x(time)
            parts.append(f'<path class="line" d="M{x:.1f} {bottom:g}v5"/>')
            parts.append(f'<text x="{x:.1f}" y="{bottom + 18:g}" text-anchor="middle">{clock(time)}</text>')
        return "".join(parts)


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers within [low, high], about so many."""
    rough = max(high - low, 1e-9) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= rough)
    return [round(k * step, 6) for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def heat_map(curves: Curves, found: Timeline, cuts_s: Iterable[float]) -> str:
    """Distance over time and offset as a picture, bright where lips and voice fit, with the answer drawn over it."""
    span = (found.start_s, found.end_s)
    range_ms = (float(curves.offsets_s[0]) * 1e3, float(curves.offsets_s[-1]) * 1e3)
    axes = _Axes(span, range_ms, 8, 260)
    picture = _coloured(heat(curves, span))
    place = _box(LEFT, axes.top, WIDTH - LEFT - RIGHT, axes.height)
    image = f'<image {place} preserveAspectRatio="none" class="heat" href="{_png(picture)}"/>'
    marks = "".join(
        f'<path class="cut" d="M{axes.x(t):.1f} {axes.top:g}v{axes.height:g}"/>' for t in _some(cuts_s, 400)
    )
    return _svg(
        300, "Distance of lips and voice at each time and offset", axes.grid() + image + marks + _answer(axes, found)
    )


def heat(curves: Curves, span: tuple[float, float]) -> NDArray[np.float32]:
    """Mean curves `(C, M)` over equal parts of the time `span`, each over 0.6 s at least; NaN where there are none."""
    length = max(span[1] - span[0], 0.04)
    columns = min(max(int(length * FPS), 1), MOST_COLUMNS)
    total = np.zeros((columns, len(curves.offsets_s)))
    count = np.zeros_like(total)
    for first in range(0, len(curves.times), ROWS):
        distance = curves.distance[first : first + ROWS]
        place = ((curves.times[first : first + ROWS] - span[0]) / length * columns).astype(np.int64)
        place = np.clip(place, 0, columns - 1)
        known = np.isfinite(distance)
        np.add.at(total, place, np.where(known, distance, 0.0))
        np.add.at(count, place, known)
    reach = round(SMOOTH_S / 2 / (length / columns))
    total, count = _boxed(total, reach), _boxed(count, reach)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)


def _boxed(values: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Sums over `reach` rows on either side."""
    running = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    at = np.arange(len(values))
    return np.asarray(running[np.minimum(at + reach + 1, len(values))] - running[np.maximum(at - reach, 0)])


def _coloured(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Curves `(C, M)` as a picture `(M, C, 4)`: late at the top, bright where the distance is small."""
    known = np.isfinite(values)
    low, high = np.percentile(values[known], [0.5, 99.5]) if known.any() else (0.0, 1.0)
    near = np.clip((high - np.where(known, values, high)) / max(high - low, 1e-6), 0, 1)
    grey = np.round(near.T[::-1] * 255).astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2BGRA)
    colours[..., 3] = np.where(known.T[::-1], 255, 0)
    return np.asarray(colours, dtype=np.uint8)


def over_time(tracks: Sequence[TrackResult], found: Timeline, limits: Tolerance, range_ms: tuple[float, float]) -> str:
    """The windows' own offsets as dots, the segments as lines, the band that the norm allows behind them."""
    axes = _Axes((found.start_s, found.end_s), _range_shown(found, limits, range_ms), 8, 220)
    low, high = limits.range_ms
    top, bottom = axes.y(high), axes.y(low)
    band = f'<rect class="band" {_box(LEFT, top, WIDTH - LEFT - RIGHT, bottom - top)}/>'
    silent = [(axes.x(i.start_s), axes.x(i.end_s)) for i in found.inherited]
    unheard = "".join(f'<rect class="inherited" {_box(a, axes.top, b - a, axes.height)}/>' for a, b in silent)
    dots = "".join(
        f'<circle class="t{colour}" cx="{axes.x(time):.1f}" cy="{axes.y(ms):.1f}" r="{size:.1f}"/>'
        for time, ms, size, colour in _dots(tracks)
        if axes.low <= ms <= axes.high
    )
    inside = axes.grid() + band + unheard + dots + f'<g class="plain">{_answer(axes, found)}</g>'
    return _svg(260, "Offset over time", inside)


def _range_shown(found: Timeline, limits: Tolerance, range_ms: tuple[float, float]) -> tuple[float, float]:
    """Room for the segments and the norm, within the offsets that were searched."""
    ends = [abs(ms) for s in found.segments for ms in (s.start_ms, s.end_ms)]
    reach = min(max(250.0, 1.6 * max([*ends, *map(abs, limits.range_ms)])), max(abs(range_ms[0]), range_ms[1]))
    return -reach, reach


def _dots(tracks: Sequence[TrackResult]) -> list[tuple[float, float, float, int]]:
    """Time, offset, size and colour of the surest windows, evenly over time."""
    total = sum(len(t.curves.times) for t in tracks)
    step = max(1, -(-total // MOST_DOTS))
    found = []
    for number, track in enumerate(tracks):
        windows = window_offsets(track.curves)
        sure = np.nan_to_num(windows.confidence, nan=-1.0)
        for first in range(0, len(sure), step):
            k = first + int(sure[first : first + step].argmax())
            if np.isfinite(windows.offset_ms[k]):
                size = 1.2 + min(float(sure[k]), 6.0) / 3
                found.append((float(windows.times[k]), float(windows.offset_ms[k]), size, number % TRACK_COLOURS))
    return found


def _answer(axes: _Axes, found: Timeline) -> str:
    """The segments of a timeline as lines, with their intervals."""
    parts = []
    for s in found.segments:
        spread = [bound - s.offset_ms for bound in s.interval_ms]
        if all(math.isfinite(d) for d in spread):
            corners = (
                (axes.x(s.start_s), axes.y(s.start_ms + spread[0])),
                (axes.x(s.end_s), axes.y(s.end_ms + spread[0])),
                (axes.x(s.end_s), axes.y(s.end_ms + spread[1])),
                (axes.x(s.start_s), axes.y(s.start_ms + spread[1])),
            )
            parts.append(f'<polygon class="interval" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in corners)}"/>')
        line = (axes.x(s.start_s), axes.y(s.start_ms), axes.x(s.end_s), axes.y(s.end_ms))
        parts.append('<path class="halo" d="M{:.1f} {:.1f}L{:.1f} {:.1f}"/>'.format(*line))
        parts.append('<path class="segment" d="M{:.1f} {:.1f}L{:.1f} {:.1f}"/>'.format(*line))
    return "".join(parts)


def mouths(strip: Strip, before: NDArray[np.float32], after: NDArray[np.float32] | None, *, side: float = 76.0) -> str:
    """Every second crop side by side, under them the sound as it is in the file and, if known, once put in place.

    `before`, `after`: mono samples at 16 kHz over the strip's time.
    """
    shown = strip.crops[::2]
    width = side * len(strip.crops) / 2
    data = _jpeg(np.concatenate(list(shown), axis=1))
    rows = [f'<image {_box(0, 0, side * len(shown), side)} preserveAspectRatio="none" href="{data}"/>']
    loudest = max(float(np.abs(before).max(initial=0.0)), 1e-4)
    labelled = [("as it is", "before", before)] + ([] if after is None else [("put in place", "after", after)])
    top = side + 6
    for label, name, samples in labelled:
        rows.append(f'<rect class="frame" {_box(0, top, width, 54)}/>')
        rows.append(f'<path class="{name}" d="{_wave(samples, width, top + 27, 25 / loudest)}"/>')
        rows.append(f'<text x="5" y="{top + 17:g}">{label}</text>')
        top += 60
    seconds = np.arange(math.ceil(strip.start * 5 - 1e-6), math.floor(strip.end * 5 + 1e-6) + 1) / 5
    for time in seconds:
        x = (time - strip.start) * FPS / 2 * side
        rows.append(f'<path class="cut" d="M{x:.1f} 0V{top:g}"/>')
        rows.append(f'<text x="{x + 3:.1f}" y="{top + 17:g}">{clock(float(time))}</text>')
    title = escape(f"Mouth of track {strip.track} with the sound beside it")
    return (
        f'<svg class="strip" viewBox="0 0 {width:g} {top + 22:g}" style="min-width:{width / 2:.0f}px" role="img" '
        f'aria-label="{title}">{"".join(rows)}</svg>'
    )


def _wave(samples: NDArray[np.float32], width: float, middle: float, scale: float) -> str:
    """The outline of a sound: the loudest and the lowest sample of every 4 ms."""
    parts = np.array_split(samples, max(1, round(len(samples) / SAMPLE_RATE / 0.004)))
    step = width / len(parts)
    high = [(k * step, middle - max(float(p.max(initial=0)), 0.0) * scale) for k, p in enumerate(parts)]
    low = [(k * step, middle - min(float(p.min(initial=0)), 0.0) * scale) for k, p in enumerate(parts)]
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in [*high, *reversed(low)]) + "Z"


def _some(values: Iterable[float], most: int) -> list[float]:
    listed = list(values)
    return listed if len(listed) <= most else []


def _box(x: float, y: float, width: float, height: float) -> str:
    return f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}"'


def _svg(height: float, title: str, inside: str) -> str:
    shown = f'viewBox="0 0 {WIDTH:g} {height:g}" role="img" aria-label="{escape(title)}"'
    return f'<svg class="chart" {shown}>{inside}</svg>'


def _png(picture: NDArray[np.uint8]) -> str:
    return "data:image/png;base64," + base64.b64encode(cv2.imencode(".png", picture)[1].tobytes()).decode()


def _jpeg(picture: NDArray[np.uint8]) -> str:
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 82])[1]
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
