"""Speech with the exact time of every phone, from the espeak-ng library; and things to say."""

from __future__ import annotations

import ctypes
import ctypes.util
import io
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

LANGUAGES = tuple("en-us en en-gb-scotland de fr es es-419 it pt pt-br nl pl sv ro tr id sw fi hu cs".split())
_SYNCHRONOUS, _PHONEME_EVENTS, _PHONEME_IPA, _NO_EXIT = 2, 1, 2, 0x8000
_EVENT_END, _EVENT_PHONEME = 0, 7
_RATE, _PITCH, _RANGE = 1, 3, 4
_UTF8 = 1
_UNVOICED_STOPS, _VOICED_STOPS = "ptkcq", "bdɡgɖɟɓɗ"

_SUBJECTS = "my brother|the old farmer|Barbara|every pupil|Paul|a famous baker|the woman by the window|Bob".split("|")
_VERBS = "bought|forgot|wants to move|found|must paint|would love|never shows|happily opened|saw|moved".split("|")
_OBJECTS = (
    "five blue plums|the empty boat|a warm apple pie|most of the money|an awful map|the piano upstairs|"
    "some wooden boxes|a very small problem|the main bridge|your favourite book|big yellow flowers|both of the rooms"
).split("|")
_ENDINGS = (
    "before breakfast|on Monday morning|by the river|with a smile|from above|without a word|if possible|"
    "for the whole family|in the middle of the village|as far as we know|maybe"
).split("|")


@dataclass(frozen=True)
class Phone:
    """One speech sound; seconds. `release` is when a stop opens, and equals `end` for all other sounds."""

    symbol: str  # IPA; "" is silence
    start: float
    end: float
    release: float


@dataclass(frozen=True)
class Speech:
    """Mono samples (N,) float32 in [-1, 1] at `rate` per second, and the phones in them in order, without gaps."""

    samples: NDArray[np.float32]
    rate: int
    phones: tuple[Phone, ...]


@dataclass(frozen=True)
class Voice:
    """An espeak-ng voice: a language with a variant, words per minute, pitch and its range 0..99."""

    language: str = "en-us"
    variant: str = "m1"
    rate: int = 165
    pitch: int = 50
    range: int = 50


class SpeechMissing(RuntimeError):
    """The espeak-ng library cannot be loaded here."""


class _Id(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    ]


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@cache
def _library() -> tuple[Any, int]:
    """The loaded library and its sample rate."""
    places: list[tuple[str | None, bytes | None]] = [
        ("libespeak-ng.so.1", None),
        (ctypes.util.find_library("espeak-ng"), None),
        _from_wheel(),
    ]
    for place, data in places:
        if place is None:
            continue
        try:
            library = ctypes.CDLL(place)
        except OSError:
            continue
        rate = int(library.espeak_Initialize(_SYNCHRONOUS, 200, data, _PHONEME_EVENTS | _PHONEME_IPA | _NO_EXIT))
        if rate > 0:
            return library, rate
    raise SpeechMissing(
        "espeak-ng is not installed: try `apt-get install espeak-ng` or `pip install espeakng-loader`, then again"
    )


def _from_wheel() -> tuple[str | None, bytes | None]:
    """Library and voices of the package `espeakng-loader`, where it is installed."""
    try:
        import espeakng_loader
    except ImportError:
        return None, None
    return str(espeakng_loader.get_library_path()), str(espeakng_loader.get_data_path()).encode()


def available() -> bool:
    """Whether espeak-ng can be used here."""
    try:
        _library()
    except SpeechMissing:
        return False
    return True


def say(text: str, voice: Voice) -> Speech:
    """Speech of `text`, the same every time. Raises SpeechMissing, or ValueError for a voice that is not there."""
    return _in_own_process({"text": text, "voice": asdict(voice)})


def talk(seed: int, voice: Voice, seconds: float) -> Speech:
    """Sentence after sentence with pauses between them, at least `seconds` long, the same for the same seed."""
    return _in_own_process({"seed": seed, "seconds": seconds, "voice": asdict(voice)})


