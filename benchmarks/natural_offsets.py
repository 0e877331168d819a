"""Which dev clips are not in sync as published: the network's answer beside two witnesses that know no network of ours.

python benchmarks/natural_offsets.py [--model NAME] [--write]

The lips: how far they stand apart (landmarks, in units of the face) is correlated with how loud the sound is, both less
their mean over a second. Lips open somewhat before the voice is loudest; how long before is measured on train clips
(their median) and taken off. The ridge: a linear map between LR-ASD's features of picture and sound (ridge.py).

A clip is listed when the network trusts an offset of over 40 ms and a witness stands within 60 ms of that and nearer to
it than to 0, fitting there better than 95 % of strangers' sound fits within 60 ms of any one place. Mind that the
witnesses only say where, to a frame or two; the offset listed is the network's. `--write` puts the listed clips into
natural_offsets.csv, without which benchmarks/accuracy.py prints its tables a second time. The last lines need no list:
how often the ridge, where it fits so well anywhere, stands at 0 as published, and how often where the network does.
"""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from corpus import Clip, clips, even
from numpy.typing import NDArray
from ridge import Place, fitted, placed, view
from seen import Seen, seen
from variants import PUBLISHED, Variant

from syncnet.analysis import compare
from syncnet.encoder import DEFAULT_MODEL, Encoder, default_encoder
from syncnet.media import FPS

LIST = Path(__file__).parent / "natural_offsets.csv"
KEPT = Path(__file__).parents[1] / ".cache" / "accuracy"
REACH = 50  # columns of 10 ms searched either way
LEAST_S = 2.0
TRAIN_CLIPS = 60
FAR_MS, AGREE_MS = 40.0, 60.0

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Witness:
    """Where lip opening and loudness fit best: ms (audio time - video time) and their correlation there."""

    lag_ms: float
    correlation: float


@dataclass(frozen=True)
class Sure:
    """What is chance, measured on train: the lips' usual lag (ms), the correlation and depth that strangers reach."""

    usual_ms: float
    correlation: float
    depth: float


@dataclass(frozen=True)
class Case:
    """What is said of one clip: offsets in ms (audio time - video time), None where nothing is said."""

    name: str
    network_ms: float | None
    interval_ms: tuple[float, float] | None
    trusted: bool
    lips: Witness | None
    ridge: Place | None

    def far(self) -> bool:
        """Whether the network puts it further from 0 than a frame."""
        return self.network_ms is not None and abs(self.network_ms) > FAR_MS

    def listed(self, sure: Sure) -> bool:
        """Whether it is shown to be out of sync: see the top of this file."""
        if self.network_ms is None or not self.far() or not self.trusted:
            return False
        told = []
        if self.lips is not None and self.lips.correlation > sure.correlation:
            told.append(self.lips.lag_ms - sure.usual_ms)
        if self.ridge is not None and self.ridge.depth > sure.depth:
            told.append(self.ridge.offset_ms)
        return any(abs(t - self.network_ms) <= min(AGREE_MS, abs(t)) for t in told)

    def evidence(self, sure: Sure) -> str:
        """What each says, in words."""
        words = []
        if self.network_ms is not None:
            low, high = self.interval_ms or (float("nan"), float("nan"))
            words.append(f"network {self.network_ms:+.0f} ms (95 % {low:+.0f} to {high:+.0f})")
        if self.lips is not None:
            unsure = "" if self.lips.correlation > sure.correlation else ", unsure"
            words.append(f"lips {self.lips.lag_ms - sure.usual_ms:+.0f} ms ({self.lips.correlation:.2f}{unsure})")
        if self.ridge is not None:
            unsure = "" if self.ridge.depth > sure.depth else ", unsure"
            words.append(f"ridge {self.ridge.offset_ms:+.0f} ms ({self.ridge.depth:.2f}{unsure})")
        return ", ".join(words)


def main() -> None:
    parser = argparse.ArgumentParser(description="Clips of dev whose own offset is shown not to be 0.")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--write", action="store_true", help="put the listed clips into natural_offsets.csv")
    given = parser.parse_args()
    encoder = default_encoder(given.model)
    sure = chance()
    print(f"train: the sound is loudest {sure.usual_ms:.0f} ms after the lips are widest; at any one place 95 % of "
          f"strangers' sound correlates below {sure.correlation:.2f}, by the ridge reaches less than {sure.depth:.2f}")
    cases = [case(clip, encoder) for clip in clips("dev") if clip.seconds >= LEAST_S]
    print("\rdev, clips that the network puts more than 40 ms from 0:")
    for one in (c for c in cases if c.far()):
        word, doubt = "LISTED" if one.listed(sure) else "not", "" if one.trusted else "; untrusted"
        print(f"  {one.name:44s} {word:6s} {one.evidence(sure)}{doubt}")
    listed = [c for c in cases if c.listed(sure)]
    print(f"{len(listed)} of {len(cases)} clips listed")
    print_ridge(cases, sure)
    if given.write:
        with LIST.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["file", "offset_ms", "evidence"])
            writer.writerows([f"clips/{c.name}.mkv", f"{c.network_ms:.0f}", c.evidence(sure)] for c in listed)


