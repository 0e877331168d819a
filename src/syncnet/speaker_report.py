"""Who speaks when, in words, JSON, the AVA-ActiveSpeaker table and RTTM."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from syncnet.active_speaker import FPS, SPEAKING
from syncnet.speaker_results import FaceSpeech, SpeakersResult
from syncnet.speaker_truth import SPEAKING as AUDIBLE
from syncnet.speaker_truth import FaceRow, Segment, ava_table, rttm_lines
from syncnet.turns import OFFSCREEN, Turn
from syncnet.voice import runs


def in_words(result: SpeakersResult) -> str:
    """The turns as one would say them: "A speaks 0.0-4.2 s, B 4.4-9.0 s, off-screen 9.0-11.5 s"."""
    if not result.turns:
        return "no answer: " + "; ".join(result.reasons) if result.reasons else "nobody speaks long enough to tell"
    parts = []
    for number, turn in enumerate(result.turns):
        verb = " speaks" if number == 0 and turn.speaker != OFFSCREEN else ""
        verb = verb or (" voice" if number == 0 else "")
        doubt = "" if turn.sure else " (unsure)"
        parts.append(f"{turn.speaker}{verb} {turn.start_s:.1f}-{turn.end_s:.1f} s{doubt}")
    return ", ".join(parts)


def lines_in_words(result: SpeakersResult) -> list[str]:
    """The answer for a file, then the offset it rests on, each person, and what is to be said about the file."""
    lines = [f"{result.file}: {in_words(result)}"]
    if result.turns and result.reasons:
        lines.append(f"  {'; '.join(result.reasons)}")
    if result.faces:
        lines.append(f"  {offset_in_words(result)}; every moment is judged by {result.window} frames around it")
    for person in result.people:
        seen = sum(len(f.state) for f in result.faces if f.person == person.name) / FPS
        spoken = sum(t.end_s - t.start_s for t in result.turns if t.speaker == person.name)
        tracks = "track" if len(person.tracks) == 1 else "tracks"
        numbers = ", ".join(str(t) for t in person.tracks)
        lines.append(f"  {person.name}: {tracks} {numbers}, seen {seen:.1f} s, speaks {spoken:.1f} s")
    lines += [f"  note: {problem}" for problem in result.problems]
    return lines


def offset_in_words(result: SpeakersResult) -> str:
    """What is known about the offset."""
    if result.offset_from == "assumed":
        return "no face tells the offset, so sound and picture are taken to be in sync"
    return f"{result.offset_in_words} ({result.offset_from})"


def result_dict(result: SpeakersResult) -> dict[str, Any]:
    """The JSON object of a result; the schema is documented in docs/speakers.md."""
    return {
        "file": result.file,
        "words": in_words(result),
        "reasons": list(result.reasons),
        "problems": list(result.problems),
        "start_s": round(result.start_s, 3),
        "duration_s": round(result.duration_s, 3),
        "offset_ms": round(result.offset_ms, 1),
        "offset_from": result.offset_from,
        "offset_words": offset_in_words(result),
        "window_frames": result.window,
        "turns": [_turn_dict(turn) for turn in result.turns],
        "people": [
            {
                "name": person.name,
                "tracks": list(person.tracks),
                "portrait_s": round(person.portrait.time_s, 3),
                "portrait_box": [round(v, 1) for v in person.portrait.box],
            }
            for person in result.people
        ],
        "faces": [_face_dict(face) for face in result.faces],
        "voice": [[round(a, 3), round(b, 3)] for a, b in result.voice],
        "shots": [round(s, 3) for s in result.shots],
        "model": result.model,
    }


def _turn_dict(turn: Turn) -> dict[str, Any]:
    return {
        "start_s": round(turn.start_s, 3),
        "end_s": round(turn.end_s, 3),
        "speaker": None if turn.speaker == OFFSCREEN else turn.speaker,
        "confidence": round(turn.confidence, 3),
        "sure": turn.sure,
    }


def _face_dict(face: FaceSpeech) -> dict[str, Any]:
    spoken = [(face.start_s + a / FPS, face.start_s + b / FPS) for a, b in runs(face.state == SPEAKING)]
    score = face.score[np.isfinite(face.score)]
    return {
        "id": face.id,
        "person": face.person,
        "shot": face.shot,
        "start_s": round(face.start_s, 3),
        "end_s": round(face.end_s, 3),
        "face_px": round(face.face_px, 1),
        "score": round(float(score.mean()), 3) if len(score) else None,
        "speaking": [[round(a, 3), round(b, 3)] for a, b in spoken],
    }


def face_rows(result: SpeakersResult) -> Iterator[FaceRow]:
    """Every face at every frame as a prediction in the AVA-ActiveSpeaker sense, in order of time."""
    video = Path(result.file).stem
    every = sorted((float(t), n, k) for n, f in enumerate(result.faces) for k, t in enumerate(f.times))
    size = np.array([result.width, result.height] * 2, np.float64)
    for time, number, k in every:
        face = result.faces[number]
        x0, y0, x1, y1 = (float(v) for v in np.clip(face.boxes[k] / size, 0.0, 1.0))
        entity = f"{video}:{face.person}"
        yield FaceRow(video, time, (x0, y0, x1, y1), AUDIBLE, entity, float(face.probability[k]))


def ava_csv(results: list[SpeakersResult]) -> str:
    """The table of all faces of some files: video, time, box, label, entity, score; no header, as AVA has it."""
    return "".join(ava_table(face_rows(result)) for result in results)


def segments(result: SpeakersResult) -> list[Segment]:
    """The turns on the clock of the sound, which is what diarisation is about; off-screen voice is a speaker too."""
    name, late = Path(result.file).stem, result.offset_ms / 1000.0
    return [Segment(name, max(0.0, t.start_s + late), t.end_s + late, t.speaker) for t in result.turns]


def rttm(results: list[SpeakersResult]) -> str:
    """The turns of some files as RTTM."""
    return "".join(rttm_lines(segments(result)) for result in results)
