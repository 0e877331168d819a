"""Cleaning a training set with a trained network: keep what fits, re-align what is steadily off, refuse the rest.

After the refinement of Chung & Zisserman, "Out of time: automated lip sync in the wild" (2016): train on everything,
discard what the network rejects, train again. Sign: offset = audio time - video time; negative audio early.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from syncnet.model.fits import Fit, offsets_ms
from syncnet.model.natural import (
    Evidence,
    best_offset,
    error_constant,
    group_offset,
    group_spread,
    peak_at,
    score_at,
    scores,
    shrunk,
)
from syncnet.model.separation import LEAST, NOTHING, Line, classes, draw_line
from syncnet.model.shards import Clip
from syncnet.side import side

Word = Literal["kept", "re-aligned", "cut", "dropped", "not scored"]


@dataclass(frozen=True)
class RefineConfig:
    """How strict the cleaning is."""

    found: float = 0.92  # share of strangers' sound that the line must refuse ...
    lost: float = 0.02  # ... unless it would refuse more than this share of good clips (estimated): then it is lowered
    lost_pieces: float = 0.04  # the same for a piece of a clip, which costs less
    tolerance_ms: float = 40.0  # around the expected offset, within which the sound must fit
    classes: tuple[int, ...] = (46, 96)  # windows: clips under 2 s, 2 to 4 s, longer ones have lines of their own
    own_windows: int = 46  # a clip of fewer windows (2 s) never gets an offset of its own
    halves_ms: float = 60.0  # halves of a clip must agree so far for an offset far from what is expected
    far_ms: float = 120.0  # further than this from the expected offset is another offset, not scatter
    rival: float = 0.5  # a clip that fits where expected is moved only if that scores less than this share of the other
    least_ms: float = 10.0  # smaller corrections are not made
    silence_db: float = -60.0  # quieter than this is silence
    least_frames: int = 20  # stretches shorter than this teach little


@dataclass(frozen=True)
class Verdict:
    """What becomes of one clip and why; spans: the frames that stay (half-open). offset_ms: the correction to be made
    on top of the clip's own offset (audio time - video time), score and line: how it fitted, and what was asked."""

    word: Word
    reason: str
    spans: tuple[tuple[int, int], ...]
    offset_ms: float = 0.0
    score: float | None = None
    line: float | None = None
    windows: int = 0


@dataclass(frozen=True)
class Refined:
    """Verdicts in the order of the clips, the line of each length class, and the steady offset of corpora (ms)."""

    verdicts: tuple[Verdict, ...]
    lines: tuple[Line, ...]
    corpus_ms: dict[str, float]
    speaker_ms: dict[str, float]


def judge(clips: Sequence[Clip], fits: Sequence[Fit | None], config: RefineConfig) -> Refined:
    """Decide about every clip from the fits of all: a pure function, so that other settings cost nothing."""
    offsets = offsets_ms()
    fits = without_bias(fits, config)
    own = [None if fit is None else _evidence(fit) for fit in fits]
    corpus_ms, speaker_ms = _expected(clips, own, offsets)
    expected = [speaker_ms.get(c.speaker, corpus_ms.get(c.corpus, 0.0)) for c in clips]
    clip_lines, piece_lines = _lines(fits, expected, config)
    passed = []
    for fit, evidence, centre in zip(fits, own, expected, strict=True):
        if fit is None or evidence is None:
            passed.append(False)
            continue
        line = clip_lines[int(classes([evidence.windows], config.classes)[0])]
        passed.append(score_at(evidence, offsets, centre, config.tolerance_ms) >= line.score)
    shifts = _own_offsets(clips, fits, expected, passed, config)
    verdicts = []
    for n, (clip, fit, evidence) in enumerate(zip(clips, fits, own, strict=True)):
        if fit is None or evidence is None:
            verdicts.append(Verdict("not scored", "not scored", ((0, clip.frames),),
                                    expected[n] if abs(expected[n]) >= config.least_ms else 0.0))
            continue
        line = clip_lines[int(classes([evidence.windows], config.classes)[0])]
        verdicts.append(_verdict(clip, fit, evidence, expected[n], shifts[n], line, piece_lines, config))
    return Refined(tuple(verdicts), tuple(clip_lines), corpus_ms, speaker_ms)


def without_bias(fits: Sequence[Fit | None], config: RefineConfig) -> list[Fit | None]:
    """Fits, those of clips too short for an offset of their own less what strangers' sound reaches on average there.

    Clips hardly longer than the range look deepest where their picture meets the start or the end of a sound, whoever's
    it is: without this, thousands of short clips would agree on an offset that none of them has.
    """
    short = [fit for fit in fits if fit is not None and fit.windows.sum() < config.own_windows]
    if len(short) < LEAST:
        return list(fits)
    strange = [fit for fit in short if len(fit.stranger_depth)]
    depth = np.sum([np.nan_to_num(fit.stranger_depth).mean(0).sum(0) for fit in strange], axis=0)
    bias = depth / np.maximum(np.sum([fit.known.sum(0) for fit in strange], axis=0), 1.0)
    return [fit if fit is None or fit.windows.sum() >= config.own_windows else replace(
        fit, depth=fit.depth - fit.known * bias, stranger_depth=fit.stranger_depth - fit.known * bias) for fit in fits]