def look(clip: Clip) -> Seen:
    """What is seen of a clip, its name on stderr."""
    print(f"\r{clip.name:50s}", end="", file=sys.stderr, flush=True)
    return seen(clip.path, Variant(PUBLISHED), KEPT)


def chance() -> Sure:
    """How well strangers' sound fits: each of some train clips with the sound of the next."""
    chosen = even([c for c in clips("train") if c.seconds >= 4], TRAIN_CLIPS)
    train = [look(c) for c in chosen]
    own = [witness(s, s) for s in train]
    usual = float(np.median([w.lag_ms for w in own if w]))
    pairs = zip(train, train[1:] + train[:1], strict=True)
    strangers = [w.correlation for s, other in pairs if (w := witness(s, other, near_ms=usual))]
    views = [v for c in chosen if (v := view(c)) is not None]
    others = zip(views, views[1:] + views[:1], strict=True)
    strange = [p.depth for v, other in others if (p := placed(v, fitted(), sound=other, within_ms=AGREE_MS))]
    return Sure(usual, float(np.quantile(strangers, 0.95)), float(np.quantile(strange, 0.95)))


def case(clip: Clip, encoder: Encoder) -> Case:
    """Ask the network and both witnesses about a clip."""
    shown = look(clip)
    found = compare(shown.stretches, shown.sound, encoder)
    known = view(clip)
    return Case(
        clip.name,
        None if found.offset is None else found.offset.offset_ms,
        None if found.offset is None else found.offset.interval_ms,
        not found.reasons,
        witness(shown, shown),
        None if known is None else placed(known, fitted()),
    )


def print_ridge(cases: list[Case], sure: Sure) -> None:
    """How often the ridge, where it is sure, stands at 0, and how often with the network."""
    both = [(c.ridge.offset_ms, c.network_ms) for c in cases
            if c.ridge is not None and c.ridge.depth > sure.depth and c.network_ms is not None]
    ridge, network = np.array(both).reshape(-1, 2).T
    for words, far in (("from 0 as published: the ridge", ridge), ("from 0 as published: the network", network),
                       ("ridge and network from each other", ridge - network)):
        near, median = np.mean(np.abs(far) <= FAR_MS), np.median(np.abs(far))
        print(f"{len(both)} clips of which the ridge is sure, {words}: within 40 ms {near:.0%}, median {median:.0f} ms")


def witness(picture: Seen, sound: Seen, near_ms: float | None = None) -> Witness | None:
    """Correlate the lips of one file with the loudness of one (its own, or a stranger's); None if too short.

    With `near_ms` only lags within 60 ms of it are looked at.
    """
    if not picture.stretches:
        return None
    track = max(picture.stretches, key=lambda t: len(t.crops))
    if len(track.crops) < LEAST_S * FPS:
        return None
    loud = np.maximum(sound.sound.mfcc[0].astype(np.float64), np.quantile(sound.sound.mfcc[0], 0.1))
    columns = sound.sound.start + 0.0125 + np.arange(len(loud)) / 100
    open_ = level(track.mouth_open.astype(np.float64), FPS)
    loud = level(loud, 100)
    lags = np.arange(-REACH, REACH + 1) / 100
    start = track.times[0] if picture is sound else sound.sound.start + 0.5
    times = start + np.arange(len(open_)) / FPS
    heard = [np.interp(times + lag, columns, loud, left=np.nan, right=np.nan) for lag in lags]
    fits = np.array([_correlation(open_, sound_there) for sound_there in heard])
    if near_ms is not None:
        fits[np.abs(lags * 1000 - near_ms) > AGREE_MS] = np.nan
    if not np.isfinite(fits).any():
        return None
    best = int(np.nanargmax(fits))
    return Witness(float(lags[best] * 1000), float(fits[best]))


def level(values: Floats, rate: float) -> Floats:
    """`values` less their running mean over a second."""
    width = int(rate) | 1
    padded = np.pad(values, width // 2, mode="reflect" if len(values) > width // 2 else "edge")
    return np.asarray(values - np.convolve(padded, np.ones(width) / width, mode="valid"))


def _correlation(a: Floats, b: Floats) -> float:
    known = np.isfinite(b)
    if known.sum() < LEAST_S * FPS * 0.7:
        return float("nan")
    a, b = a[known] - a[known].mean(), b[known] - b[known].mean()
    scale = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / scale) if scale > 0 else float("nan")


if __name__ == "__main__":
    main()
