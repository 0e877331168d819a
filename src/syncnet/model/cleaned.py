"""The cleaned manifest: lines of shards with what was decided about them, pictures and sound left where they are."""

import json
import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from syncnet.errors import InputError
from syncnet.model.refine import Refined
from syncnet.model.shards import FPS, MANIFEST, Clip


def read_rows(folders: Sequence[Path]) -> list[tuple[Path, dict[str, Any]]]:
    """The manifest lines of shard folders, each with its folder, in the order of `read_manifests`."""
    rows = []
    for folder in folders:
        for line in (folder / MANIFEST).read_text(encoding="utf-8").splitlines():
            if line.strip():
                rows.append((folder, json.loads(line)))
    return rows


def write_refined(out: Path, rows: Sequence[tuple[Path, Mapping[str, Any]]], refined: Refined) -> None:
    """Write the cleaned manifest and verdicts.jsonl into `out`; pictures and sound stay where they are.

    A line of the manifest names its shards' `folder` relative to `out` and carries verdict and reason under `refined`.
    """
    if len(rows) != len(refined.verdicts):
        raise InputError("the shards changed while they were judged: run `syncnet refine` again.")
    out.mkdir(parents=True, exist_ok=True)
    lines, told = [], []
    for (folder, row), verdict in zip(rows, refined.verdicts, strict=True):
        place = os.path.relpath((folder / str(row.get("folder", "."))).resolve(), out.resolve())
        note = {k: v for k, v in asdict(verdict).items() if k != "spans"}
        told.append({"key": row["key"], "folder": place, "corpus": row.get("corpus", ""), **asdict(verdict)})
        for first, last in verdict.spans:
            lines.append({**_part(row, first, last), "folder": place, "refined": note,
                          "offset_ms": round(float(row.get("offset_ms") or 0.0) + verdict.offset_ms, 1)})
    _write_lines(out / "verdicts.jsonl", told)
    _write_lines(out / MANIFEST, lines)


def _part(row: Mapping[str, Any], first: int, last: int) -> dict[str, Any]:
    """A manifest line of frames first ... last - 1 of a clip."""
    if (first, last) == (0, row["frames"]):
        return dict(row)
    return {**row, "key": f"{row['key']}[{first}:{last}]", "frames": last - first,
            "crops_at": row["crops_at"] + first, "sound_lead_s": round(row["sound_lead_s"] + first / FPS, 6),
            "start_s": round(float(row.get("start_s") or 0.0) + first / FPS, 6)}


def _write_lines(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    part = path.with_suffix(".part")
    part.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    os.replace(part, path)


def summary(clips: Sequence[Clip], refined: Refined) -> dict[str, Any]:
    """What was decided, in figures: by verdict, by corpus, the lines, and the offsets of corpora."""
    words = Counter(v.word for v in refined.verdicts)
    frames: Counter[str] = Counter()
    corpora: dict[str, Counter[str]] = defaultdict(Counter)
    for clip, verdict in zip(clips, refined.verdicts, strict=True):
        kept = sum(b - a for a, b in verdict.spans)
        frames["kept"] += kept
        frames["dropped"] += clip.frames - kept
        corpora[clip.corpus][verdict.word] += 1
    return {
        "clips": len(clips), "verdicts": dict(words), "frames": dict(frames),
        "lines": [asdict(line) if line.clips else None for line in refined.lines],
        "corpus_offset_ms": {k: round(v, 1) for k, v in sorted(refined.corpus_ms.items())},
        "speakers_with_own_offset": len(refined.speaker_ms),
        "by_corpus": {name: dict(counts) for name, counts in sorted(corpora.items())},
    }