def _evidence(fit: Fit, pieces: slice = slice(None)) -> Evidence:
    return Evidence(fit.depth[pieces].sum(axis=0, dtype=np.float64), fit.known[pieces].sum(axis=0, dtype=np.float64),
                    int(fit.windows[pieces].sum()))


def _strange(fit: Fit, stranger: int, pieces: slice = slice(None)) -> Evidence:
    return Evidence(fit.stranger_depth[stranger, pieces].sum(axis=0, dtype=np.float64),
                    fit.known[pieces].sum(axis=0, dtype=np.float64), int(fit.windows[pieces].sum()))


def _expected(clips: Sequence[Clip], own: Sequence[Evidence | None], offsets: NDArray[np.float64]
              ) -> tuple[dict[str, float], dict[str, float]]:
    """Steady offsets (ms) of the corpora and of the speakers that have one."""
    by_corpus: dict[str, list[Evidence]] = defaultdict(list)
    by_speaker: dict[str, list[Evidence]] = defaultdict(list)
    corpus_of = {}
    for clip, evidence in zip(clips, own, strict=True):
        if evidence is not None:
            by_corpus[clip.corpus].append(evidence)
            by_speaker[clip.speaker].append(evidence)
            corpus_of[clip.speaker] = clip.corpus
    found = {name: group_offset(members, offsets) for name, members in by_corpus.items()}
    corpora = {name: offset for name, offset in found.items() if offset is not None}
    near = {name: group_offset(members, offsets, around_ms=corpora.get(corpus_of[name], 0.0))
            for name, members in by_speaker.items()}
    return corpora, {name: offset for name, offset in near.items() if offset is not None}


def _lines(fits: Sequence[Fit | None], expected: Sequence[float], config: RefineConfig
           ) -> tuple[list[Line], list[Line]]:
    """The lines of clips and of pieces by length class; a class too small for one takes that of the next shorter."""
    offsets = offsets_ms()
    count = len(config.classes) + 1
    tables: dict[str, list[tuple[list[float], list[float], list[float]]]] = {
        kind: [([], [], []) for _ in range(count)] for kind in ("clip", "piece")}
    for fit, centre in zip(fits, expected, strict=True):
        if fit is None:
            continue
        cuts = {"clip": [slice(None)], "piece": [slice(p, p + 1) for p in range(len(fit.windows))]}
        for kind, parts in cuts.items():
            for part in parts:
                windows = int(fit.windows[part].sum())
                score = score_at(_evidence(fit, part), offsets, centre, config.tolerance_ms)
                if not np.isfinite(score):  # no sound there, neither its own nor a stranger's: nothing to compare
                    continue
                observed, strange, best = tables[kind][int(classes([windows], config.classes)[0])]
                observed.append(score)
                for s in range(len(fit.stranger_depth)):
                    other = _strange(fit, s, part)
                    strange.append(score_at(other, offsets, centre, config.tolerance_ms))
                    best.append(float(np.nanmax(scores(other), initial=-np.inf)))
    return _by_class(tables["clip"], config), _by_class(tables["piece"], replace(config, lost=config.lost_pieces))


def _by_class(table: Sequence[tuple[list[float], list[float], list[float]]], config: RefineConfig) -> list[Line]:
    lines: list[Line] = []
    for observed, strange, best in table:
        own = draw_line(np.array(observed), np.array(strange), np.array(best), found=config.found, lost=config.lost)
        lines.append(own if own.clips or not lines else lines[-1])
    if lines[0] is NOTHING:  # the shortest class has no shorter one: take the next that has a line
        lines[0] = next((line for line in lines if line.clips), NOTHING)
    return lines


def _own_offsets(clips: Sequence[Clip], fits: Sequence[Fit | None], expected: Sequence[float],
                 passed: Sequence[bool], config: RefineConfig) -> list[float]:
    """Each clip's offset (ms), drawn towards its group's; its group's where it is too short to have its own."""
    offsets = offsets_ms()
    own, halves = np.full(len(clips), np.nan), []
    for n, (fit, centre, fine) in enumerate(zip(fits, expected, passed, strict=True)):
        if fit is None or not fine or fit.windows.sum() < config.own_windows:
            continue
        own[n] = best_offset(_evidence(fit), offsets, centre)
        if len(fit.windows) > 1:
            a, b = _halves(fit, centre)
            halves.append((a, b, int(fit.windows.sum())))
    constant = error_constant(halves)
    groups: dict[str, list[int]] = defaultdict(list)
    for n in np.flatnonzero(np.isfinite(own)).tolist():
        groups[clips[n].corpus].append(n)
    spread = {}
    for name, members in groups.items():
        variances = [constant / fits[n].windows.sum() for n in members]  # type: ignore[union-attr]
        away = [float(own[n] - expected[n]) for n in members]
        spread[name] = group_spread(away, variances, 0.0)
    shifts = []
    for n, (clip, fit) in enumerate(zip(clips, fits, strict=True)):
        variance = constant / fit.windows.sum() if fit is not None else float("inf")
        shifts.append(shrunk(float(own[n]), variance, expected[n], spread.get(clip.corpus, 0.0)))
    return shifts


