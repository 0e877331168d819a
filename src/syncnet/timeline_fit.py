"""Pooled curves -> the timeline that explains them with the fewest changes (pure numpy).

One window of 0.2 s names its offset rightly about every second time, so nothing here works on windows' answers. Their
curves are pooled over short stretches (`evidence.pool`) and turned into log-likelihoods. Three models explain these:
one offset, one straight line, and a piecewise constant path. Each is tried with every shot at the film's offset and,
where there are enough shots, with shots that are each off by a little of their own (`shot_offsets`). The model with the
best penalised score wins.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from syncnet.evidence import Blocks, Evidence, best_line, best_path, evidence, independent_offsets
from syncnet.refine_offset import Refined, refine, refine_shots
from syncnet.remainder import reasons_against
from syncnet.shot_offsets import best_shot_line, shot_edges, shot_evidence
from syncnet.side import side
from syncnet.step_path import SMALLEST_STEP_MS, boundaries, cut_before, shot_boundaries, without_small_steps
from syncnet.timeline import IN_SYNC_MS, NOTICEABLE_MS, Inherited, Kind, Segment, Timeline, clock

SMALLEST_DRIFT_MS = 30.0
STEEPEST = 0.05
"""Steepest drift looked for, in seconds per second: 25 against 24 fps is 0.042."""
ENOUGH_NATS = 6.0
"""Log-likelihood above chance that an answer must reach."""
LEAST_SHOTS = 8
"""With fewer shots that speak, a shot's own offset cannot be told from a step, and none is assumed."""
SMALLEST_SHOT_STEP_MS = 60.0
"""A step smaller than this is not told from shots that happen to be off by themselves to the same side."""
_STEP_NATS = 8.0
_OWN_NATS = 4.0  # what it costs to say that shots are off by themselves
_RIVAL_NATS = 5.0  # another explanation this near is not told from the best one: odds of 150 to 1
_RIVAL_SHARE = 0.1  # of the time, in which they must differ by more than a frame to matter
_LONGEST_SILENCE_S = 3.0


