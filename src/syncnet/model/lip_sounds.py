"""How the words of GRID are said, in the ARPAbet's sounds: what the classifier also learns to follow while training."""

from __future__ import annotations

from syncnet.sentences import GRID, words

PRONOUNCED = {
    "bin": "B IH N", "lay": "L EY", "place": "P L EY S", "set": "S EH T",
    "blue": "B L UW", "green": "G R IY N", "red": "R EH D", "white": "W AY T",
    "at": "AE T", "by": "B AY", "in": "IH N", "with": "W IH DH",
    "a": "EY", "b": "B IY", "c": "S IY", "d": "D IY", "e": "IY", "f": "EH F", "g": "JH IY", "h": "EY CH", "i": "AY",
    "j": "JH EY", "k": "K EY", "l": "EH L", "m": "EH M", "n": "EH N", "o": "OW", "p": "P IY", "q": "K Y UW",
    "r": "AA R", "s": "EH S", "t": "T IY", "u": "Y UW", "v": "V IY", "x": "EH K S", "y": "W AY", "z": "Z EH D",
    "zero": "Z IY R OW", "one": "W AH N", "two": "T UW", "three": "TH R IY", "four": "F AO R", "five": "F AY V",
    "six": "S IH K S", "seven": "S EH V AH N", "eight": "EY T", "nine": "N AY N",
    "again": "AH G EH N", "now": "N AW", "please": "P L IY Z", "soon": "S UW N",
}  # fmt: skip
"""British English, as GRID's speakers are."""

SOUNDS = tuple(sorted({sound for said in PRONOUNCED.values() for sound in said.split()}))


def sounds_of(numbers: tuple[int, ...]) -> tuple[int, ...]:
    """The sounds of a sentence in their order, numbered from 1 (0 is the blank between them)."""
    assert len(numbers) == len(GRID)
    return tuple(SOUNDS.index(sound) + 1 for word in words(numbers) for sound in PRONOUNCED[word].split())
