"""Which dev clips are not in sync as published: the network's answer beside a witness that knows no network of ours.

python benchmarks/natural_offsets.py [--model NAME] [--write]

The witness: how far the lips stand apart (landmarks, in units of the face) is correlated with how loud the sound is,
both less their mean over a second. Lips open somewhat before the voice is loudest; how long before is measured on train
clips (their median) and taken off. A clip is listed when the network trusts an offset of over 40 ms, the witness is
surest within 60 ms of it (out of 1 s: by chance one time in eight), and its correlation there is above what 95 % of
strangers' sound reaches within 60 ms of any one place. Mind that the witness only says where, to a frame or two; the
offset listed is the network's. `--write` puts the listed clips into natural_offsets.csv, without which
benchmarks/accuracy.py prints its tables a second time.
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
from seen import Seen, seen
from variants import PUBLISHED, Variant

from syncnet.analysis import compare
from syncnet.encoder import DEFAULT_MODEL, default_encoder
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


def main() -> None:
    parser = argparse.ArgumentParser(description="Clips of dev whose own offset is shown not to be 0.")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--write", action="store_true", help="put the listed clips into natural_offsets.csv")
    given = parser.parse_args()
    encoder = default_encoder(given.model)

    def look(clip: Clip) -> Seen:
        print(f"\r{clip.name:50s}", end="", file=sys.stderr, flush=True)
        return seen(clip.path, Variant(PUBLISHED), KEPT)

    train = [look(c) for c in even([c for c in clips("train") if c.seconds >= 4], TRAIN_CLIPS)]
    own = [witness(s, s) for s in train]
    usual = float(np.median([w.lag_ms for w in own if w]))
    pairs = zip(train, train[1:] + train[:1], strict=True)
    strangers = [w.correlation for s, other in pairs if (w := witness(s, other, near_ms=usual))]
    line = float(np.quantile(strangers, 0.95))
    print(f"\rtrain: {len(train)} clips, the sound is loudest {usual:.0f} ms after the lips are widest; 95 % of "
          f"strangers' sound correlates below {line:.2f} at any one place")
    print("dev, clips that the network or the witness puts more than 40 ms from 0:")
    listed = []
    for clip in (c for c in clips("dev") if c.seconds >= LEAST_S):
        shown = look(clip)
        found = compare(shown.stretches, shown.sound, encoder)
        told = witness(shown, shown)
        if found.offset is None or told is None or abs(found.offset.offset_ms) <= FAR_MS:
            continue
        network, lips = found.offset.offset_ms, told.lag_ms - usual
        agreed = not found.reasons and abs(network - lips) <= AGREE_MS and told.correlation > line
        low, high = found.offset.interval_ms or (float("nan"), float("nan"))
        evidence = (f"network {network:+.0f} ms (95 % {low:+.0f} to {high:+.0f}) and lip opening against loudness "
                    f"{lips:+.0f} ms (correlation {told.correlation:.2f})")
        word, doubt = "LISTED" if agreed else "not", "; unsure" if found.reasons else ""
        print(f"\r  {clip.name:44s} {word:6s} {evidence}{doubt}")
        if agreed:
            listed.append({"file": f"clips/{clip.name}.mkv", "offset_ms": f"{network:.0f}", "evidence": evidence})
    print(f"{len(listed)} clips listed")
    if given.write:
        with LIST.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["file", "offset_ms", "evidence"])
            writer.writeheader()
            writer.writerows(listed)


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
