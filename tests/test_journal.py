"""The journal: what was finished stays, what was half written goes, other work is refused."""

from pathlib import Path

import pytest

from syncnet.errors import InputError
from syncnet.journal import Journal

WORK = {"recipe": "r@1", "model": {"name": "m", "hash": "h"}}


def test_records_come_back_exactly(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    journal = Journal(path, WORK)
    value = 0.1 + 0.2
    journal.append({"file": "a", "distance": value, "curve": [None, 1e-45]})
    journal.append({"file": "b", "error": "no face"})
    again = Journal(path, WORK)
    assert again.records == {
        "a": {"file": "a", "distance": value, "curve": [None, 1e-45]},
        "b": {"file": "b", "error": "no face"},
    }
    assert list(again.records) == ["a", "b"]


def test_the_last_record_of_a_file_counts(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", WORK)
    journal.append({"file": "a", "distance": 1})
    journal.append({"file": "a", "distance": 2})
    assert Journal(tmp_path / "j", WORK).records["a"]["distance"] == 2


@pytest.mark.parametrize("keep", [1, 10, 25])
def test_a_line_that_was_not_finished_is_cut_off(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "j"
    journal = Journal(path, WORK)
    journal.append({"file": "a", "distance": 1})
    whole = path.read_bytes()
    journal.append({"file": "b", "distance": 2.5, "confidence": 3.5})
    path.write_bytes(path.read_bytes()[: len(whole) + keep])
    again = Journal(path, WORK)
    assert list(again.records) == ["a"]
    assert path.read_bytes() == whole
    again.append({"file": "b", "distance": 2})
    assert list(Journal(path, WORK).records) == ["a", "b"]


@pytest.mark.parametrize("keep", [1, 5, 20])
def test_a_first_line_that_was_not_finished_is_begun_again(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "j"
    Journal(path, WORK)
    whole = path.read_bytes()
    path.write_bytes(whole[:keep])
    assert Journal(path, WORK).records == {}
    assert path.read_bytes() == whole


def test_other_work_is_refused_and_named(tmp_path: Path) -> None:
    path = tmp_path / "j"
    Journal(path, WORK).append({"file": "a"})
    before = path.read_bytes()
    with pytest.raises(InputError, match=r'begun with another recipe: begun with {"recipe": "r@1"}, now'):
        Journal(path, {**WORK, "recipe": "other@1"})
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"[1]\n", b'{"x": 1}\n', b"film without a line end", b"\x00\xff\n"])
def test_a_file_that_is_no_journal_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "j"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is no journal of this program"):
        Journal(path, WORK)
    assert path.read_bytes() == content


def test_places_that_cannot_be_written_are_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be used as a journal: Is a directory"):
        Journal(tmp_path, WORK)
    with pytest.raises(InputError, match="cannot be written: No such file"):
        Journal(tmp_path / "absent" / "j", WORK)