def _in_own_process(request: dict[str, Any]) -> Speech:
    """The library's sound depends on what it said before; a process of its own makes it begin afresh."""
    _library()
    done = subprocess.run(
        [sys.executable, __file__], input=json.dumps(request).encode(), capture_output=True, check=False
    )
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise ValueError(said[-1].removeprefix("ValueError: ") if said else "the voice stopped without a word")
    with np.load(io.BytesIO(done.stdout)) as data:
        spans = [(float(a), float(b), float(c)) for a, b, c in data["spans"]]
        phones = tuple(Phone(str(symbol), *span) for symbol, span in zip(data["symbols"], spans, strict=True))
        return Speech(np.asarray(data["samples"], dtype=np.float32), int(data["rate"]), phones)


def _answer() -> None:
    request = json.loads(sys.stdin.buffer.read())
    voice = Voice(**request["voice"])
    if "text" in request:
        speech = _speak(request["text"], voice)
    else:
        speech = _talk(np.random.default_rng([request["seed"], 8]), voice, request["seconds"])
    spans = np.array([(phone.start, phone.end, phone.release) for phone in speech.phones])
    symbols = np.array([phone.symbol for phone in speech.phones])
    out = io.BytesIO()
    np.savez(out, samples=speech.samples, rate=np.array(speech.rate), spans=spans, symbols=symbols)
    sys.stdout.buffer.write(out.getvalue())


def _speak(text: str, voice: Voice) -> Speech:
    """Say `text`; phones carry the moments at which the sound itself changes."""
    library, rate = _library()
    chunks: list[NDArray[np.int16]] = []
    marks: list[tuple[int, str]] = []

    def on_sound(wave: Any, count: int, events: Any) -> int:
        if count > 0:
            chunks.append(np.ctypeslib.as_array(wave, (count,)).copy())
        index = 0
        while events[index].type != _EVENT_END:
            if events[index].type == _EVENT_PHONEME:
                symbol = events[index].id.string.decode("utf-8", "ignore").strip("ˈˌ")
                if not symbol.startswith("("):  # "(en)" only says that another language begins
                    marks.append((events[index].sample, symbol))
            index += 1
        return 0

    callback = _CALLBACK(on_sound)
    library.espeak_SetSynthCallback(callback)
    name = f"{voice.language}+{voice.variant}"
    if library.espeak_SetVoiceByName(name.encode()) != 0:
        raise ValueError(f"espeak-ng has no voice {name}; `espeak-ng --voices` lists the languages")
    for parameter, value in ((_RATE, voice.rate), (_PITCH, voice.pitch), (_RANGE, voice.range)):
        library.espeak_SetParameter(parameter, value, 0)
    data = text.encode()
    library.espeak_Synth(data, len(data) + 1, 0, 1, 0, _UTF8, None, None)
    library.espeak_Synchronize()
    if not chunks:
        raise ValueError(f"espeak-ng found nothing to say in {text!r}")
    samples = np.concatenate(chunks).astype(np.float32) / np.float32(32768)
    return Speech(samples, rate, _phones(samples, rate, marks))


def _phones(samples: NDArray[np.float32], rate: int, marks: list[tuple[int, str]]) -> tuple[Phone, ...]:
    """Phones from the library's marks. It marks an unvoiced stop at its burst; the silence before belongs to it too."""
    total = len(samples) / rate
    times = [0.0, *(min(mark / rate, total) for mark, _ in marks), total]
    symbols = ["", *(symbol for _, symbol in marks)]
    starts = list(times)
    for i, symbol in enumerate(symbols):
        if symbol[:1] and symbol[0] in _UNVOICED_STOPS:
            earliest = max(times[i] - 0.12, (times[i - 1] + times[i]) / 2 if symbols[i - 1] else times[i] - 0.09)
            starts[i] = max(_silence_start(samples, rate, times[i], max(earliest, 0.0)), starts[i - 1])
    phones = []
    for i, symbol in enumerate(symbols):
        start, end = starts[i], starts[i + 1]
        release = end
        if symbol[:1] and symbol[0] in _UNVOICED_STOPS:
            release = times[i]
        elif symbol[:1] and symbol[0] in _VOICED_STOPS:
            release = start + 0.7 * (end - start)
        if end > start:
            phones.append(Phone(symbol, start, end, min(max(release, start), end)))
    return tuple(phones)


