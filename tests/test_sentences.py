"""The grammar of GRID: its slots, its letters, and which file names hold a sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncnet.sentences import GRID, code_in, word_numbers, words

codes = st.tuples(*(st.sampled_from(slot.letters) for slot in GRID)).map("".join)


def test_the_slots_are_those_of_the_corpus() -> None:
    assert [len(slot.words) for slot in GRID] == [4, 4, 4, 25, 10, 4]
    assert [slot.name for slot in GRID] == ["command", "colour", "preposition", "letter", "digit", "adverb"]
    for slot in GRID:
        assert len(slot.letters) == len(slot.words) == len(set(slot.letters))
    assert "w" not in GRID[3].letters


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("bbaf2n", "bin blue at f two now"),
        ("swwpzs", "set white with p zero soon"),
        ("lgix9a", "lay green in x nine again"),
        ("prbi1p", "place red by i one please"),
    ],
)
def test_codes_are_read_as_the_corpus_writes_them(code: str, sentence: str) -> None:
    assert " ".join(words(word_numbers(code))) == sentence


@given(codes)
def test_every_code_comes_back(code: str) -> None:
    numbers = word_numbers(code)
    assert "".join(slot.letters[number] for slot, number in zip(GRID, numbers, strict=True)) == code
    assert code_in(f"clips/grid/s12_{code}.mkv") == code_in(f"{code}.MPG") == code


@pytest.mark.parametrize("code", ["", "bbaf2", "bbaf2nn", "xbaf2n", "bbaw2n", "bbaf0n"])
def test_other_letters_are_no_sentence(code: str) -> None:
    with pytest.raises(ValueError, match=r"letters, a sentence has|is no "):
        word_numbers(code)


@pytest.mark.parametrize("name", ["183bed6295.mkv", "talk.mp4", "s1_.mkv", "clips/bbaf2n/other.mkv", "s1-bbaf2n.mkv"])
def test_other_names_hold_no_sentence(name: str) -> None:
    assert code_in(name) is None
