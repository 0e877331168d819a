"""A verdict on an offset by a broadcaster's norm or one's own tolerance: pass, warn, fail, or none possible.

Sign as everywhere: negative is early (the sound leads), positive is late (it lags). Norms are quoted in words because
they use the opposite sign as often as this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from syncnet.errors import InputError
from syncnet.side import side
from syncnet.timeline import Timeline, clock

State = Literal["pass", "warn", "fail", "none"]


@dataclass(frozen=True)
class Tolerance:
    """How far the sound may be off: `lead_ms` early and `lag_ms` late at most, both positive.

    Norms that tell apart what people notice from what they accept have the first as `notice_lead_ms`, `notice_lag_ms`:
    between the two the verdict is a warning.
    """

    name: str
    title: str
    lead_ms: float
    lag_ms: float
    notice_lead_ms: float | None = None
    notice_lag_ms: float | None = None

    @property
    def words(self) -> str:
        """The limits in words."""
        limits = f"at most {self.lead_ms:g} ms early and {self.lag_ms:g} ms late"
        if self.notice_lead_ms is None or self.notice_lag_ms is None:
            return f"{self.title}: {limits}"
        return (
            f"{self.title}: {limits} accepted; from {self.notice_lead_ms:g} ms early or {self.notice_lag_ms:g} ms late "
            "people notice"
        )

    @property
    def range_ms(self) -> tuple[float, float]:
        """The offsets allowed, in this package's sign: (-lead, +lag)."""
        return -self.lead_ms, self.lag_ms


NORMS = {
    norm.name: norm
    for norm in (
        Tolerance("itu-r-bt1359", "Recommendation ITU-R BT.1359-1", 90, 185, 45, 125),
        Tolerance("ebu-r37", "EBU R37, end of the chain", 40, 60),
        Tolerance("atsc-is191", "ATSC IS-191", 15, 45),
        Tolerance("film", "film practice, one frame early and two late at 24 fps", 42, 83),
    )
}
"""The norms by the names that `--norm` takes."""


@dataclass(frozen=True)
class Verdict:
    """`state` by `tolerance`, why in a sentence, and the offset that is furthest out (None without one)."""

    state: State
    tolerance: Tolerance
    worst_ms: float | None
    words: str

    @property
    def exit_code(self) -> int:
        """What `--check` returns: 0 pass or warn, 1 fail, 3 no verdict possible."""
        return {"pass": 0, "warn": 0, "fail": 1, "none": 3}[self.state]


def norm(name: str) -> Tolerance:
    """The norm of a name; raises InputError that lists them."""
    if name not in NORMS:
        raise InputError(f"no norm is called {name}; there are: {', '.join(NORMS)}.")
    return NORMS[name]


def tolerance(text: str) -> Tolerance:
    """Read "LEAD,LAG" in ms, both positive, such as "40,60"; raises InputError for anything else."""
    try:
        lead, lag = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--tolerance takes LEAD,LAG in ms, such as 40,60 (early, late), not {text!r}.") from None
    if not (0 <= lead < 1e5 and 0 <= lag < 1e5):
        raise InputError(f"--tolerance takes two positive numbers, LEAD,LAG in ms, not {text!r}.")
    return Tolerance("own", "own tolerance", lead, lag)


def judge(
    limits: Tolerance,
    offset_ms: float | None,
    interval_ms: tuple[float, float] | None = None,
    *,
    trusted: bool = True,
    reasons: Sequence[str] = (),
) -> Verdict:
    """Judge one offset with its 95 % interval (None: not known).

    Fail: the offset is outside. Warn: it is inside, but people notice it, its interval reaches outside, or it is not
    to be trusted. None: there is no offset, or one outside that is not to be trusted.
    """
    if offset_ms is None:
        return Verdict("none", limits, None, f"no verdict: {'; '.join(reasons) or 'there is no answer'}")
    stands, but = side(offset_ms), "; ".join(reasons) or "it is unsure"
    low, high = limits.range_ms
    if not low <= offset_ms <= high:
        if not trusted:
            return Verdict("none", limits, offset_ms, f"no verdict: audio seems {stands}, but {but}")
        return Verdict("fail", limits, offset_ms, f"fail: audio is {stands}, allowed is {_allowed(limits)}")
    if not trusted:
        return Verdict("warn", limits, offset_ms, f"warning: audio seems {stands}, but {but}")
    if interval_ms is not None and not (low <= interval_ms[0] and interval_ms[1] <= high):
        reach = f"its 95 % interval, {side(interval_ms[0])} to {side(interval_ms[1])}, leaves {_allowed(limits)}"
        return Verdict("warn", limits, offset_ms, f"warning: audio is {stands}; {reach}")
    if _noticed(limits, offset_ms):
        return Verdict("warn", limits, offset_ms, f"warning: audio is {stands}: accepted, but people notice it")
    return Verdict("pass", limits, offset_ms, f"pass: audio is {stands}, allowed is {_allowed(limits)}")


def _noticed(limits: Tolerance, offset_ms: float) -> bool:
    if limits.notice_lead_ms is None or limits.notice_lag_ms is None:
        return False
    return not -limits.notice_lead_ms <= offset_ms <= limits.notice_lag_ms


def judge_timeline(limits: Tolerance, found: Timeline) -> Verdict:
    """Judge a file over time by its worst stretch."""
    if not found.segments:
        return judge(limits, None, reasons=found.reasons)
    verdicts: list[tuple[int, float, Verdict, float]] = []
    for segment in found.segments:
        half = [bound - segment.offset_ms for bound in segment.interval_ms]
        for time, offset in ((segment.start_s, segment.start_ms), (segment.end_s, segment.end_ms)):
            one = judge(
                limits, offset, (offset + half[0], offset + half[1]), trusted=found.trusted, reasons=found.reasons
            )
            excess = max(-limits.lead_ms - offset, offset - limits.lag_ms)
            verdicts.append((("pass", "warn", "none", "fail").index(one.state), excess, one, time))
    _, _, worst, time = max(verdicts, key=lambda v: v[:2])
    if len(found.segments) == 1 and found.kind != "drift":
        return worst
    return Verdict(worst.state, limits, worst.worst_ms, f"{worst.words} (worst at {clock(time)})")


def _allowed(limits: Tolerance) -> str:
    return f"{limits.lead_ms:g} ms early to {limits.lag_ms:g} ms late ({limits.name})"
