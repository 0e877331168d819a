"""Refinement: planted faults are found and undone with the right sign, good clips stay, a stopped run goes on."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from typer.testing import CliRunner

from made_shards import TINY, make_shards
from syncnet.cli import app
from syncnet.errors import InputError
from syncnet.model import fits as fits_module
from syncnet.model.checkpoint import save
from syncnet.model.cleaned import read_rows, summary, write_refined
from syncnet.model.fits import Fit, offsets_ms, score_clips, spans
from syncnet.model.natural import Evidence, best_offset, error_constant, group_offset, peak_at, score_at, shrunk
from syncnet.model.network import SyncNet
from syncnet.model.refine import RefineConfig, Refined, judge, without_bias
from syncnet.model.separation import NOTHING, classes, draw_line, wrong_share
from syncnet.model.shards import Clip, read_crops, read_manifest, read_manifests

CLIPS = 48


class Watcher(nn.Module):
    """No network but what one should find in made clips: dark mouths go with loud sound, five numbers per window."""

    config = TINY

    def forward(self, crops: Tensor, mfcc: Tensor, mask: Tensor, *, wide: bool) -> tuple[Tensor, Tensor]:
        assert not wide  # this one has no second heads
        dark = -crops[:, :, 8:24, 8:24].mean((2, 3))
        video = dark.unfold(1, 5, 1)
        loud = mfcc[:, 0].unfold(1, 20, 1)  # (B, N - 19, 20)
        audio = loud.reshape(*loud.shape[:2], 5, 4).mean(3)
        return 10 * self._centred(video, None), 10 * self._centred(audio, mask)

    @staticmethod
    def _centred(x: Tensor, mask: Tensor | None) -> Tensor:
        rows = torch.ones(x.shape[:2]) if mask is None else mask.float()
        mean = (x * rows[..., None]).sum(1, keepdim=True) / rows.sum(1)[:, None, None].clamp(min=1)
        return nn.functional.normalize(x - mean, dim=-1)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return make_shards(tmp_path_factory.mktemp("shards"), clips=CLIPS, frames=130, lead_s=1.2)


def scored(clips: list[Clip], folder: Path) -> list[Fit | None]:
    return score_clips(Watcher(), clips, store=folder, identity="watcher")  # type: ignore[arg-type]


def with_sound_moved(clip: Clip, offset_ms: float) -> Clip:
    """The clip as if its sound came `offset_ms` later: the sound of the first picture lies further in."""
    return replace(clip, sound_lead_s=clip.sound_lead_s - offset_ms / 1000.0)


def with_sound_of(clip: Clip, other: Clip) -> Clip:
    return replace(clip, sound_at=other.sound_at, sound_samples=other.sound_samples)


def test_planted_faults_are_found_and_undone(shards: Path, tmp_path: Path) -> None:
    clips = read_manifest(shards)
    planted = {3: 400.0, 11: -300.0, 17: 650.0, 29: -550.0}
    wrong = {5: 6, 14: 30, 22: 1, 40: 41}
    changed = [with_sound_moved(c, planted[n]) if n in planted else with_sound_of(c, clips[wrong[n]]) if n in wrong
               else c for n, c in enumerate(clips)]
    refined = judge(changed, scored(changed, tmp_path), RefineConfig())
    for n, verdict in enumerate(refined.verdicts):
        if n in planted:
            assert verdict.word == "re-aligned" and verdict.offset_ms == pytest.approx(planted[n], abs=30), n
            assert ("late" if planted[n] > 0 else "early") in verdict.reason
        elif n in wrong:
            assert verdict.word == "dropped" and verdict.spans == (), n
    good = [v for n, v in enumerate(refined.verdicts) if n not in planted and n not in wrong]
    assert sum(v.word == "dropped" for v in good) <= 2  # at most 5 %
    assert refined.lines[2].clips == CLIPS and 0.05 < refined.lines[2].wrong < 0.4


def test_a_corpus_that_is_steadily_late_is_moved_as_a_whole(shards: Path, tmp_path: Path) -> None:
    clips = [with_sound_moved(c, 80.0) for c in read_manifest(shards)]
    refined = judge(clips, scored(clips, tmp_path), RefineConfig())
    assert refined.corpus_ms["made"] == pytest.approx(80.0, abs=15)
    moved = [v.offset_ms for v in refined.verdicts if v.word == "re-aligned"]
    assert len(moved) >= 0.9 * CLIPS and np.median(moved) == pytest.approx(80.0, abs=15)


def test_clips_without_sound_beside_the_lips_go(shards: Path, tmp_path: Path) -> None:
    clips = read_manifest(shards)
    clips[0] = replace(clips[0], sound_samples=16000)  # ends before the first picture
    verdicts = judge(clips, scored(clips, tmp_path), RefineConfig()).verdicts
    assert verdicts[0].word == "dropped" and verdicts[0].reason in ("silence", "too little sound beside the lips")
    assert sum(v.word == "dropped" for v in verdicts) <= 3


def test_a_wrong_stretch_is_cut_out(shards: Path, tmp_path: Path) -> None:
    clips = read_manifest(shards)
    long = make_shards(tmp_path / "long", clips=1, frames=600, lead_s=1.2, seed=5)
    data = np.memmap(long / "00000.sound", np.int16, "r+")
    a, b = round((1.2 + 250 / 25) * 16000), round((1.2 + 500 / 25) * 16000)
    data[a:b] = data[a:b][::-1]
    data.flush()
    both = [*clips, *read_manifest(long)]
    verdict = judge(both, scored(both, tmp_path / "scores"), RefineConfig()).verdicts[-1]
    assert verdict.word == "cut"
    kept = np.zeros(600, bool)
    for first, last in verdict.spans:
        kept[first:last] = True
    assert kept[:200].all() and kept[550:].all() and kept[250:500].mean() < 0.3


def test_a_stopped_run_goes_on_and_other_clips_are_scored_anew(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = read_manifest(shards)[:9]
    monkeypatch.setattr(fits_module, "CHUNK_FRAMES", 390)  # three clips
    done: list[int] = []

    def stop(frames: int) -> None:
        done.append(frames)
        if len(done) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_clips(Watcher(), clips, store=tmp_path, identity="w", on_done=stop)  # type: ignore[arg-type]
    assert len(list(tmp_path.glob("*.npz"))) == 2
    work: list[int] = []
    fresh = fits_module._score_chunk

    def counted(model: SyncNet, chunk: list[Clip]) -> list[Fit | None]:
        work.append(len(chunk))
        return fresh(model, chunk)

    monkeypatch.setattr(fits_module, "_score_chunk", counted)
    first = score_clips(Watcher(), clips, store=tmp_path, identity="w")  # type: ignore[arg-type]
    assert work == [3]
    again = score_clips(Watcher(), clips, store=tmp_path, identity="w")  # type: ignore[arg-type]
    assert work == [3]
    assert all(a is not None and b is not None and np.array_equal(a.depth, b.depth)
               for a, b in zip(first, again, strict=True))
    moved = [*clips[:8], with_sound_moved(clips[8], 100.0)]
    score_clips(Watcher(), moved, store=tmp_path, identity="w")  # type: ignore[arg-type]
    assert work == [3, 3]  # the chunk of the moved clip alone
    score_clips(Watcher(), moved, store=tmp_path, identity="another model")  # type: ignore[arg-type]
    assert work == [3] * 5 and len(list(tmp_path.glob("*.npz"))) == 3


def test_depths_are_those_of_the_curves_of_the_product(shards: Path, tmp_path: Path) -> None:
    fit = scored(read_manifest(shards)[:3], tmp_path)[0]
    assert fit is not None
    assert fit.spans.tolist() == [[0, 130]] and fit.windows.tolist() == [126]
    assert fit.depth.shape == fit.known.shape == fit.votes.shape == (1, 201)
    assert fit.stranger_depth.shape == (2, 1, 201)
    assert fit.votes.sum() == 126 and (fit.known == 126).sum() > 190
    assert offsets_ms()[fit.depth[0].argmax()] == pytest.approx(0.0, abs=30)
    assert fit.depth[0].max() > 2 * fit.stranger_depth.max()


def test_strangers_are_found_where_speakers_stand_together(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fits_module, "CHUNK_FRAMES", 8 * 130)
    clips = [replace(c, speaker="abc"[n // 8]) for n, c in enumerate(read_manifest(shards)[:24])]
    fits = scored(clips, tmp_path)
    assert all(f is not None and len(f.stranger_depth) >= 1 for f in fits)  # in the list's order there were none
    plain = read_manifest(shards)[5]
    alone = scored([plain], tmp_path / "alone")[0]
    assert alone is not None and fits[5] is not None and len(alone.stranger_depth) == 0
    assert np.allclose(alone.depth, fits[5].depth, atol=0.5)  # every fit is at its clip's place


@settings(deadline=None)
@given(st.integers(1, 2000), st.integers(1, 300))
def test_spans_cover_everything_once(frames: int, most: int) -> None:
    cut = spans(frames, most)
    assert [a for a, _ in cut] == [0, *(b for _, b in cut[:-1])] and cut[-1][1] == frames
    lengths = [b - a for a, b in cut]
    assert max(lengths) <= most and max(lengths) - min(lengths) <= 1


def test_the_line_is_where_strangers_end() -> None:
    rng = np.random.default_rng(0)
    strange, best = rng.normal(0, 1, 4000), rng.normal(3, 0.5, 4000)
    observed = np.concatenate([rng.normal(0, 1, 400), rng.normal(5, 1, 1600)])
    line = draw_line(observed, strange, best, found=0.95, lost=0.05)
    assert line.wrong == pytest.approx(0.2, abs=0.03)
    assert 1.6 < line.score < 3.0 and line.found >= 0.95 and line.lost < 0.03
    assert np.mean(observed[400:] < line.score) < 0.03 and line.high == pytest.approx(3 + 0.5 * 2.33, abs=0.1)


def test_where_evidence_is_weak_the_line_gives_way() -> None:
    rng = np.random.default_rng(1)
    strange = rng.normal(0, 1, 4000)
    observed = np.concatenate([rng.normal(0, 1, 400), rng.normal(1.0, 1, 1600)])
    line = draw_line(observed, strange, strange, found=0.95, lost=0.05)
    assert line.lost <= 0.05 and line.found < 0.7
    dropped_good = np.mean(observed[400:] < line.score)
    assert dropped_good < 0.12  # the estimate is rough here, but far from the 74 % that 0.95 would cost


def test_shifted_clips_that_score_below_strangers_do_not_pull_the_line_up() -> None:
    rng = np.random.default_rng(2)
    strange = rng.normal(0, 1, 4000)
    observed = np.concatenate([rng.normal(-4, 1, 200), rng.normal(0, 1, 200), rng.normal(6, 1, 1600)])
    line = draw_line(observed, strange, strange, found=0.95, lost=0.05)
    assert line.wrong == pytest.approx(0.2, abs=0.02)
    assert np.mean(observed[400:] < line.score) < 0.02 and np.mean(observed[:400] < line.score) > 0.95


def test_few_clips_draw_no_line() -> None:
    assert draw_line(np.zeros(5), np.zeros(10), np.zeros(10), found=0.9, lost=0.05) is NOTHING
    assert wrong_share(np.full(10, 9.0), np.zeros(10)) == 0.0
    assert classes([10, 46, 95, 96, 900], (46, 96)).tolist() == [0, 1, 1, 2, 2]


def evidence(centre_ms: float, windows: int = 100, deep: float = 2.0) -> Evidence:
    mean = deep * np.exp(-0.5 * ((offsets_ms() - centre_ms) / 50) ** 2)
    return Evidence(mean * windows, np.full(201, float(windows)), windows)


def test_offsets_of_clips_and_groups() -> None:
    assert best_offset(evidence(237.0), offsets_ms()) == pytest.approx(237.0, abs=1.0)
    assert np.isnan(best_offset(evidence(400.0), offsets_ms(), around_ms=0.0))  # only the flank is within reach
    assert group_offset([evidence(-38.0)] * 4, offsets_ms()) == pytest.approx(-38.0, abs=1.0)
    assert group_offset([evidence(-38.0)] * 2, offsets_ms()) is None  # 200 windows are too few
    assert group_offset([evidence(-80.0), evidence(80.0)] * 3, offsets_ms()) is None  # halves disagree
    assert peak_at(evidence(50.0), offsets_ms(), 0.0, 60.0) == pytest.approx(20.0, rel=1e-3)  # 2 * sqrt(100)
    assert peak_at(Evidence(np.zeros(201), np.zeros(201), 10), offsets_ms(), 0.0, 60.0) == -np.inf
    two = Evidence(evidence(0.0).depth + 0.8 * evidence(400.0).depth, np.full(201, 100.0), 100)
    assert score_at(two, offsets_ms(), 0.0, 40.0) == pytest.approx(20.0 - 0.5 * 16.0, rel=1e-3)
    assert score_at(two, offsets_ms(), 400.0, 40.0) == pytest.approx(16.0 - 0.5 * 20.0, rel=1e-3)
    assert score_at(Evidence(np.zeros(201), np.zeros(201), 10), offsets_ms(), 0.0, 60.0) == -np.inf


def test_short_clips_follow_their_group() -> None:
    constant = error_constant([(10.0, 30.0, 100)] * 20)
    assert constant == pytest.approx(100 * 100 / 0.455)
    assert error_constant([(0.0, 1.0, 50)]) == float("inf")
    assert shrunk(80.0, 100.0, 0.0, 300.0) == pytest.approx(60.0)
    assert shrunk(float("nan"), 100.0, -40.0, 300.0) == -40.0
    assert shrunk(80.0, float("inf"), -40.0, 300.0) == -40.0


def test_the_cleaned_manifest_reads_back(shards: Path, tmp_path: Path) -> None:
    clips = read_manifest(shards)
    rows = read_rows([shards])
    refined = judge(clips, [None] * len(clips), RefineConfig())
    verdicts = list(refined.verdicts)
    verdicts[1] = replace(verdicts[1], word="dropped", spans=())
    verdicts[2] = replace(verdicts[2], word="cut", spans=((0, 40), (80, 130)), offset_ms=50.0)
    told = Refined(tuple(verdicts), refined.lines, {}, {})
    write_refined(tmp_path / "clean", rows, told)
    back = {c.key: c for c in read_manifests([tmp_path / "clean"])}
    assert len(back) == CLIPS and "c1" not in back and "c2[80:130]" in back
    part = back["c2[80:130]"]
    assert np.array_equal(read_crops(part), read_crops(clips[2], 80, 50))
    assert part.sound_lead_s == pytest.approx(clips[2].sound_lead_s + 3.2) and part.offset_ms == 50.0
    reasons = [json.loads(line) for line in (tmp_path / "clean" / "verdicts.jsonl").read_text().splitlines()]
    assert len(reasons) == CLIPS and all(r["reason"] for r in reasons)
    figures = summary(clips, told)
    assert figures["verdicts"] == {"not scored": CLIPS - 2, "dropped": 1, "cut": 1}
    assert figures["frames"] == {"kept": 130 * (CLIPS - 1) - 40, "dropped": 170}
    with pytest.raises(InputError, match="changed"):
        write_refined(tmp_path / "clean", rows[:-1], told)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    model = SyncNet(TINY)
    save(tmp_path / "best.pt", {"network": TINY.to_dict(), "model": model.state_dict(),
                                "average": model.state_dict(), "step": 1})
    return tmp_path / "best.pt"


Run = Callable[[list[str]], tuple[int, str]]


def test_the_command_cleans_and_can_be_repeated(shards: Path, tmp_path: Path, checkpoint: Path) -> None:
    out = tmp_path / "clean"
    arguments = ["refine", str(shards), "--model", str(checkpoint), "--out", str(out), "--json"]
    first = CliRunner().invoke(app, arguments)
    assert first.exit_code == 0, first.output
    told = json.loads(first.stdout)
    assert told["clips"] == CLIPS and sum(told["verdicts"].values()) == CLIPS
    second = CliRunner().invoke(app, [*arguments[:-1], "--found", "0.6"])
    assert second.exit_code == 0 and f"{CLIPS} clips:" in second.stdout
    few = CliRunner().invoke(app, [*arguments, "--limit", "5"])
    assert json.loads(few.stdout)["verdicts"]["not scored"] == CLIPS - 5


def test_wrong_use_is_said(shards: Path, tmp_path: Path, checkpoint: Path) -> None:
    same = CliRunner().invoke(app, ["refine", str(shards), "--model", str(checkpoint), "--out", str(shards)])
    assert isinstance(same.exception, InputError) and "folder of its own" in str(same.exception)
    none = CliRunner().invoke(app, ["refine", str(shards), "--model", str(tmp_path / "no.pt"), "--out", str(tmp_path)])
    assert isinstance(none.exception, InputError) and "does not exist" in str(none.exception)
    big = SyncNet(replace(TINY, crop_size=111))
    save(tmp_path / "big.pt", {"network": replace(TINY, crop_size=111).to_dict(), "model": big.state_dict(),
                               "average": big.state_dict(), "step": 1})
    arguments = ["refine", str(shards), "--model", str(tmp_path / "big.pt"), "--out", str(tmp_path)]
    large = CliRunner().invoke(app, arguments)
    assert isinstance(large.exception, InputError) and "smaller than the 111" in str(large.exception)


def test_what_every_strangers_sound_reaches_says_nothing() -> None:
    """Short clips that all look deepest 160 ms late, with whoever's sound, have no offset for that."""
    offsets = offsets_ms()
    hump = np.exp(-0.5 * ((offsets - 160) / 30) ** 2)[None].astype(np.float32) * 20 * 3.0
    true = np.exp(-0.5 * (offsets / 30) ** 2)[None].astype(np.float32) * 20 * 1.0
    known = np.full_like(hump, 20.0)
    biased = [Fit(spans=np.array([[0, 24]]), windows=np.array([20]), depth=hump + true, known=known,
                  votes=np.zeros_like(hump), stranger_depth=np.stack([hump, hump]), level_db=np.zeros(1, np.float32))
              for _ in range(40)]
    clean = without_bias(biased, RefineConfig())
    assert best_offset(Evidence(biased[0].depth.sum(0), known.sum(0), 20), offsets) == pytest.approx(160, abs=5)
    assert clean[0] is not None
    assert best_offset(Evidence(clean[0].depth.sum(0), known.sum(0), 20), offsets) == pytest.approx(0, abs=2)
    few = without_bias(biased[:5], RefineConfig())  # too few to know what strangers reach
    assert few[0] is not None and np.array_equal(few[0].depth, biased[0].depth)
