"""Raw videos -> training shards, along the same road (shots, faces, tracks) that inference walks."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from syncnet.errors import InputError, SyncNetError
from syncnet.media import FPS, SAMPLE_RATE, frames, read_sound
from syncnet.tracks import MouthTrack, mouth_tracks

VIDEO_ENDINGS = frozenset(
    ".mp4 .m4v .mov .mkv .webm .avi .ts .mts .m2ts .mpg .mpeg .vob .flv .wmv .3gp .ogv .mxf".split()
)
SHARD_BYTES = 512 * 2**20
"""A shard's pictures grow to about this size before the next shard is begun."""


@dataclass(frozen=True)
class PrepareConfig:
    """What decides the content of shards: part of the manifest's first line, so that runs do not mix."""

    crop_size: int = 128  # the network sees the middle 111; the margin is for shifting and turning
    sound_margin_s: float = 2.2  # sound kept before and after the pictures, for shifted negatives
    min_frames: int = 20  # shorter runs teach little: 0.8 s
    min_face: float = 14.0  # outer-eye-corner distance in pixels under which a mouth is a smear (about a 30 px face)
    rival_size: float = 0.6  # another face at least this large relative to ours makes the window two-faced
    min_level_db: float = -60.0  # quieter sound over the whole clip is called silence


@dataclass(frozen=True)
class Source:
    """One file to prepare and what is known of it."""

    path: Path
    name: str
    speaker: str
    corpus: str
    kind: str = "real"


@dataclass(frozen=True)
class Clip:
    """One face, one shot, one run of pictures with its sound: what a manifest line and its bytes hold.

    `crops`: `(T, S, S)` uint8 at 25 fps. `sound`: `(N,)` int16 at 16 kHz, beginning `sound_lead_s` seconds before the
    first picture. `start_s`: presentation time of the first picture in the source.
    """

    track: int
    start_s: float
    crops: NDArray[np.uint8]
    sound: NDArray[np.int16]
    sound_lead_s: float
    quality: dict[str, float]


@dataclass(frozen=True)
class Prepared:
    """What one file gave: clips, why the rest was left out (frames by reason), and what was wrong with the file."""

    clips: tuple[Clip, ...] = ()
    rejected: dict[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    error: str | None = None


def prepare_file(path: Path, config: PrepareConfig) -> Prepared:
    """Turn one video into clips: a pure function of file and config, so that any pool or cluster can map it.

    A file that cannot be read gives `error` instead of raising, so that one bad file never stops a corpus.
    """
    problems: list[str] = []
    try:
        tracks = list(mouth_tracks(frames(path, on_problem=problems.append), crop=config.crop_size))
        sound = read_sound(path, on_problem=problems.append)
    except SyncNetError as error:
        return Prepared(error=str(error), problems=tuple(problems))
    rejected: Counter[str] = Counter()
    if not tracks:
        rejected["no face (files)"] += 1
    clips: list[Clip] = []
    for track in tracks:
        usable, reasons = _usable(track, [t for t in tracks if t is not track], config)
        rejected.update(reasons)
        for first, last in _runs(usable):
            if last - first < config.min_frames:
                rejected["run too short"] += last - first
                continue
            clip = _clip(track, first, last, sound.samples, sound.start, config)
            level = 10 * np.log10(np.mean((clip.sound / 32768.0) ** 2) + 1e-12) if len(clip.sound) else -np.inf
            if level < config.min_level_db:
                rejected["silence"] += last - first
                continue
            clips.append(clip)
    return Prepared(tuple(clips), dict(rejected), tuple(problems))


def _usable(
    track: MouthTrack, others: list[MouthTrack], config: PrepareConfig
) -> tuple[NDArray[np.bool_], Counter[str]]:
    """Which frames of a track may teach, and how many were refused for which reason."""
    reasons: Counter[str] = Counter()
    small = track.size < config.min_face
    crowded = np.zeros(len(small), bool)
    for other in others:
        at = np.rint((track.times - other.start) * FPS).astype(int)
        inside = (at >= 0) & (at < len(other.size))
        crowded[inside] |= other.size[at[inside]] > config.rival_size * track.size[inside]
    reasons["bridged"] = int((~track.seen).sum())
    reasons["face too small"] = int((track.seen & small).sum())
    reasons["more than one face"] = int((track.seen & ~small & crowded).sum())
    return track.seen & ~small & ~crowded, +reasons


def _runs(usable: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Half-open index ranges over which `usable` is True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], usable.astype(np.int8), [0]])))
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        yield int(first), int(last)


