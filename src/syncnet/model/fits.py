"""How well the sound of a clip fits its picture at every offset, and how well strangers' sound would fit there.

One pass of a trained network over shards, without augmentation, by its heads that see 19 frames if it has them. What
strangers' sound reaches by chance is the yardstick for what a clip's own sound must reach: it is measured on the same
pictures, so nothing has to be assumed.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from syncnet.curves import Curves, distances, medians, minima
from syncnet.model.devices import autocast
from syncnet.model.network import SyncNet
from syncnet.model.pairs import Snippet, read_snippet, standardised_crops
from syncnet.model.shards import FPS, SAMPLE_RATE, Clip, read_sound

RANGE_S = 1.0  # offsets compared, either way
STRETCH_FRAMES = 250  # frames embedded (and standardised) together
PIECE_FRAMES = 100  # a long clip is judged in pieces of about this many frames
BATCH_FRAMES = 600
CHUNK_FRAMES = 5000  # scored between two visits to the disk; strangers come from the same chunk
STRANGERS = 2

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Fit:
    """What the pieces of one clip say; P pieces, S strangers, M offsets (`offsets_ms()`), relative to the clip's own.

    spans (P, 2): first and one-past-last frame. windows (P,): windows of 0.2 s in a piece. depth (P, M): sum over its
    windows of how much nearer the sound at an offset is than usual (the window's median distance less the distance).
    known (P, M): number of windows with sound there. stranger_depth (S, P, M): the same with strangers' sound in the
    place of the clip's own (known where that is). votes (P, M): windows by the offset they themselves prefer.
    level_db (P,): RMS of the sound beside the piece, full scale 0.
    """

    spans: NDArray[np.int64]
    windows: NDArray[np.int64]
    depth: Floats
    known: Floats
    stranger_depth: Floats
    votes: Floats
    level_db: Floats


def offsets_ms(range_s: float = RANGE_S) -> NDArray[np.float64]:
    """The offsets (M,) that a fit compares, in ms: negative audio early, positive audio late."""
    reach = round(range_s * 100)
    return np.asarray(np.arange(-reach, reach + 1) * 10.0, np.float64)


@dataclass(frozen=True)
class _Stretch:
    """A run of frames of clip number `clip` that is embedded at once."""

    clip: int
    first: int
    frames: int


@dataclass(frozen=True)
class _Embedded:
    """Windows of picture (W, 256), of sound (N, 256) every 10 ms, which of them are real (N,), and their times."""

    video: Floats
    audio: Floats
    mask: NDArray[np.bool_]
    audio_times: NDArray[np.float64]


def score_clips(model: SyncNet, clips: Sequence[Clip], *, store: Path, identity: str,
                on_done: Callable[[int], None] | None = None) -> list[Fit | None]:
    """The fit of every clip (None: too short for the network), in the order of `clips`.

    Work is kept in the folder `store` by chunks, and done again only for another `identity` (of the model) or other
    clips. `on_done` is handed the number of frames done since the last call. Raises InputError for damaged shards.
    """
    store.mkdir(parents=True, exist_ok=True)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    fits: list[Fit | None] = [None] * len(clips)
    wanted = set()
    # Speakers often stand together in a list; strangers come from the same chunk, so it must hold several.
    order = sorted(range(len(clips)), key=lambda n: (hashlib.sha1(clips[n].key.encode()).digest(), n))
    done = 0
    for chunk in _chunks([clips[n] for n in order]):
        path = store / f"{_fingerprint(identity, chunk)}.npz"
        wanted.add(path.name)
        found = _load(path, len(chunk))
        if found is None:
            found = _score_chunk(model, chunk)
            _save(path, found)
        for n, fit in zip(order[done:], found, strict=False):
            fits[n] = fit
        done += len(chunk)
        if on_done:
            on_done(sum(c.frames for c in chunk))
    for stale in store.glob("*.npz"):
        if stale.name not in wanted:
            stale.unlink()
    return fits


def _chunks(clips: Sequence[Clip]) -> Iterator[list[Clip]]:
    chunk: list[Clip] = []
    frames = 0
    for clip in clips:
        chunk.append(clip)
        frames += clip.frames
        if frames >= CHUNK_FRAMES:
            yield chunk
            chunk, frames = [], 0
    if chunk:
        yield chunk


def _fingerprint(identity: str, clips: Sequence[Clip]) -> str:
    parts = [identity, f"{RANGE_S} {STRETCH_FRAMES} {PIECE_FRAMES} {STRANGERS}"]
    parts += [f"{c.folder.resolve()} {c.key} {c.shard} {c.speaker} {c.frames} {c.crops_at} {c.crop_size} {c.sound_at} "
              f"{c.sound_samples} {c.sound_lead_s} {c.offset_ms}" for c in clips]
    return hashlib.sha1("\n".join(parts).encode()).hexdigest()[:20]


def _score_chunk(model: SyncNet, clips: Sequence[Clip]) -> list[Fit | None]:
    """Embed all stretches of some clips, then compare each with its own sound and with strangers'."""
    least = model.config.frames + 1
    stretches = [_Stretch(n, a, b - a) for n, clip in enumerate(clips) if clip.frames >= least
                 for a, b in spans(clip.frames, STRETCH_FRAMES)]
    stretches.sort(key=lambda s: (s.frames, s.clip, s.first))
    embedded: list[_Embedded] = []
    for _, same in groupby(stretches, key=lambda s: s.frames):
        group = list(same)
        size = max(1, BATCH_FRAMES // group[0].frames)
        for i in range(0, len(group), size):
            embedded += _embed(model, [(clips[s.clip], s) for s in group[i:i + size]])
    parts: dict[int, list[tuple[int, Fit]]] = {}
    for i, (stretch, own) in enumerate(zip(stretches, embedded, strict=True)):
        others = [embedded[j] for j in _strangers(i, stretches, clips)]
        parts.setdefault(stretch.clip, []).append((stretch.first, _fit(clips[stretch.clip], stretch, own, others)))
    return [_joined([fit for _, fit in sorted(parts[n], key=lambda p: p[0])]) if n in parts else None
            for n in range(len(clips))]


def spans(frames: int, most: int) -> list[tuple[int, int]]:
    """`frames` cut into the fewest nearly equal half-open ranges that are at most `most` long."""
    count = max(1, -(-frames // most))
    edges = [round(i * frames / count) for i in range(count + 1)]
    return list(pairwise(edges))


def _strangers(i: int, stretches: Sequence[_Stretch], clips: Sequence[Clip]) -> list[int]:
    """The nearest stretches in length by STRANGERS other speakers, longer ones first; fewer if there are fewer."""
    mine = clips[stretches[i].clip].speaker
    found: list[int] = []
    speakers = {mine}
    for j in (*range(i + 1, len(stretches)), *range(i - 1, -1, -1)):
        speaker = clips[stretches[j].clip].speaker
        if speaker not in speakers:
            found.append(j)
            speakers.add(speaker)
            if len(found) == STRANGERS:
                break
    return found


@torch.no_grad()
def _embed(model: SyncNet, batch: Sequence[tuple[Clip, _Stretch]]) -> list[_Embedded]:
    """Embed stretches of one length, with as much sound around them as there is, up to the range."""
    frames = batch[0][1].frames
    margin = min(RANGE_S, max(_spare(clip, stretch) for clip, stretch in batch))
    margin = max(0.0, np.ceil(margin * 100) / 100)
    snippets: list[Snippet] = [read_snippet(clip, s.first, frames, model.config, margin_s=margin) for clip, s in batch]
    crops = standardised_crops(torch.from_numpy(np.stack([s.crops for s in snippets])))
    mfcc = torch.from_numpy(np.stack([s.mfcc for s in snippets]))
    mask = torch.from_numpy(np.stack([s.mask for s in snippets]))
    with autocast(torch.device("cpu")):
        video, audio = model(crops, mfcc, mask, wide=model.config.context > 0)
    return [_Embedded(v, a, s.mask, np.asarray(s.audio_times.astype(np.float64).round(3), np.float64))
            for v, a, s in zip(video.float().numpy(), audio.float().numpy(), snippets, strict=True)]


def _spare(clip: Clip, stretch: _Stretch) -> float:
    """Seconds of sound there are before or after a stretch, whichever is longer."""
    start = clip.sound_lead_s + clip.offset_ms / 1000.0 + stretch.first / FPS
    return max(start, clip.sound_samples / SAMPLE_RATE - start - stretch.frames / FPS)


def _fit(clip: Clip, stretch: _Stretch, own: _Embedded, others: Sequence[_Embedded]) -> Fit:
    """Compare a stretch's picture with its own and with strangers' sound, piece by piece."""
    pieces = spans(stretch.frames, PIECE_FRAMES + PIECE_FRAMES // 2)
    half = (stretch.frames - len(own.video)) // 2
    rows = [(max(0, a - half), max(0, b - half)) for a, b in pieces]
    rows[-1] = (rows[-1][0], len(own.video))
    depth, known, votes = _depths(own, own.audio, rows)
    strange = [_depths(own, _borrowed(own, other), rows)[0] for other in others]
    return Fit(
        spans=np.array(pieces) + stretch.first,
        windows=np.array([b - a for a, b in rows]),
        depth=depth, known=known, votes=votes,
        stranger_depth=np.stack(strange) if strange else np.zeros((0, *depth.shape), np.float32),
        level_db=np.array([_level_db(clip, stretch.first + a, b - a) for a, b in pieces], np.float32),
    )


def _borrowed(own: _Embedded, other: _Embedded) -> Floats:
    """Another's windows of sound where our own are real, over again if there are too few."""
    audio = np.zeros_like(own.audio)
    theirs = other.audio[other.mask]
    count = int(own.mask.sum())
    if len(theirs):
        audio[own.mask] = theirs[np.arange(count) % len(theirs)]
    return audio


def _depths(own: _Embedded, audio: Floats, rows: Sequence[tuple[int, int]]) -> tuple[Floats, Floats, Floats]:
    """Summed depth, number of windows and votes, each (P, M), of the windows `rows` of each piece."""
    sound = np.where(own.mask[:, None], audio, np.float32(np.nan))
    curves: Curves = distances(own.video, sound, np.arange(len(own.video)) / FPS, own.audio_times, RANGE_S)
    distance = curves.distance.astype(np.float64)
    finite = np.isfinite(distance)
    depth = np.where(finite, medians(distance)[:, None] - distance, 0.0)
    grid = minima(distance, curves.offsets_s)[1]
    columns = np.rint(np.nan_to_num(grid) / 10.0).astype(int) + distance.shape[1] // 2
    voted = np.zeros_like(distance)
    voted[np.arange(len(distance)), columns] = finite.any(axis=1)
    tables = [np.stack([table[a:b].sum(axis=0) for a, b in rows]).astype(np.float32)
              for table in (depth, finite, voted)]
    return tables[0], tables[1], tables[2]


def _level_db(clip: Clip, first: int, frames: int) -> float:
    start = round((clip.sound_lead_s + clip.offset_ms / 1000.0 + first / FPS) * SAMPLE_RATE)
    samples, low, high = read_sound(clip, start, round(frames / FPS * SAMPLE_RATE))
    return float(10 * np.log10(np.mean(np.square(samples[low:high])) + 1e-12)) if high > low else -120.0


_FIELDS = tuple(Fit.__dataclass_fields__)


def _joined(fits: Sequence[Fit]) -> Fit:
    """The pieces of several stretches as one fit; strangers that not all have are left out."""
    strangers = min(len(f.stranger_depth) for f in fits)
    joined = {name: np.concatenate([getattr(f, name) for f in fits]) for name in _FIELDS if name != "stranger_depth"}
    return Fit(**joined, stranger_depth=np.concatenate([f.stranger_depth[:strangers] for f in fits], axis=1))


def _save(path: Path, fits: Sequence[Fit | None]) -> None:
    """Write a chunk beside its place and move it there."""
    arrays = {f"{n}.{name}": getattr(fit, name) for n, fit in enumerate(fits) if fit is not None for name in _FIELDS}
    part = path.with_suffix(f".{os.getpid()}.part")
    with part.open("wb") as file:
        np.savez(file, count=np.array(len(fits)), **arrays)
    os.replace(part, path)


def _load(path: Path, count: int) -> list[Fit | None] | None:
    """A chunk as it was saved, None if it is not there or not whole."""
    if not path.is_file():
        return None
    try:
        with np.load(path) as saved:
            if int(saved["count"]) != count:
                return None
            return [Fit(**{name: saved[f"{n}.{name}"] for name in _FIELDS}) if f"{n}.depth" in saved else None
                    for n in range(count)]
    except (OSError, ValueError, KeyError):
        return None
