"""Scores of a set as a table, as CSV and as JSON, each with the recipe, the network and the versions in it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from syncnet.journal import Record
from syncnet.recipes import Recipe
from syncnet.score import FPS
from syncnet.score_set import Network, set_mean

OFFSET = "reference offset"
OFFSET_SIGN = "frames, positive = audio leads"


def figure_names(recipe: Recipe, network: Network) -> tuple[str, str]:
    """What distance and confidence are called: LSE only with the released network, and marked where corrected."""
    if not network.released:
        return "SN-D", "SN-C"
    return ("LSE-D corrected", "LSE-C corrected") if recipe.corrected else ("LSE-D", "LSE-C")


def offset_in_words(reference_offset: float) -> str:
    """An offset in the reference's frames as one would say it, in our words and milliseconds."""
    if reference_offset == 0:
        return "audio is in sync"
    frames = abs(reference_offset)
    side = "early (leads the picture)" if reference_offset > 0 else "late (lags the picture)"
    return f"audio is {1000 * frames / FPS:.0f} ms {side}"


def as_json(
    records: Sequence[Record], recipe: Recipe, network: Network, versions: dict[str, str], *, curves: bool = True
) -> str:
    """One JSON document: recipe with its steps, network, versions, every clip with its tracks, and the set's mean."""
    names = [_key(name) for name in figure_names(recipe, network)]
    document = {
        "recipe": {"id": recipe.id, "title": recipe.title, "steps": list(recipe.steps)},
        "model": network.identity,
        "versions": versions,
        "offset_sign": f"reference_offset_frames: {OFFSET_SIGN}; offset_ms: audio time - video time, negative = early",
        "clips": [_clip(record, names, curves) for record in records],
        "mean": _mean(records, recipe, names),
    }
    return json.dumps(document, indent=2)


def _clip(record: Record, names: Sequence[str], curves: bool) -> Record:
    if "error" in record:
        return {"file": record["file"], "error": record["error"]}
    tracks = [
        {
            "start_s": round(track["start"], 3),
            "end_s": round(track["end"], 3),
            **_figures(track, names),
            "windows": track["windows"],
            **({"curve": track["curve"]} if curves else {}),
        }
        for track in record["tracks"]
    ]
    return {"file": record["file"], **_figures(record, names), "notes": record["notes"], "tracks": tracks}


def _figures(row: Record, names: Sequence[str]) -> Record:
    offset = row["reference_offset"]
    return {
        names[0]: row["distance"],
        names[1]: row["confidence"],
        "reference_offset_frames": offset,
        "offset_ms": -1000.0 * offset / FPS if offset else 0.0,
        "in_words": offset_in_words(offset),
    }


def _mean(records: Sequence[Record], recipe: Recipe, names: Sequence[str]) -> Record | None:
    mean = set_mean(records, recipe)
    if mean is None:
        return None
    return {**{k: mean[k] for k in ("over", "rows", "clips", "failed")}, names[0]: mean["distance"],
            names[1]: mean["confidence"]}


def _key(name: str) -> str:
    return name.lower().replace("-", "_").replace(" ", "_")


def as_csv(records: Sequence[Record], recipe: Recipe, network: Network, versions: dict[str, str]) -> str:
    """A table with one row per track, and one per file that failed; recipe, network and versions in every row."""
    names = [_key(name) for name in figure_names(recipe, network)]
    made_with = {
        "recipe": recipe.id,
        "model": network.identity.get("name", network.name),
        "model_hash": network.identity.get("hash", ""),
        "versions": " ".join(f"{name}={version}" for name, version in versions.items()),
    }
    out = io.StringIO()
    head = ["file", "track", "start_s", "end_s", *names, "reference_offset_frames_positive_audio_leads", "windows"]
    writer = csv.DictWriter(out, [*head, "error", *made_with], restval="", lineterminator="\n")
    writer.writeheader()
    for record in records:
        if "error" in record:
            writer.writerow({"file": record["file"], "error": record["error"], **made_with})
        for k, track in enumerate(record.get("tracks", [])):
            values = [record["file"], k, round(track["start"], 3), round(track["end"], 3), track["distance"],
                      track["confidence"], track["reference_offset"], track["windows"]]
            writer.writerow({**dict(zip(head, values, strict=True)), **made_with})
    return out.getvalue()


def as_table(records: Sequence[Record], recipe: Recipe, network: Network, versions: dict[str, str]) -> str:
    """The lines to print: what was done, one line per track, the set's mean, and doubts."""
    names = figure_names(recipe, network)
    hash_ = network.identity.get("hash", "no hash")
    lines = [
        f"recipe {recipe.id}: {recipe.title}",
        f"model {network.identity.get('name', network.name)} ({hash_})",
        "versions " + ", ".join(f"{name} {version}" for name, version in versions.items()),
        f"{OFFSET}: {OFFSET_SIGN}",
        "",
    ]
    head = ["file", "from", "to", *names, OFFSET, "in words"]
    rows = [_row(record["file"], track) for record in records for track in record.get("tracks", [])]
    lines += _aligned([head, *rows]) if rows else []
    mean = set_mean(records, recipe)
    if mean:
        lines += [
            "",
            f"mean over {mean['rows']} {mean['over']}: {names[0]} {mean['distance']:.3f}, "
            f"{names[1]} {mean['confidence']:.3f}"
            + (f" ({mean['failed']} of {len(records)} files left out)" if mean["failed"] else ""),
        ]
    for record in records:
        lines += [f"note: {record['file']}: {note}" for note in record.get("notes", [])]
    return "\n".join(lines)


def _row(file: str, track: dict[str, Any]) -> list[str]:
    return [
        Path(file).name,
        f"{track['start']:.2f}",
        f"{track['end']:.2f}",
        f"{track['distance']:.3f}",
        f"{track['confidence']:.3f}",
        f"{track['reference_offset']:+d}",
        offset_in_words(track["reference_offset"]),
    ]


def _aligned(rows: list[list[str]]) -> list[str]:
    """Columns to their widest entry, words to the left and numbers to the right."""
    last = len(rows[0]) - 1
    widths = [max(len(row[k]) for row in rows) for k in range(last + 1)]
    return [
        "  ".join(
            cell.ljust(width) if k in (0, last) else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
