"""Evaluation: worked figures on curves of known answers, calibration that holds, and the command on made clips."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from syncnet.cli import app
from syncnet.curves import Curves
from syncnet.errors import InputError
from syncnet.model.calibration import Calibration, fit_calibration, load_calibration, reliability
from syncnet.model.evaluate import (
    CONTEXTS,
    Figures,
    context_figures,
    labelled_clips,
    measure_clip,
    noise_db,
    unseen,
)
from syncnet.model.evaluation import answers, as_csv, groups, in_words, pairs, tables, whole
from syncnet.model.evaluation_plots import save_plots
from syncnet.model.pair_distances import BINS, PairDistances, added, histogram_text, pair_distances
from syncnet.protocol import accuracy

OFFSETS = np.asarray(np.arange(-100, 101) / 100)
MODEL = {"name": "made", "version": "1", "hash": "0"}


def curves_with(centres_ms: list[float], noise: float = 0.0, seed: int = 0) -> Curves:
    rng = np.random.default_rng(seed)
    centres = np.asarray(centres_ms, np.float64)
    distance = 12 - 6 * np.exp(-0.5 * ((OFFSETS * 1000 - centres[:, None]) / 60) ** 2)
    distance += rng.normal(0, noise, distance.shape)
    return Curves(np.asarray(np.arange(len(centres)) * 0.04), OFFSETS, distance.astype(np.float32))


def test_context_figures_by_hand() -> None:
    figures = context_figures(curves_with([0.0] * 8 + [90.0] * 2), 0.0)
    assert figures["right"][0] == pytest.approx(0.8) and figures["within"][0] == pytest.approx(0.8)
    assert figures["human"][0] == pytest.approx(0.8)  # measured 90 ms late: the correction leaves it 90 ms early
    assert figures["error_ms"][0] == pytest.approx(0.0, abs=1.0)
    late = context_figures(curves_with([-90.0] * 10), 0.0)
    assert late["human"][0] == 1.0 and late["right"][0] == 0.0  # leaves it 90 ms late, which nobody sees
    assert [v is None for v in figures["right"]] == [False] * 5 + [True] * 4  # ten windows: K up to 14
    known = context_figures(curves_with([300.0] * 10), 300.0)
    assert known["right"][0] == 1.0 and max(abs(e) for _, _, e in known["answers"]) < 2.0


def test_right_is_the_published_protocol() -> None:
    curves = curves_with([0.0] * 60, noise=4.0)
    figures = context_figures(curves, 0.0)
    for n, context in enumerate(CONTEXTS[:8]):
        assert figures["right"][n] == pytest.approx(accuracy(curves, context))
    assert figures["right"][0] < figures["right"][7]
    assert figures["within"][7] == pytest.approx(figures["right"][7], abs=0.15)


def test_what_nobody_sees() -> None:
    error = np.array([-130.0, -120.0, 0.0, 40.0, 50.0])
    assert unseen(error).tolist() == [False, True, True, True, False]


def test_rates_of_pairs_by_hand() -> None:
    positive, negative = np.zeros(BINS), np.zeros(BINS)
    positive[[10, 20]] = 1
    negative[[15, 30]] = 1
    found = PairDistances(positive, negative)
    assert found.auc == pytest.approx(0.75)  # of four pairs of pairs three are in order
    assert found.eer == pytest.approx(0.5)
    apart = PairDistances(np.eye(BINS)[3], np.eye(BINS)[300])
    assert apart.auc == 1.0 and apart.eer == 0.0
    same = PairDistances(np.ones(BINS), np.ones(BINS))
    assert same.auc == pytest.approx(0.5) and same.eer == pytest.approx(0.5)
    assert np.isnan(PairDistances(np.zeros(BINS), np.ones(BINS)).auc)


def test_pairs_of_a_clip() -> None:
    found = pair_distances(curves_with([0.0] * 20))
    assert found.positive.sum() == 20 and found.negative.sum() == 20 * (201 - 39)
    assert found.means[0] == pytest.approx(6.0, abs=0.05) and found.means[1] > 11.9
    assert found.auc == 1.0
    shifted = pair_distances(curves_with([400.0] * 20), 400.0)
    assert shifted.means[0] == pytest.approx(6.0, abs=0.05)
    both = added([found, shifted, PairDistances(np.zeros(BINS), np.zeros(BINS))])
    assert both.positive.sum() == pytest.approx(2.0)
    text = histogram_text(found)
    assert any("+ #" in line and "100.0 %" in line for line in text)


def test_calibration_finds_how_sure_to_be(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    confidence, windows = rng.gamma(2.0, 1.5, 8000), rng.choice([1.0, 5.0, 50.0], 8000)
    truth = 1 / (1 + np.exp(-(-3 + 1.5 * np.log1p(confidence) + 0.6 * np.log(windows))))
    right = rng.random(8000) < truth
    fit = fit_calibration(confidence.tolist(), windows.tolist(), right.tolist(), [1.0] * 8000, clips=9, split="train",
                          model=MODEL)
    assert np.abs(fit.probability(confidence, windows) - truth).mean() < 0.02
    held = reliability(fit.probability(confidence, windows), right, np.ones(8000))
    assert held.calibration_error < 0.03 and held.share.sum() == pytest.approx(1.0)
    fit.save(tmp_path / "c.json")
    assert load_calibration(tmp_path / "c.json") == fit
    (tmp_path / "bad.json").write_text('{"weights": "x"}')
    with pytest.raises(InputError, match="no calibration"):
        load_calibration(tmp_path / "bad.json")
    with pytest.raises(InputError, match="right and wrong"):
        fit_calibration([1.0] * 50, [1.0] * 50, [True] * 50, [1.0] * 50, clips=1, split="train", model=MODEL)


def test_reliability_by_hand() -> None:
    held = reliability([0.05, 0.05, 0.95, 0.95], [0, 1, 1, 1], [1, 1, 1, 1])
    assert held.predicted.tolist() == pytest.approx([0.05, 0.95])
    assert held.observed.tolist() == [0.5, 1.0]
    assert held.calibration_error == pytest.approx(0.25) and held.brier == pytest.approx((0.0025 * 3 + 0.9025) / 4)


def made(name: str, offset_ms: float | None, **more: object) -> Figures:
    curves = curves_with([offset_ms or 0.0] * 60, noise=2.0, seed=len(name))
    found = pair_distances(curves)
    values = {"kind": "real", "seconds": 5.0, "confidence": 3.0, "trusted": True, "windows": 60,
              "face_px": 90.0, "yaw_deg": 5.0, "noise_db": 45.0, **context_figures(curves, 0.0),
              "positive": tuple(found.positive.astype(int).tolist()),
              "negative": tuple(found.negative.astype(int).tolist()), **more}
    return Figures(name, f"speaker {name}", "a", truth_ms=0.0, offset_ms=offset_ms, **values)  # type: ignore[arg-type]


def test_tables_words_csv_and_pictures(tmp_path: Path) -> None:
    clips = [made("x", 5.0), made("yy", -30.0, kind="generated", yaw_deg=30.0), made("zzz", 200.0, trusted=False),
             Figures("broken.mp4", "b", "b", "real", 0.0, problem="no face")]
    summary = whole(clips)
    assert summary["within_40_ms"] == 0.5 and summary["answered"] == 3 and summary["median_error_ms"] == 30.0
    assert (summary["trusted"], summary["trusted_right"]) == (2, 2)
    assert summary["unseen"] == 0.5  # 200 ms late as measured leaves 200 ms early
    names = {(way, name): len(part) for way, name, part in groups(clips)}
    assert names["all", "all"] == 4 and names["kind", "generated"] == 1
    assert names["head turn", "25 degrees and more"] == 1 and names["head turn", "under 10 degrees"] == 2
    assert [name for way, name, _ in groups(clips) if way == "head turn"] == ["under 10 degrees", "25 degrees and more"]
    confidence, windows, error, weight = answers(clips)
    assert len(confidence) == len(windows) == len(error) and weight.sum() == pytest.approx(9.0)  # 8 contexts and whole
    fit = Calibration((-1.0, 1.0, 0.5, 0.0), 40.0, 100, 4, "train", MODEL)
    told = tables(clips, fit)
    assert json.loads(json.dumps(told, allow_nan=False))["clips"] == 4
    assert told["problems"] == {"broken.mp4": "no face"} and 0 <= told["calibration"]["brier"] <= 1
    assert told["groups"][0]["right"][8] is None
    words = in_words(clips, fit)
    assert any("ROC AUC" in line for line in words) and any(line.startswith("  generated") for line in words)
    rows = list(csv.DictReader(io.StringIO(as_csv(clips, fit))))
    assert [r["file"] for r in rows] == ["broken.mp4", "x", "yy", "zzz"]
    assert rows[3]["error_ms"] == "200.0" and rows[0]["error_ms"] == "" and float(rows[1]["probability"]) > 0.5
    written = save_plots(clips, tmp_path / "plots", fit)
    assert [p.name for p in written] == ["distances.png", "accuracy.png", "reliability.png"]
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in written)
    assert 0.7 < pairs(clips).auc < 0.9  # the third clip is off


def test_figures_come_back_from_json() -> None:
    figures = made("x", 5.0)
    assert Figures.from_dict(json.loads(json.dumps(figures.to_dict()))) == figures


def test_noise_is_the_span_of_loudness() -> None:
    energy = np.concatenate([np.full(50, 0.0), np.full(50, np.log(1000.0))]).astype(np.float32)
    assert noise_db(energy) == pytest.approx(30.0, abs=0.1)
    assert noise_db(energy[:0]) == 0.0


def test_clips_are_listed_from_folders_and_manifests(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.mp4").write_bytes(b"")
    assert [c.name for c in labelled_clips(tmp_path)] == ["a/one.mp4"]
    (tmp_path / "list.csv").write_text("file,split,offset_ms\na/one.mp4,dev,40\na/two.mp4,train,\n")
    found = labelled_clips(tmp_path / "list.csv", "dev")
    assert [(c.path, c.truth_ms) for c in found] == [(tmp_path / "a" / "one.mp4", 40.0)]
    with pytest.raises(InputError, match="split 'test'"):
        labelled_clips(tmp_path / "list.csv", "test")
    (tmp_path / "other.csv").write_text("name\nx\n")
    with pytest.raises(InputError, match="needs a column `file`"):
        labelled_clips(tmp_path / "other.csv")
    with pytest.raises(InputError, match="no such folder"):
        labelled_clips(tmp_path / "nothing")


def test_a_made_clip_is_measured(clip: Callable[[str], Path], tmp_path: Path) -> None:
    path = clip("talking")
    labelled = labelled_clips(path.parent)
    figures = measure_clip(next(c for c in labelled if c.path == path), "syncnet")
    assert bool(figures.problem) == (figures.offset_ms is None)  # weights may find too little in a drawing
    assert figures.face_px is not None and figures.face_px > 20 and figures.noise_db is not None
    assert 140 <= sum(figures.positive) <= 146 and figures.right[0] is not None and 0.0 <= figures.right[0] <= 1.0
    (tmp_path / "m.csv").write_text(f"file,speaker\n{path},a\n{tmp_path / 'missing.mp4'},b\n")
    journal = tmp_path / "j.jsonl"
    arguments = ["evaluate", str(tmp_path / "m.csv"), "--resume", str(journal), "--csv", str(tmp_path / "o.csv")]
    first = CliRunner().invoke(app, arguments)
    assert first.exit_code == (0 if figures.offset_ms is not None else 3), first.output
    assert "on 2 clips" in first.stdout and "missing.mp4" in first.stderr
    assert len(journal.read_text().splitlines()) == 3
    again = CliRunner().invoke(app, [*arguments, "--json"])
    assert json.loads(again.stdout)["clips"] == 2 and len(journal.read_text().splitlines()) == 3
    few = CliRunner().invoke(app, ["evaluate", "calibrate", str(tmp_path / "m.csv"), "--split", "x", "--out", "c"])
    assert isinstance(few.exception, InputError)


def test_nothing_measured_exits_3(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no film")
    done = CliRunner().invoke(app, ["evaluate", "sync", str(tmp_path)])
    assert done.exit_code == 3 and "text.mp4" in done.stderr