def _halves(fit: Fit, around_ms: float | None) -> tuple[float, float]:
    """The offsets that the two halves of a clip of several pieces find by themselves (ms, NaN: none)."""
    middle = len(fit.windows) // 2
    first, second = (best_offset(_evidence(fit, part), offsets_ms(), around_ms)
                     for part in (slice(0, middle), slice(middle, None)))
    return first, second


def _verdict(clip: Clip, fit: Fit, evidence: Evidence, centre: float, shift: float, line: Line,
             piece_lines: Sequence[Line], config: RefineConfig) -> Verdict:
    offsets = offsets_ms()
    whole = ((0, clip.frames),)
    score = score_at(evidence, offsets, centre, config.tolerance_ms)

    def told(word: Word, reason: str, spans: tuple[tuple[int, int], ...], offset: float = 0.0) -> Verdict:
        return Verdict(word, reason, spans, round(offset, 1), round(score, 2) if np.isfinite(score) else None,
                       round(line.score, 2) if np.isfinite(line.score) else None, evidence.windows)

    if (fit.level_db < config.silence_db).all():
        return told("dropped", "silence", ())
    far = _far_offset(fit, evidence, centre, score, line, config)
    if far is not None:
        return told("re-aligned", f"sound steadily {side(far)}", whole, far)
    if not np.isfinite(score):
        return told("dropped", "too little sound beside the lips", ())
    if score < line.score:
        agree = _votes(fit, centre, config)
        return told("dropped", f"sound does not fit the lips ({agree:.0%} of windows agree): dubbed, voice-over, "
                               "off-screen or off by an unclear time", ())
    offset = shift if abs(shift) >= config.least_ms else 0.0
    spans = _spans(fit, clip, offset, piece_lines, config)
    if not spans:
        return told("dropped", "no stretch of it fits the lips", ())
    source = "" if abs(shift - centre) < 1.0 or not offset else " (its own)"
    if spans != whole:
        lost = clip.frames - sum(b - a for a, b in spans)
        return told("cut", f"{lost} frames fit no sound; rest {side(offset)}", spans, offset)
    if offset:
        return told("re-aligned", f"sound {side(offset)}{source}", whole, offset)
    return told("kept", "fits", whole)


def _far_offset(fit: Fit, evidence: Evidence, centre: float, score: float, line: Line, config: RefineConfig
                ) -> float | None:
    """Another offset that the whole clip and both its halves agree on, if it fits better than chance ever does, and
    much better than the expected one (whose score is `score`)."""
    if evidence.windows < config.own_windows or not np.isfinite(line.high):
        return None
    offsets = offsets_ms()
    best = best_offset(evidence, offsets)
    if not np.isfinite(best) or abs(best - centre) <= config.far_ms:
        return None
    reached = peak_at(evidence, offsets, best, 10.0)
    here = peak_at(evidence, offsets, centre, config.tolerance_ms)
    if reached < line.high or (score >= line.score and here > config.rival * reached):
        return None
    if len(fit.windows) > 1:
        a, b = _halves(fit, None)
        if not (abs(a - best) <= config.halves_ms and abs(b - best) <= config.halves_ms):
            return None
    return best


def _votes(fit: Fit, centre: float, config: RefineConfig) -> float:
    """Share of a clip's windows that prefer about the expected offset by themselves."""
    near = np.abs(offsets_ms() - centre) <= config.tolerance_ms
    return float(fit.votes[:, near].sum() / max(1.0, fit.votes.sum()))


def _spans(fit: Fit, clip: Clip, offset: float, lines: Sequence[Line], config: RefineConfig
           ) -> tuple[tuple[int, int], ...]:
    """The stretches of a clip that fit: pieces below the line of their length, or silent, go."""
    if len(fit.windows) == 1:
        return ((0, clip.frames),)
    kept: list[list[int]] = []
    for p, (first, last) in enumerate(fit.spans.tolist()):
        line = lines[int(classes([int(fit.windows[p])], config.classes)[0])]
        score = score_at(_evidence(fit, slice(p, p + 1)), offsets_ms(), offset, config.tolerance_ms)
        if score < line.score or fit.level_db[p] < config.silence_db:
            continue
        if kept and kept[-1][1] == first:
            kept[-1][1] = last
        else:
            kept.append([first, last])
    judged = int(fit.spans[-1][1])
    if kept and kept[-1][1] == judged < clip.frames:
        kept[-1][1] = clip.frames  # what was not judged goes with what was
    return tuple((a, b) for a, b in kept if b - a >= config.least_frames)
