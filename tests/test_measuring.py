"""A second file with the same pictures is only listened to, and measures as if it had been watched."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from repair_media import ffmpeg, late_by, make
from syncnet.encoder import default_encoder
from syncnet.measuring import Measuring, same_pictures
from syncnet.mend import fix
from syncnet.repair import NotBetter, repair
from syncnet.timeline import Timeline

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the ffmpeg program makes the media")


def moved(clip: Path, out: Path, ms: float) -> Path:
    """The clip with its sound moved, pictures copied."""
    late = f"{ms / 1e3:.3f}"
    sources = ("-i", clip, "-itsoffset", late, "-i", clip, "-map", "0:v", "-map", "1:a")
    ffmpeg("-v", "error", *sources, "-c:v", "copy", "-c:a", "aac", out)
    return out


def test_the_same_pictures_are_told_from_others(tmp_path: Path) -> None:
    source = make(tmp_path, "mkv", late_by(0))
    early = tmp_path / "early.mkv"
    repair(source, early, measure=never, mode="timestamps", offset_ms=300.0, verify=False)
    by = same_pictures(source, early)
    assert by is not None and by == pytest.approx(0.3, abs=0.02)  # Matroska moves the pictures later instead
    other = tmp_path / "other.mkv"
    ffmpeg("-v", "error", "-i", source, "-vf", "negate", "-c:a", "copy", other)
    assert same_pictures(source, other) is None


def never(path: Path, on_time: object) -> Timeline:
    raise AssertionError("not asked for")


def test_listening_again_says_what_watching_again_would(clip: Callable[[str], Path], tmp_path: Path) -> None:
    source = clip("talking")
    late = moved(source, tmp_path / f"late{source.suffix}", 120)
    encoder = default_encoder(threads=1)
    measuring = Measuring(encoder)
    measuring(source)
    assert same_pictures(source, late) == pytest.approx(0, abs=0.002)
    heard, watched = measuring(late), Measuring(encoder)(late)
    assert heard.kind == watched.kind
    assert heard.reasons == watched.reasons
    assert heard.offset_ms == (None if watched.offset_ms is None else pytest.approx(watched.offset_ms, abs=1.0))


def test_a_wrong_repair_of_a_talking_face_is_not_kept(clip: Callable[[str], Path], tmp_path: Path) -> None:
    source = clip("talking")
    out = tmp_path / f"fixed{source.suffix}"
    measure = Measuring(default_encoder(threads=1))
    before = measure(source)
    if before.offset_ms is None:
        pytest.skip("this model has no answer for the drawn face")
    away = 700.0 if before.offset_ms > 0 else -700.0
    try:
        fix(source, out, offset_ms=-away)
    except NotBetter as error:
        assert "not" in str(error) and not out.exists()
    else:  # kept only if it measures better
        after = measure(out).mean_error_ms
        assert after is not None and before.mean_error_ms is not None and after < before.mean_error_ms