@dataclass(frozen=True)
class _Model:
    """One explanation: its `score` in nats, the `bands` of time and in each the offsets at both ends of the evidence.

    `shotwise` says that every shot may be off by a little of its own.
    """

    score: float
    bands: list[tuple[float, float]]
    lines: list[tuple[float, float]]
    shotwise: bool = False

    @property
    def words(self) -> str:
        """What this explanation says of the film."""
        if len(self.bands) > 1:
            return "steps" if len(self.bands) > 2 else "a step"
        return "one offset" if self.lines[0][0] == self.lines[0][1] else "a drift"

    def at(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Its offsets in ms at the times (T,) of the evidence."""
        starts = np.array([start for start, _ in self.bands])
        first, last = np.array(self.lines)[np.searchsorted(starts, times, side="right").clip(1) - 1].T
        share = (times - times[0]) / max(float(times[-1] - times[0]), 1e-9)
        return np.asarray((first + (last - first) * share) * 1e3)


@dataclass(frozen=True)
class _Case:
    """What is to be explained, and what a change of offset costs in nats before each row."""

    found: Evidence
    offsets_s: NDArray[np.floating]
    cuts: NDArray[np.float64]
    span: tuple[float, float]
    row_costs: NDArray[np.float64]

    @property
    def guesses(self) -> float:
        """Log of the number of independent offsets."""
        return float(np.log(independent_offsets(self.offsets_s)))

    @property
    def hop_s(self) -> float:
        """Seconds between two offsets."""
        return float(self.offsets_s[1] - self.offsets_s[0])

    def bands(self, bounds: list[float]) -> list[tuple[float, float]]:
        """The stretches of time between boundaries."""
        return list(zip([self.span[0], *bounds], [*bounds, self.span[1]], strict=True))


def fit(
    blocks: Blocks, offsets_s: NDArray[np.floating], *, start_s: float, end_s: float, cuts_s: Sequence[float] = ()
) -> Timeline:
    """Explain pooled curves by one of the kinds of timeline.

    `blocks` of every track of the file (`evidence.pool`, `evidence.join`), `offsets_s` (M,) the candidate offsets in
    seconds, evenly spaced; `start_s`..`end_s` the span to cover; `cuts_s` the times of shot cuts.
    """
    if blocks.curves.shape[1:] != (len(offsets_s),) or len(offsets_s) < 3:
        raise ValueError(f"{blocks.curves.shape[1:]} columns do not belong to {len(offsets_s)} offsets")
    if not len(blocks.slots):
        return Timeline("undecided", start_s, end_s, reasons=("no window with both a face and sound",))
    cuts = np.array(sorted(t for t in cuts_s if start_s < t < end_s))
    guesses = np.log(independent_offsets(offsets_s))
    dear = guesses + np.log(len(np.unique(blocks.slots))) + _STEP_NATS
    found = evidence(blocks, offsets_s, switch_cost=float(dear))
    cheap = min(dear, guesses + np.log1p(len(cuts)) + _STEP_NATS)
    costs = np.where(cut_before(found.times, cuts, blocks.span_s), cheap, dear)
    case = _Case(found, offsets_s, cuts, (start_s, end_s), costs)
    edges = shot_edges(found.times, cuts, blocks.span_s)
    models = [*_plain_models(case), *_shotwise_models(case, edges)]
    best = max(models, key=lambda model: model.score)
    if best.score < ENOUGH_NATS:
        reached = f"{best.score:.1f} nats above chance, {ENOUGH_NATS:.0f} needed"
        reason = f"the windows do not agree on any offset ({reached})"
        return Timeline("undecided", start_s, end_s, evidence_nats=best.score, reasons=(reason,))
    refined = [
        refine_shots(blocks, found, offsets_s, edges, band, line)
        if best.shotwise
        else refine(blocks, found, offsets_s, band, line)
        for band, line in zip(best.bands, best.lines, strict=True)
    ]
    whole = _assemble(best, refined, case, edges)
    return replace(whole, reasons=(*_rivals(best, models, found.times), *whole.reasons))


def _rivals(best: _Model, models: Sequence[_Model], times: NDArray[np.float64]) -> tuple[str, ...]:
    """What speaks against the best explanation: another one, by which the film is off otherwise, is about as good."""
    here = best.at(times)
    for model in sorted(models, key=lambda m: -m.score):
        there = model.at(times)
        apart = np.abs(there - here)
        if best.score - model.score < _RIVAL_NATS and (apart > NOTICEABLE_MS).mean() > _RIVAL_SHARE:
            where = int(apart.argmax())
            offsets = f"{side(there[where])} instead of {side(here[where])} at {clock(float(times[where]))}"
            return (f"{model.words} would explain it as well as {best.words}: {offsets}",)
    return ()


def _plain_models(case: _Case) -> list[_Model]:
    """Explanations in which every shot is at the film's offset."""
    found, offsets_s = case.found, case.offsets_s
    total = found.support.sum(axis=0)
    one = (float(offsets_s[int(total.argmax())]),) * 2
    models = [_Model(float(total.max()) - case.guesses, [case.span], [one])]
    first, last, score = best_line(found, offsets_s, STEEPEST)
    if abs(last - first) * 1e3 >= SMALLEST_DRIFT_MS:
        models.append(_Model(score - 2 * case.guesses - _STEP_NATS, [case.span], [(first, last)]))
    path, score = best_path(found.support, case.row_costs)
    path = without_small_steps(path, found.support, offsets_s, SMALLEST_STEP_MS)
    if len(np.unique(path)) > 1:
        bands = case.bands(boundaries(path, found, case.cuts))
        models.append(_Model(score - case.guesses, bands, _levels(path, offsets_s)))
    return models


def _shotwise_models(case: _Case, edges: NDArray[np.int64]) -> list[_Model]:
    """The same with shots that are each off by a little of their own; none where too few shots speak."""
    found, offsets_s = case.found, case.offsets_s
    shots = shot_evidence(found, offsets_s, edges)
    real = np.searchsorted(case.cuts, shots.times)
    speaking = len(np.unique(real[shots.own.max(axis=1) > ENOUGH_NATS]))
    if speaking < LEAST_SHOTS:
        return []
    total = shots.support.sum(axis=0)
    one = (float(offsets_s[int(total.argmax())]),) * 2
    models = [_Model(float(total.max()) - case.guesses - _OWN_NATS, [case.span], [one], True)]
    first, last, score = best_shot_line(found, offsets_s, edges, STEEPEST)
    if abs(last - first) * 1e3 >= SMALLEST_DRIFT_MS:
        penalty = 2 * case.guesses + _STEP_NATS + _OWN_NATS
        models.append(_Model(score - penalty, [case.span], [(first, last)], True))
    path, score = best_path(shots.support, case.guesses + float(np.log(len(shots.times))) + _STEP_NATS)
    path = without_small_steps(path, shots.support, offsets_s, SMALLEST_SHOT_STEP_MS)
    if len(np.unique(path)) > 1:
        bands = case.bands(shot_boundaries(path, shots, found, case.cuts, case.hop_s))
        models.append(_Model(score - case.guesses - _OWN_NATS, bands, _levels(path, offsets_s), True))
    return models


def _levels(path: NDArray[np.int64], offsets_s: NDArray[np.floating]) -> list[tuple[float, float]]:
    starts = np.flatnonzero(np.diff(path, prepend=path[0] - 1))
    return [(float(offsets_s[path[k]]),) * 2 for k in starts]


def _assemble(best: _Model, refined: list[Refined], case: _Case, edges: NDArray[np.int64]) -> Timeline:
    bands, offsets_s = best.bands, case.offsets_s
    segments = tuple(
        Segment(start, end, r.at(start) * 1e3, r.at(end) * 1e3, r.interval_ms, r.confidence, r.windows)
        for (start, end), r in zip(bands, refined, strict=True)
    )
    rate = refined[0].slope * 60e3 if len(refined) == 1 else 0.0
    bounds = refined[0].rate_interval if len(refined) == 1 else (0.0, 0.0)
    shell = Timeline("undecided", bands[0][0], bands[-1][1], segments, (), rate, bounds, best.score)
    kind = _kind(shell)
    reasons = []
    edge = float(min(-offsets_s[0], offsets_s[-1])) - 0.025
    if any(abs(ms) >= edge * 1e3 for s in segments for ms in (s.start_ms, s.end_ms)):
        searched = f"±{offsets_s[-1] * 1e3:.0f} ms"
        reasons.append(f"the offset lies at the edge of the range searched ({searched}): search wider")
    if any(s.interval_ms[1] - s.interval_ms[0] > 2 * NOTICEABLE_MS for s in segments):
        reasons.append("the offset is not pinned down: its 95 % interval is wider than two frames")
    reasons += reasons_against(shell, case.found, offsets_s, edges)
    inherited = _inherited(shell, case.found, offsets_s, case.cuts)
    return replace(shell, kind=kind, inherited=inherited, reasons=tuple(reasons))


def _kind(timeline: Timeline) -> Kind:
    segments = timeline.segments
    if all(abs(ms) <= IN_SYNC_MS for s in segments for ms in (s.start_ms, s.end_ms)):
        return "in sync"
    if len(segments) == 1:
        return "drift" if segments[0].start_ms != segments[0].end_ms else "constant"
    off = [abs(s.offset_ms) > NOTICEABLE_MS for s in segments]
    turns = sum(a != b for a, b in pairwise(off))
    return "intermittent" if turns >= 3 else "steps"


def _inherited(
    timeline: Timeline, found: Evidence, offsets_s: NDArray[np.floating], cuts: NDArray[np.float64]
) -> tuple[Inherited, ...]:
    """Shots, or without cuts long stretches, in which nothing speaks for the offset that they are given."""
    offsets = [timeline.at(float(t)) / 1e3 for t in found.times]
    column = np.rint(np.interp(offsets, offsets_s, np.arange(len(offsets_s)))).astype(np.int64)
    support = found.support[np.arange(len(found.times)), column]
    edges = np.unique([timeline.start_s, *cuts, timeline.end_s])
    if not len(cuts):
        gaps = np.concatenate([[timeline.start_s], found.times, [timeline.end_s]])
        wide = np.flatnonzero(np.diff(gaps) > _LONGEST_SILENCE_S)
        spans = [(float(gaps[k]), float(gaps[k + 1])) for k in wide]
    else:
        spans = [
            (float(a), float(b))
            for a, b in pairwise(edges)
            if support[(found.times >= a) & (found.times < b)].sum() < 1.0
        ]
    return tuple(Inherited(a, b, timeline.at((a + b) / 2)) for a, b in spans)