def _clip(
    track: MouthTrack, first: int, last: int, samples: NDArray[np.float32], sound_start: float, config: PrepareConfig
) -> Clip:
    """Cut pictures `first:last` of a track and the sound around them."""
    start = track.start + first / FPS
    end = track.start + last / FPS
    a = max(0, round((start - config.sound_margin_s - sound_start) * SAMPLE_RATE))
    b = max(a, min(len(samples), round((end + config.sound_margin_s - sound_start) * SAMPLE_RATE)))
    sound = np.clip(np.rint(samples[a:b] * 32768.0), -32768, 32767).astype(np.int16)
    size, yaw = track.size[first:last], track.yaw[first:last]
    return Clip(
        track=track.id,
        start_s=start,
        crops=track.crops[first:last],
        sound=sound,
        sound_lead_s=start - (sound_start + a / SAMPLE_RATE),
        quality={
            "face_px": round(float(np.median(size)), 1),
            "yaw_deg": round(float(np.median(np.abs(yaw))), 1),
            "mouth_motion": round(float(np.std(track.mouth_open[first:last])), 4),
        },
    )


def find_sources(folder: Path, *, split: str | None = None) -> list[Source]:
    """List the videos below a folder, with speaker, corpus and kind from its `manifest.csv` where there is one.

    The manifest's columns are `file` (below the folder), `speaker`, `corpus`, `kind` and optionally `split`, of which
    `split` then selects one. Without a manifest the speaker is the file's own name and the corpus its folder's.
    Raises `InputError` when there is nothing to prepare.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder. Give a folder with videos in it.")
    listed = folder / "manifest.csv"
    if listed.is_file():
        with open(listed, newline="") as file:
            rows = [r for r in csv.DictReader(file) if split is None or r.get("split") == split]
        found = [
            Source(folder / r["file"], r["file"], r["speaker"], r.get("corpus", ""), r.get("kind", "real"))
            for r in rows
        ]
    else:
        paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in VIDEO_ENDINGS and p.is_file())
        found = [
            Source(p, str(p.relative_to(folder)), f"{p.parent.name}/{p.stem}", p.parent.name or folder.name)
            for p in paths
        ]
    if not found:
        raise InputError(f"{folder}: no videos found (looked for {' '.join(sorted(VIDEO_ENDINGS))}).")
    return found


def prepare(
    sources: list[Source],
    out: Path,
    config: PrepareConfig | None = None,
    *,
    jobs: int = 1,
    work: Callable[[Path, PrepareConfig], Prepared] = prepare_file,
    on_done: Callable[[Source, Prepared], None] | None = None,
) -> Counter[str]:
    """Write the shards of many files into `out`; files that an earlier run finished are not done again.

    Returns counts (files, clips, frames, errors, and frames left out by reason). Everything in `out` is consistent
    after a kill at any moment: bytes are written before the manifest line that points at them.
    """
    config = config or PrepareConfig()
    out.mkdir(parents=True, exist_ok=True)
    writer = _ShardWriter(out, config)
    todo = [s for s in sources if s.name not in writer.finished]
    for source, result in _mapped(work, todo, config, jobs):
        writer.add(source, result)
        if on_done:
            on_done(source, result)
    writer.close()
    return writer.counts


def _mapped(
    work: Callable[[Path, PrepareConfig], Prepared], todo: Iterable[Source], config: PrepareConfig, jobs: int
) -> Iterator[tuple[Source, Prepared]]:
    """Run `work` over files, `jobs` at a time, few results waiting in memory; results come as they are ready."""
    if jobs <= 1:
        for source in todo:
            yield source, work(source.path, config)
        return
    with ProcessPoolExecutor(jobs, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        running: dict[Future[Prepared], Source] = {}
        waiting = iter(todo)
        while True:
            for source in islice(waiting, 2 * jobs - len(running)):
                running[pool.submit(work, source.path, config)] = source
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield running.pop(future), future.result()


class _ShardWriter:
    """Appends clips to shards and their manifest, and picks up where a killed run stopped."""

    def __init__(self, out: Path, config: PrepareConfig) -> None:
        self._out, self._config = out, config
        self.counts: Counter[str] = Counter()
        self.finished: set[str] = set()
        self._frames = self._samples = self._shard = 0
        manifest, files = out / "manifest.jsonl", out / "files.jsonl"
        wanted = json.dumps(asdict(config), sort_keys=True)
        config_file = out / "config.json"
        if config_file.exists() and config_file.read_text() != wanted:
            raise InputError(f"{out} holds shards made with other settings ({config_file}). Choose another folder.")
        config_file.write_text(wanted)
        done = _whole_lines(files)
        self.finished = {line["source"] for line in done}
        for line in done:
            self._count(line)
        kept = [line for line in _whole_lines(manifest) if line["source"] in self.finished]
        _rewrite(manifest, kept)
        _rewrite(files, done)
        if kept:
            last = max(kept, key=lambda line: (line["shard"], line["crops_at"]))
            self._shard = int(last["shard"])
            self._frames = last["crops_at"] + last["frames"]
            self._samples = max(k["sound_at"] + k["sound_samples"] for k in kept if k["shard"] == last["shard"])
        self._manifest = open(manifest, "a")
        self._files = open(files, "a")
        self._open_shard()

    def _open_shard(self) -> None:
        stem = self._out / f"{self._shard:05d}"
        self._pictures = open(stem.with_suffix(".frames"), "ab")
        self._sounds = open(stem.with_suffix(".sound"), "ab")
        self._pictures.truncate(self._frames * self._config.crop_size**2)
        self._sounds.truncate(self._samples * 2)

    def add(self, source: Source, result: Prepared) -> None:
        lines = []
        for n, clip in enumerate(result.clips):
            if self._frames * self._config.crop_size**2 > SHARD_BYTES:
                self._pictures.close()
                self._sounds.close()
                self._shard, self._frames, self._samples = self._shard + 1, 0, 0
                self._open_shard()
            lines.append(self._line(source, clip, n))
            self._pictures.write(clip.crops.tobytes())
            self._sounds.write(clip.sound.tobytes())
            self._frames += len(clip.crops)
            self._samples += len(clip.sound)
        self._pictures.flush()
        self._sounds.flush()
        for line in lines:
            self._manifest.write(json.dumps(line) + "\n")
        self._manifest.flush()
        summary = {
            "source": source.name,
            "clips": len(result.clips),
            "frames": sum(len(c.crops) for c in result.clips),
            "rejected": result.rejected,
            "problems": result.problems,
            "error": result.error,
        }
        self._files.write(json.dumps(summary) + "\n")
        self._files.flush()
        os.fsync(self._files.fileno())
        self._count(summary)

    def _line(self, source: Source, clip: Clip, n: int) -> dict[str, Any]:
        return {
            "key": f"{source.name}#{n}",
            "shard": f"{self._shard:05d}",
            "speaker": source.speaker,
            "corpus": source.corpus,
            "kind": source.kind,
            "source": source.name,
            "track": clip.track,
            "start_s": round(clip.start_s, 6),
            "frames": len(clip.crops),
            "crops_at": self._frames,
            "crop_size": self._config.crop_size,
            "sound_at": self._samples,
            "sound_samples": len(clip.sound),
            "sound_lead_s": round(clip.sound_lead_s, 6),
            "offset_ms": 0.0,
            "weight": 1.0,
            "quality": clip.quality,
        }

    def _count(self, summary: dict[str, Any]) -> None:
        self.counts["files"] += 1
        self.counts["clips"] += summary["clips"]
        self.counts["frames"] += summary["frames"]
        self.counts["errors"] += summary["error"] is not None
        for reason, number in summary["rejected"].items():
            self.counts[f"left out: {reason}"] += number

    def close(self) -> None:
        for file in (self._pictures, self._sounds, self._manifest, self._files):
            file.close()


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    """The complete lines of a JSON-lines file; a last line that a kill cut short is left out."""
    if not path.exists():
        return []
    text = path.read_text()
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def _rewrite(path: Path, lines: list[dict[str, Any]]) -> None:
    part = path.with_suffix(".part")
    part.write_text("".join(json.dumps(line) + "\n" for line in lines))
    os.replace(part, path)
