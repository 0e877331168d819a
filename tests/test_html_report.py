"""The HTML report: one file that needs nothing else, and that a real browser shows."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from repair_media import RATE, write_wav
from syncnet.curves import Curves
from syncnet.html_figures import heat, ticks
from syncnet.html_report import html_report
from syncnet.offset import clip_offset
from syncnet.over_time import timeline_of
from syncnet.results import SyncResult, TrackResult
from syncnet.strips import FRAMES, MOST, SIDE, Strips
from syncnet.timeline import Segment, Timeline
from syncnet.tracks import MouthTrack
from syncnet.verdict import judge_timeline, norm

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def valley(seconds: float, offset_ms: float, start: float = 0.0) -> Curves:
    """Curves of windows that all have their least distance at one offset."""
    offsets = np.arange(-100, 101) / 100
    times = start + 0.1 + np.arange(round(seconds * 25) - 4) / 25
    rng = np.random.default_rng(0)
    depth = 6 * np.exp(-(((offsets - offset_ms / 1e3) / 0.06) ** 2))
    distance = 14 - depth[None] + 0.6 * rng.standard_normal((len(times), len(offsets)))
    return Curves(times, offsets, distance.astype(np.float32))


def result_of(curves: Curves, file: str = "talk & <b>more.mp4") -> SyncResult:
    offset = clip_offset(curves)
    track = TrackResult(7, 0, float(curves.times[0]), float(curves.times[-1]), offset, curves, 44.0, -3.0)
    model = {"name": "made-up", "version": "1.2", "hash": "abc123"}
    return SyncResult(file, 12.0, offset, (), (track,), (0.0, 5.0), (), model, curves)


def track(frames: int = 100, number: int = 7, start: float = 1.0, moving: int = 50) -> MouthTrack:
    """Still crops but for a flicker around one frame."""
    crops = np.full((frames, 111, 111), 90, np.uint8)
    crops[moving : moving + 10 : 2] = 200
    ones = np.ones(frames, np.float32)
    return MouthTrack(number, 0, start, crops, np.zeros((frames, 4), np.float32), ones, ones, ones, ones.astype(bool))


class Seen(HTMLParser):
    """Collects what a page refers to and which tags stay open."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "srcset", "data", "action")]
        if tag not in ("meta", "link", "br", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "srcset", "data", "action")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(html: str) -> Seen:
    seen = Seen()
    seen.feed(html)
    assert seen.open == []
    return seen


def test_a_report_stands_alone_and_says_it_in_words() -> None:
    result = result_of(valley(12, -120))
    found = timeline_of(result)
    html = html_report(result, found, judge_timeline(norm("ebu-r37"), found))
    seen = read(html)
    assert seen.links and all(link.startswith("data:image/") for link in seen.links)
    bare = re.sub(r'"data:image/[^"]*"', "", html)
    assert not re.search(r"https?:|//[a-z]|@import|url\(|<script", bare)
    assert re.search(r"Audio is 12\d ms early \(leads the picture\)", seen.text)
    assert re.search(r"fail: audio is 12\d ms early", seen.text)
    assert "made-up 1.2 abc123" in seen.text
    assert "<b>more" not in html  # a name is text, not markup
    assert "prefers-color-scheme: dark" in html and "@media print" in html and "width=device-width" in html
    assert html.count(">0.10 s<") == 1  # the first window's row


def test_steps_are_listed_and_no_answer_is_told() -> None:
    curves = valley(12, 80)
    result = result_of(curves)
    bands = ((0.0, 5.0, -80.0), (5.0, 12.0, 200.0))
    segments = tuple(Segment(a, b, ms, ms, (ms - 9, ms + 9), 4.0, 60) for a, b, ms in bands)
    seen = read(html_report(result, Timeline("steps", 0, 12, segments)))
    assert "Audio steps: 80 ms early from 0:00.0 to 0:05.0, 200 ms late" in seen.text
    assert "Stretches" in seen.text
    empty = replace(result, offset=None, reasons=("no face was found",), tracks=(), curves=None)
    seen = read(html_report(empty, timeline_of(empty)))
    assert "No answer: no face was found" in seen.text


