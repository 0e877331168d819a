"""What was read from the lips, in words and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from syncnet.lipread import ONLY_KNOWS, Reading

_OTHERS = 2  # next likeliest words shown beside each word


def as_lines(reading: Reading, *, faces: int) -> str:
    """The sentence, then a line per word with its probability and the next likeliest words."""
    whose = f" (face {reading.track})" if faces > 1 else ""
    lines = [f"{reading.start_s:.2f}-{reading.end_s:.2f} s{whose}: {reading.sentence}"]
    for word in reading.words:
        others = ", ".join(f"{other} {chance:.2f}" for other, chance in word.others[:_OTHERS])
        lines.append(f"  {word.slot:<12}{word.word:<8}{word.probability:.2f}   or {others}")
    return "\n".join([*lines, *(f"note: {note}" for note in reading.notes)])


def as_document(file: Path, readings: Sequence[Reading], reader: dict[str, Any]) -> dict[str, Any]:
    """Plain values for JSON: every face's sentence with the probability of every word."""
    return {
        "file": str(file),
        "reader": reader,
        "only_knows": ONLY_KNOWS,
        "faces": [
            {
                "track": reading.track,
                "start_s": round(reading.start_s, 3),
                "end_s": round(reading.end_s, 3),
                "sentence": reading.sentence,
                "words": [
                    {
                        "slot": word.slot,
                        "word": word.word,
                        "probability": word.probability,
                        "others": dict(word.others),
                    }
                    for word in reading.words
                ],
                "notes": list(reading.notes),
            }
            for reading in readings
        ],
    }
