import pytest

from syncnet.side import side


@pytest.mark.parametrize(
    ("offset_ms", "words"),
    [(120.0, "120 ms late"), (-40.4, "40 ms early"), (0.4, "0 ms off"), (-0.4, "0 ms off"), (0.6, "1 ms late")],
)
def test_side(offset_ms: float, words: str) -> None:
    assert side(offset_ms) == words