def test_the_heat_map_is_dark_where_lips_and_voice_do_not_fit() -> None:
    values = heat(valley(20, 250), (0.0, 20.0))
    assert values.shape == (500, 201)
    middle = values[100:400].mean(axis=0)
    assert abs(int(middle.argmin()) - 125) <= 1
    partly = heat(valley(5, 250), (0.0, 20.0))
    assert np.isnan(partly[300:]).all() and np.isfinite(partly[:120]).all()


@pytest.mark.parametrize(("low", "high"), [(-1000, 1000), (-250, 250), (0, 5.96), (3.2, 7211.0), (0, 0.4)])
def test_ticks_are_few_and_inside(low: float, high: float) -> None:
    found = ticks(low, high, 5)
    assert 2 <= len(found) <= 11
    assert all(low <= tick <= high for tick in found)


def test_strips_show_the_liveliest_stretch_of_the_longest_tracks() -> None:
    strips = Strips()
    strips.watch(track())
    (strip,) = strips.chosen()
    assert strip.crops.shape == (FRAMES, SIDE, SIDE)
    assert strip.start <= 1.0 + 50 / 25 and strip.end >= 1.0 + 59 / 25
    strips.watch(track(start=5.0, moving=200))  # the same track goes on, still
    assert strips.chosen()[0].start == strip.start
    for number in range(100, 200):
        strips.watch(track(12, number, start=9.0 + number))
    assert len(strips.chosen()) == MOST and strips.chosen()[0].track == 7


def report_file(folder: Path) -> Path:
    """A report with every part, its sound taken from a real file."""
    sound = np.random.default_rng(1).standard_normal((1, 12 * RATE)) * np.sin(np.arange(12 * RATE) / 9000) ** 2 * 0.2
    result = result_of(valley(12, 140), str(write_wav(folder / "talk.wav", sound)))
    found = timeline_of(result)
    strips = Strips()
    strips.watch(track())
    page = folder / "report.html"
    page.write_text(html_report(result, found, judge_timeline(norm("ebu-r37"), found), strips.chosen()))
    return page


def test_the_sound_after_is_the_sound_before_put_in_place(tmp_path: Path) -> None:
    html = report_file(tmp_path).read_text()
    outlines = re.findall(r'<path class="(before|after)" d="([^"]+)"', html)
    assert [name for name, _ in outlines] == ["before", "after"]
    before, after = (np.array([float(y) for y in re.findall(r" ([-\d.]+)", path)]) for _, path in outlines)
    half = len(before) // 2
    before, after = before[:half] - 71, after[:half] - 131
    lags = {lag: float(np.corrcoef(before[lag:], after[: half - lag])[0, 1]) for lag in range(60)}
    assert max(lags, key=lambda lag: lags[lag]) == 35  # 140 ms in columns of 4 ms: what was heard late comes earlier


@pytest.mark.skipif(BROWSER is None, reason="needs a browser: apt install chromium")
@pytest.mark.parametrize(("width", "dark"), [(1000, False), (1000, True), (390, False)])
def test_a_browser_shows_it(tmp_path: Path, width: int, dark: bool) -> None:
    page = report_file(tmp_path)
    shot = screenshot(page, tmp_path / "shot.png", width, dark=dark)
    picture = cv2.imread(str(shot))
    assert picture is not None and picture.shape[1] == width
    background = picture[5, 5].mean()
    assert background < 60 if dark else background > 200
    bright = cv2.cvtColor(picture, cv2.COLOR_BGR2HSV)
    valley_colours = (bright[..., 0] > 20) & (bright[..., 0] < 75) & (bright[..., 1] > 120) & (bright[..., 2] > 150)
    assert valley_colours.sum() > 150
    red = ((bright[..., 0] < 6) | (bright[..., 0] > 174)) & (bright[..., 1] > 80) & (bright[..., 2] > 120)
    assert red.sum() > 300  # the verdict and the sound as it is


def screenshot(page: Path, out: Path, width: int, *, dark: bool = False, height: int = 2000) -> Path:
    assert BROWSER is not None
    look = ["--blink-settings=preferredColorScheme=0"] if dark else ["--blink-settings=preferredColorScheme=1"]
    command = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-device-scale-factor=1",
        f"--window-size={width},{height}", f"--screenshot={out}", f"--user-data-dir={out.parent / 'profile'}", *look,
        page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert out.is_file(), done.stderr
    return out