def _silence_start(samples: NDArray[np.float32], rate: int, burst: float, earliest: float) -> float:
    """Where the quiet that ends at `burst` began, no earlier than `earliest`; seconds."""
    step = rate // 200
    loud = 0.02 * float(np.abs(samples).max())
    position = int(burst * rate) - step
    while position - step > earliest * rate and float(np.abs(samples[position - step : position]).max()) < loud:
        position -= step
    return max(min(position / rate, burst), earliest)


def random_voice(rng: np.random.Generator, language: str | None = None) -> Voice:
    """A voice by lot."""
    languages = LANGUAGES if rng.random() < 0.6 else LANGUAGES[:3]
    chosen = str(rng.choice(languages))
    return Voice(
        language=language or chosen,
        variant=str(rng.choice(["m1", "m2", "m3", "m4", "m5", "m6", "m7", "f1", "f2", "f3", "f4", "f5"])),
        rate=int(rng.integers(130, 200)),
        pitch=int(rng.integers(25, 75)),
        range=int(rng.integers(30, 80)),
    )


def random_sentence(rng: np.random.Generator, language: str) -> str:
    """Something to say: English sentences, numbers, or made-up words that use every lip shape."""
    kind = rng.random()
    if language.startswith("en") and kind < 0.65:
        parts = [str(rng.choice(words)) for words in (_SUBJECTS, _VERBS, _OBJECTS, _ENDINGS)]
        return " ".join(parts if rng.random() < 0.7 else parts[:3]) + "."
    if kind < 0.75:
        return ", ".join(str(int(10 ** rng.uniform(0.5, 4.5))) for _ in range(int(rng.integers(1, 4)))) + "."
    words = []
    for _ in range(int(rng.integers(3, 8))):
        syllables = ["".join(rng.choice(list(part)) for part in ("bpmfvwtdnlsrgk", "aeiou")) for _ in range(3)]
        words.append("".join(syllables[: int(rng.integers(1, 4))]) + str(rng.choice(["", "", "n", "m", "s", "l"])))
    return " ".join(words) + "."


def _talk(rng: np.random.Generator, voice: Voice, seconds: float) -> Speech:
    pieces: list[Speech] = []
    length = 0.0
    while length < seconds:
        piece = _speak(random_sentence(rng, voice.language), voice)
        pieces.append(add_pause(piece, float(rng.gamma(2.0, 0.12))))
        length += len(pieces[-1].samples) / piece.rate
    return join(pieces)


def add_pause(speech: Speech, seconds: float, *, before: float = 0.0) -> Speech:
    """The same with silence after it, and before it."""
    lead, tail = (np.zeros(round(s * speech.rate), dtype=np.float32) for s in (before, seconds))
    quiet = [Speech(part, speech.rate, _silent(len(part) / speech.rate)) for part in (lead, tail)]
    return join([quiet[0], speech, quiet[1]])


def _silent(seconds: float) -> tuple[Phone, ...]:
    return (Phone("", 0.0, seconds, seconds),) if seconds > 0 else ()


def join(pieces: list[Speech]) -> Speech:
    """One after the other; neighbouring silences become one."""
    phones: list[Phone] = []
    start = 0
    rate = pieces[0].rate
    for piece in pieces:
        shift = start / rate
        for phone in piece.phones:
            moved = Phone(phone.symbol, phone.start + shift, phone.end + shift, phone.release + shift)
            if phones and not phones[-1].symbol and not moved.symbol:
                moved = Phone("", phones.pop().start, moved.end, moved.end)
            phones.append(moved)
        start += len(piece.samples)
    return Speech(np.concatenate([piece.samples for piece in pieces]), rate, tuple(phones))


if __name__ == "__main__":
    _answer()
