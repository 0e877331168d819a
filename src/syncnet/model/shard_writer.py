"""Training shards on disk: the pictures and the sound of many clips, and a manifest that points into them."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from syncnet.errors import InputError
from syncnet.model.prepared import Clip, PrepareConfig, Prepared
from syncnet.model.sources import Source

SHARD_BYTES = 512 * 2**20
"""A shard's pictures grow to about this size before the next shard is begun."""


class ShardWriter:
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
        """Append the clips of a file; its line in files.jsonl comes last, so that a kill before it undoes them all."""
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
        """Close the open shard and both lists."""
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
