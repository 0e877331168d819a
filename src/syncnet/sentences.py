"""The sentences of the GRID corpus (Cooke, Barker, Cunningham & Shao 2006): six slots with a few words each.

A recording is named by its sentence, one letter per slot: `s1_bbaf2n` is speaker s1 saying "bin blue at f two now".
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Slot:
    """One place in the sentence: its name, the words that can stand there, and the letter that writes each."""

    name: str
    words: tuple[str, ...]
    letters: str


_ALPHABET = "abcdefghijklmnopqrstuvxyz"  # w is left out: its name alone has several syllables

GRID = (
    Slot("command", ("bin", "lay", "place", "set"), "blps"),
    Slot("colour", ("blue", "green", "red", "white"), "bgrw"),
    Slot("preposition", ("at", "by", "in", "with"), "abiw"),
    Slot("letter", tuple(_ALPHABET), _ALPHABET),
    Slot("digit", ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"), "z123456789"),
    Slot("adverb", ("again", "now", "please", "soon"), "anps"),
)
"""The six slots in the order of the sentence: 4, 4, 4, 25, 10 and 4 words."""


def word_numbers(code: str) -> tuple[int, ...]:
    """The number of each word in its slot, six of them; raises ValueError for what is no sentence of the grammar."""
    if len(code) != len(GRID):
        raise ValueError(f"{code!r} has {len(code)} letters, a sentence has {len(GRID)}")
    for slot, letter in zip(GRID, code, strict=True):
        if letter not in slot.letters:
            raise ValueError(f"{code!r}: {letter!r} is no {slot.name} (one of {' '.join(slot.letters)})")
    return tuple(slot.letters.index(letter) for slot, letter in zip(GRID, code, strict=True))


def words(numbers: tuple[int, ...]) -> tuple[str, ...]:
    """The words of a sentence from their numbers."""
    return tuple(slot.words[number] for slot, number in zip(GRID, numbers, strict=True))


def code_in(name: str) -> str | None:
    """The sentence's code at the end of a file's name (`s1_bbaf2n.mkv` or `bbaf2n.mpg`), None where there is none."""
    stem = name.rsplit("/", 1)[-1].split(".", 1)[0]
    code = stem.rsplit("_", 1)[-1].lower()
    try:
        word_numbers(code)
    except ValueError:
        return None
    return code
