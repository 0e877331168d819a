"""From curves to the offset between sound and picture, how sure it is, and why it should not be trusted.

Sign: offset = audio time - video time of the same event. Negative: audio is early (leads). Positive: audio is late.

The method is that of Chung & Zisserman, "Out of time: automated lip sync in the wild" (2016): the offset of a window is
where its distance is least, its confidence the median of the distances less the least one. Over a clip the curves are
averaged, or the windows' own offsets are, weighted by confidence or without the unsure ones.
"""

from dataclasses import dataclass, replace

import numpy as np

from syncnet.combine import LEAST_RUNS, RUN_S, bootstrap_interval, dropped_mean, mean_curve, weighted_mean
from syncnet.curves import HOP_S, Curves, Floats, WindowOffsets, distances, minima, window_offsets
from syncnet.errors import NoAnswer
from syncnet.side import side

__all__ = [
    "HOP_S",
    "ClipOffset",
    "Curves",
    "TrustLimits",
    "WindowOffsets",
    "assess",
    "bootstrap_interval",
    "clip_offset",
    "distances",
    "dropped_mean",
    "in_words",
    "mean_curve",
    "weighted_mean",
    "window_offsets",
]

JUST_NOTICEABLE_MS = 10.0  # one hop; nobody sees less, and nothing here claims to measure less


@dataclass(frozen=True)
class TrustLimits:
    """What an answer must reach to be trusted; distances lie within 0...20."""

    window_confidence: float = 2.0  # median - min from which one window counts as sure by itself
    windows: int = 10  # sure windows
    confidence: float = 1.0  # median - min of the clip's curve
    interval_ms: float = 200.0  # width of the 95 % interval
    agree_ms: float = 80.0  # windows this near to the answer agree with it
    agree_sigmas: float = 2.0  # by how many standard errors they must be more than chance would have it
    windows_per_draw: int = 5  # so many neighbours overlap and say as much as one; as many as a window sees frames
    rival_ms: float = 200.0  # from here on another minimum is another answer, not the flank of this one
    rival_depth: float = 0.85  # depth of the second minimum, as a share of the first one's


@dataclass(frozen=True)
class ClipOffset:
    """The answer for a clip.

    offset_ms, confidence, at_edge: of the minimum of `curve`, the confidence-weighted mean over windows, (M,) float64
    over `offsets_s`, NaN where too few windows have sound. interval_ms: 95 % bootstrap interval, None for clips too
    short for one (under about 1.5 s). windows_used: windows that are sure by themselves, of windows_total that have
    sound; the others count by their confidence. weighted_ms: the windows' own offsets, averaged by confidence;
    dropped_ms: averaged without the unsure ones, None if that leaves none.
    reasons: why not to trust the answer, in words; empty if nothing speaks against it.
    """

    offset_ms: float
    confidence: float
    at_edge: bool
    interval_ms: tuple[float, float] | None
    windows_used: int
    windows_total: int
    weighted_ms: float
    dropped_ms: float | None
    offsets_s: Floats
    curve: Floats
    windows: WindowOffsets
    reasons: tuple[str, ...] = ()

    @property
    def trusted(self) -> bool:
        """Whether nothing speaks against the answer."""
        return not self.reasons


def clip_offset(curves: Curves, limits: TrustLimits | None = None, seed: int = 0) -> ClipOffset:
    """Read the offset of a clip from the curves of its windows.

    The answer is the minimum of the mean curve, each window weighted by its confidence. `seed` is the bootstrap's.
    Raises NoAnswer if no window has sound beside it, or all are alike at every offset.
    """
    limits = limits or TrustLimits()
    windows = window_offsets(curves)
    if not np.isfinite(windows.confidence).any():
        raise NoAnswer("No window of picture has sound within the range of offsets.")
    weighted = weighted_mean(windows.offset_ms, windows.confidence)
    curve = mean_curve(curves, windows.confidence)
    if not np.isfinite(curve).any():
        raise NoAnswer("There is too little sound beside the picture to compare them at any one offset.")
    offset, _, confidence, at_edge = (column[0] for column in minima(curve[None], curves.offsets_s))
    interval = bootstrap_interval(curves, windows.confidence, seed)
    sure = windows.confidence >= limits.window_confidence
    answer = ClipOffset(
        offset_ms=float(offset),
        confidence=float(confidence),
        at_edge=bool(at_edge),
        interval_ms=interval and (min(interval[0], float(offset)), max(interval[1], float(offset))),
        windows_used=int(sure.sum()),
        windows_total=int(np.isfinite(windows.confidence).sum()),
        weighted_ms=weighted,
        dropped_ms=float(windows.offset_ms[sure].mean()) if sure.any() else None,
        offsets_s=curves.offsets_s,
        curve=curve,
        windows=windows,
    )
    return replace(answer, reasons=assess(answer, limits))


