"""Many files scored by one recipe: in parallel, each result kept as soon as it is there, and their mean."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from syncnet.errors import InputError, SyncNetError
from syncnet.journal import Journal, Record
from syncnet.recipes import Recipe, recipe_named

if TYPE_CHECKING:
    from syncnet.clip_scores import ClipScore
    from syncnet.encoder import Encoder
    from syncnet.v2_encoder import V2Encoder

MEDIA = frozenset(".3gp .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .mxf .ogv .ts .webm .wmv".split())
RELEASED = "v2"

OnRecord = Callable[[Record], None]


@dataclass(frozen=True)
class Network:
    """Which network scores: its name on the command line and what identifies it in results."""

    name: str
    identity: dict[str, str]

    @property
    def released(self) -> bool:
        """Whether it is the released one, the only one whose figures may be called LSE."""
        return self.name == RELEASED


def network_named(name: str, recipe: Recipe) -> Network:
    """The network to score with: `v2`, or our own by its name or folder.

    Raises InputError where it is not installed, or where the recipe is defined for v2 alone.
    """
    if name == RELEASED:
        from syncnet.weights_store import find

        installed = find(RELEASED)
        return Network(name, {"name": "SyncNet v2", "hash": f"sha256:{installed.sha256}"})
    if not recipe.corrected:
        raise InputError(
            f"The recipe {recipe.name} is defined for the network v2; with {name!r} only the recipe 'ours' works, "
            "whose figures then have names of their own."
        )
    from syncnet.encoder import find_model

    return Network(name, find_model(name).identity)


def media_files(paths: Sequence[Path]) -> list[Path]:
    """The files named, and those inside the folders named with the ending of a film; sorted within a folder.

    Raises InputError for a path that does not exist and a folder without films.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in MEDIA and p.is_file())
            if not inside:
                raise InputError(f"{path}: there is no film in this folder (looked for {', '.join(sorted(MEDIA))}).")
            found.update(dict.fromkeys(inside))
        elif path.exists():
            found[path] = None
        else:
            raise InputError(f"{path}: no such file")
    return list(found)


def score_files(
    files: Sequence[Path],
    recipe: Recipe,
    network: Network,
    *,
    jobs: int = 1,
    journal: Journal | None = None,
    on_record: OnRecord | None = None,
) -> list[Record]:
    """Score all files that the journal does not have yet; one record per file, in the order given.

    `on_record` is told of each record as it comes, those from the journal first. A file that fails has a record that
    says why. Raises InputError where a worker process is killed.
    """
    stamps = {str(path): _stamp(path) for path in files}
    known = journal.records if journal else {}
    records = {name: known[name] for name, stamp in stamps.items() if stamp.items() <= known.get(name, {}).items()}
    for record in records.values():
        _tell(on_record, record)
    missing = [path for path in files if str(path) not in records]
    for record in _scored(missing, recipe.name, network.name, jobs):
        record |= stamps[record["file"]]
        if journal:
            journal.append(record)
        records[record["file"]] = record
        _tell(on_record, record)
    return [records[name] for name in stamps]


def _tell(on_record: OnRecord | None, record: Record) -> None:
    if on_record:
        on_record(record)


def _stamp(path: Path) -> Record:
    """What tells a file from another under the same name."""
    try:
        status = path.stat()
    except OSError:
        return {"file": str(path), "bytes": None, "mtime_ns": None}
    return {"file": str(path), "bytes": status.st_size, "mtime_ns": status.st_mtime_ns}


def _scored(files: Sequence[Path], recipe: str, network: str, jobs: int) -> Iterator[Record]:
    jobs = min(jobs, len(files))
    if jobs <= 1:
        for path in files:
            yield score_one(path, recipe, network, os.cpu_count() or 1)
        return
    threads = max(1, (os.cpu_count() or 1) // jobs)
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))
    try:
        waiting: list[Future[Record]] = [pool.submit(score_one, path, recipe, network, threads) for path in files]
        for done in as_completed(waiting):
            yield done.result()
    except BrokenProcessPool as error:
        raise InputError(
            "A worker process was killed, most likely because memory ran out: use fewer --jobs. With --resume the "
            "files finished so far are kept."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def score_one(path: Path, recipe: str, network: str, threads: int) -> Record:
    """Score one file in this process; a failure that the user can act on becomes a record of it."""
    from syncnet.clip_scores import score_clip

    try:
        return {"file": str(path), **_as_record(score_clip(path, recipe_named(recipe), _loaded(network, threads)))}
    except SyncNetError as error:
        return {"file": str(path), "error": str(error), "exit_code": error.exit_code}


@cache
def _loaded(name: str, threads: int) -> V2Encoder | Encoder:
    """The network of that name, loaded once per process."""
    if name == RELEASED:
        from syncnet.v2_encoder import V2Encoder
        from syncnet.weights_store import find

        return V2Encoder(find(RELEASED).folder, threads=threads)
    from syncnet.encoder import Encoder

    return Encoder(name, threads=threads)


def _as_record(clip: ClipScore) -> Record:
    """Plain numbers that JSON keeps exactly; a shift without enough pairs is None."""
    tracks = [
        {
            "start": track.start,
            "end": track.end,
            "distance": track.score.distance,
            "confidence": track.score.confidence,
            "reference_offset": track.score.reference_offset,
            "windows": track.score.windows,
            "curve": [None if np.isnan(value) else float(value) for value in track.score.curve],
        }
        for track in clip.tracks
    ]
    return {
        "distance": clip.distance,
        "confidence": clip.confidence,
        "reference_offset": clip.reference_offset,
        "notes": list(clip.notes),
        "tracks": tracks,
    }


def set_mean(records: Sequence[Record], recipe: Recipe) -> Record | None:
    """The mean over a set as the recipe takes it: over all tracks for wav2lip-real, else over clips; None without any.

    `clips` were scored, `failed` were not and are left out.
    """
    scored = [record for record in records if "error" not in record]
    rows: list[dict[str, Any]] = scored
    if recipe.name == "wav2lip-real":
        rows = [track for record in scored for track in record["tracks"]]
    if not rows:
        return None
    return {
        "over": "tracks" if recipe.name == "wav2lip-real" else "clips",
        "rows": len(rows),
        "clips": len(scored),
        "failed": len(records) - len(scored),
        "distance": math.fsum(row["distance"] for row in rows) / len(rows),
        "confidence": math.fsum(row["confidence"] for row in rows) / len(rows),
    }


def versions() -> dict[str, str]:
    """The versions of everything that the numbers depend on."""
    import platform

    import av
    import cv2
    import onnxruntime
    from av import library_versions

    from syncnet import __version__

    return {
        "syncnet": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "onnxruntime": onnxruntime.__version__,
        "opencv": cv2.__version__,
        "pyav": av.__version__,
        "libavcodec": ".".join(str(part) for part in library_versions["libavcodec"]),
        "libswscale": ".".join(str(part) for part in library_versions["libswscale"]),
    }