def assess(clip: ClipOffset, limits: TrustLimits) -> tuple[str, ...]:
    """Say in words what speaks against an answer; nothing said means trust."""
    reasons = []
    if clip.confidence < limits.confidence:
        reasons.append(f"the confidence is low: {clip.confidence:.1f}, wanted {limits.confidence:g}")
    if clip.at_edge:
        reasons.append(
            f"the best offset, audio {side(clip.offset_ms)}, lies at the edge of the range that has sound: "
            "the true one may be outside"
        )
    if clip.windows_used < limits.windows:
        reasons.append(
            f"too few windows are sure: {clip.windows_used} of {clip.windows_total}, wanted {limits.windows}"
        )
    if clip.interval_ms is None:
        reasons.append(f"too short for an interval, which takes {LEAST_RUNS * RUN_S:g} s of speech")
    elif clip.interval_ms[1] - clip.interval_ms[0] > limits.interval_ms:
        low, high = clip.interval_ms
        reasons.append(f"the interval is wide: from {side(low)} to {side(high)}")
    agree, needed = agreement(clip, limits)
    if agree < needed:
        reasons.append(
            f"the windows disagree: {agree:.0%} lie within {limits.agree_ms:g} ms of the answer, "
            f"chance alone explains up to {needed:.0%}"
        )
    rival_ms, depth = _rival(clip, limits)
    if depth >= limits.rival_depth:
        reasons.append(f"another offset, audio {side(rival_ms)}, fits about as well ({depth:.0%} as deep)")
    return tuple(reasons)


def in_words(offset_ms: float) -> str:
    """Say an offset so that nobody needs to know the sign convention."""
    if round(abs(offset_ms)) < JUST_NOTICEABLE_MS:
        return f"audio and picture are in sync (within {JUST_NOTICEABLE_MS:g} ms)"
    return f"audio is {side(offset_ms)} ({'lags' if offset_ms > 0 else 'leads'} the picture)"



def agreement(clip: ClipOffset, limits: TrustLimits) -> tuple[float, float]:
    """Share of windows within `limits.agree_ms` of the answer, 0 to 1, and the share that chance would reach."""
    offsets = clip.windows.offset_ms[np.isfinite(clip.windows.offset_ms)]
    hop_ms = HOP_S * 1000.0
    span_ms = float(clip.offsets_s[-1] - clip.offsets_s[0]) * 1000.0
    chance = min((2.0 * limits.agree_ms + hop_ms) / (span_ms + hop_ms), 1.0)
    spread = np.sqrt(chance * (1.0 - chance) * limits.windows_per_draw / len(offsets))
    share = np.mean(np.abs(offsets - clip.offset_ms) <= limits.agree_ms)
    return float(share), float(min(chance + limits.agree_sigmas * spread, 1.0))


def _rival(clip: ClipOffset, limits: TrustLimits) -> tuple[float, float]:
    """Offset (ms) of the deepest other minimum of the curve, and its depth as a share of the first one's."""
    curve = np.where(np.isfinite(clip.curve), clip.curve, np.inf)
    beside = np.concatenate([[np.inf], curve, [np.inf]])
    offsets_ms = clip.offsets_s * 1000.0
    far = np.abs(offsets_ms - clip.offset_ms) >= limits.rival_ms
    others = np.flatnonzero(far & np.isfinite(curve) & (curve <= beside[:-2]) & (curve <= beside[2:]))
    if len(others) == 0 or clip.confidence <= 0.0:
        return float("nan"), 0.0
    other = others[curve[others].argmin()]
    return float(offsets_ms[other]), float((np.nanmedian(clip.curve) - curve[other]) / clip.confidence)
