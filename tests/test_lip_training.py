"""Learning to read lips: shards to sentences, padding that changes nothing, and a toy language that is learned."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from made_shards import TINY, make_shards, wear_norms
from syncnet.encoder import Encoder, standardise
from syncnet.errors import InputError
from syncnet.lipread import LipReader
from syncnet.model.checkpoint import Trained
from syncnet.model.export import export as export_model
from syncnet.model.lip_alignment import Alignment, align_columns, best_paths
from syncnet.model.lip_course import learn, write_reader
from syncnet.model.lip_evaluate import CHANCE, HELD_OUT, LEARNT, OTHERS, as_table, evaluate, group_names, grouped
from syncnet.model.lip_features import Sentence, find_sentences, hold_out, trunk_features
from syncnet.model.lip_network import Cell, LipClassifier, LipConfig, Read, Source, lip_loss
from syncnet.model.lip_sounds import PRONOUNCED, SOUNDS, sounds_of
from syncnet.model.lipread import (
    Example,
    LipTraining,
    changed,
    correct,
    head_of,
    inputs_for,
    padded,
    pooled,
    recombined,
    train,
)
from syncnet.model.network import SyncNet
from syncnet.sentences import GRID, word_numbers

SMALL = replace(TINY, name="small", crop_size=111, embedding=256)
NAMES = ["s1_bbaf2n", "s1_bgbg3p", "s1_lrih4s", "s1_lwwj5a", "s1_prak6n", "s1_sbbl7p", "s2_sgim8s", "s2_pwwn9a"]
QUICK = LipTraining(epochs=2, batch=4)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(1)
    export_model(Trained(wear_norms(SyncNet(SMALL)), 0, {}, {}), folder)
    return Encoder(folder, threads=1)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight sentences of two speakers, and before them a recording without a sentence and a piece that is too short."""
    folder = make_shards(tmp_path_factory.mktemp("shards"), clips=len(NAMES) + 2, frames=51, size=113)
    lines = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    for line, name in zip(lines[2:], reversed(NAMES), strict=True):
        line.update(key=f"grid/{name}.mkv#0", source=f"grid/{name}.mkv", speaker=f"grid-{name[:2]}")
    lines[1].update(key="grid/s1_bbaf2n.mkv#1", source="grid/s1_bbaf2n.mkv", speaker="grid-s1", frames=49)
    (folder / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture(scope="module")
def sentences(shards: Path) -> list[Sentence]:
    return find_sentences([shards])


def test_sentences_come_by_name_and_pieces_count_once(sentences: list[Sentence]) -> None:
    assert [s.name for s in sentences] == sorted(NAMES)
    assert sentences[0].clip.frames == 51 and sentences[0].numbers == word_numbers("bbaf2n")


def test_shards_without_sentences_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no recording in these shards is named by a sentence"):
        find_sentences([make_shards(tmp_path, clips=1, frames=51)])


def test_the_last_by_name_of_large_speakers_are_held_out(sentences: list[Sentence]) -> None:
    learnt_from, held = hold_out(sentences, 3)
    assert [s.name for s in held] == ["s1_lwwj5a", "s1_prak6n", "s1_sbbl7p"]  # s2 has two, not twice three
    assert len(learnt_from) == 5 and not {s.name for s in held} & {s.name for s in learnt_from}
    assert hold_out(sentences, 0)[1] == []


def test_features_are_kept_and_those_of_the_road(sentences: list[Sentence], encoder: Encoder, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    first = trunk_features(sentences[:2], encoder, tmp_path, lambda *now: told.append(now))
    assert told == [(1, 2), (2, 2)]
    (folder,) = tmp_path.iterdir()
    assert encoder.model.description["sha256"]["video_trunk.onnx"].startswith(folder.name)
    clip = sentences[0].clip
    frames = np.fromfile(clip.folder / "00000.frames", np.uint8).reshape(-1, 113, 113)
    crops = frames[clip.crops_at : clip.crops_at + 51, 1:112, 1:112]
    wanted = encoder.video_features(crops)
    assert first[0].shape == wanted.shape == (47, SMALL.video_features)
    np.testing.assert_allclose(first[0], wanted, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(encoder.embed_video_features(wanted), encoder.embed_video(crops), atol=1e-4)
    file = next(folder.glob("*bbaf2n*.npy"))
    np.save(file, np.zeros((47, SMALL.video_features), np.float16))
    assert not trunk_features(sentences[:1], encoder, tmp_path)[0].any()  # read, not computed again


def test_every_word_is_pronounced() -> None:
    assert {word for slot in GRID for word in slot.words} == set(PRONOUNCED)
    said = [SOUNDS[k - 1] for k in sounds_of(word_numbers("bbaf2n"))]
    assert said == "B IH N B L UW AE T EH F T UW N AW".split()


@pytest.mark.parametrize(("source", "cell"), [("features", "gru"), ("features", "lstm"), ("tuned", "gru")])
def test_padding_changes_no_score(source: Source, cell: Cell, encoder: Encoder) -> None:
    torch.manual_seed(0)
    front = head_of(encoder) if source == "tuned" else None
    model = LipClassifier(LipConfig(source, SMALL.video_features, cell=cell), front).eval()
    rng = np.random.default_rng(0)
    clips = [rng.standard_normal((n, SMALL.video_features)).astype(np.float32) for n in (47, 30, 71)]
    x, lengths = padded(clips)
    assert x.shape == (3, 71, SMALL.video_features) and lengths.tolist() == [47, 30, 71]
    with torch.inference_mode():
        together = model(x, lengths).scores
        alone = torch.cat([model(torch.from_numpy(clip)[None]).scores for clip in clips])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_the_head_that_learns_along_begins_as_the_shipped_one(encoder: Encoder) -> None:
    rows = np.random.default_rng(1).standard_normal((20, SMALL.video_features)).astype(np.float32)
    head = head_of(encoder).eval()
    with torch.inference_mode():
        found = head(torch.from_numpy(standardise(rows))[None])[0].numpy()
    np.testing.assert_allclose(found, encoder.embed_video_features(rows), atol=1e-3)
    assert inputs_for([rows], "embeddings", encoder)[0].shape == (20, 256)
    np.testing.assert_array_equal(inputs_for([rows], "tuned", encoder)[0], standardise(rows))


def example(windows: np.ndarray, code: str = "bbaf2n", speaker: str = "s1", first: int = 10, word: int = 8) -> Example:
    """Words of `word` windows each from `first` on; the sound of a window is its word's place + 1."""
    bounds = first + word * np.arange(7)
    place = np.searchsorted(bounds, np.arange(len(windows)), side="right")
    sounds = np.where((place > 0) & (place < 7), place, 0)
    return Example(windows.astype(np.float32), word_numbers(code), bounds, sounds, speaker)


def test_changes_keep_a_sentence_what_it_is() -> None:
    ramp = example(np.linspace(0, 1, 70)[:, None].repeat(3, axis=1))
    still = LipTraining(speed=0.0, shift=0.0, noise=0.0, hidden_windows=0, windows=70)
    same = changed(ramp, still, np.random.default_rng(0))
    np.testing.assert_allclose(same.windows, ramp.windows, atol=1e-6)
    np.testing.assert_array_equal(same.bounds, ramp.bounds)
    np.testing.assert_array_equal(same.sounds, ramp.sounds)
    longer = changed(ramp, replace(still, windows=80), np.random.default_rng(0))
    np.testing.assert_allclose(longer.windows, np.concatenate([ramp.windows, ramp.windows[-1:].repeat(10, axis=0)]))
    faster, rng = replace(still, speed=0.5), np.random.default_rng(3)
    ends = set()
    lengths = {len(changed(ramp, replace(faster, windows=0), rng).windows) for _ in range(40)}
    assert min(lengths) >= 70 / 1.5 - 1 and max(lengths) <= 141 and len(lengths) > 5
    for _ in range(40):
        moved = changed(ramp, faster, rng)
        ends.add(int(moved.bounds[-1]))
        assert len(moved.windows) == len(moved.sounds) == 70
        assert (np.diff(moved.windows[:, 0]) >= -1e-6).all() and 0 <= moved.windows.min() <= moved.windows.max() <= 1
        # the labels go where the pictures go: the place read off the bounds is that of the sounds, but at the edges
        assert (moved.places + 1 == moved.sounds).mean() > 0.85
    assert min(ends) >= 58 / 1.5 - 1 and max(ends) == 70 and len(ends) > 5
    up = Example(ramp.windows + 1, ramp.numbers, ramp.bounds, ramp.sounds, ramp.speaker)
    blanked = changed(up, replace(still, hidden_windows=8), np.random.default_rng(1))
    assert 0 < int((blanked.windows == 0).all(axis=1).sum()) <= 16 and len(blanked.windows) == 70


def test_words_are_put_together_anew_from_the_same_speaker() -> None:
    # pictures of sentence k hold k everywhere, so that one sees where each came from
    codes = ["bbaf2n", "lgbg3p", "prih4s", "swwj5a"]
    own = [example(np.full((70, 1), k), code, "s1", word=6 + k) for k, code in enumerate(codes)]
    foreign = example(np.full((70, 1), 9), "lgbg3p", "s2")
    pool = pooled([*own, foreign])
    assert pool["s1", 0, word_numbers("lgbg3p")[0]] == [own[1]]
    assert recombined(own[0], pool, 0.0, np.random.default_rng(0)).numbers == own[0].numbers
    rng, seen = np.random.default_rng(0), np.zeros((6, 4))
    for _ in range(200):
        made = recombined(own[0], pool, 0.75, rng)
        for slot in range(6):
            word = made.windows[made.bounds[slot] : made.bounds[slot + 1], 0]
            (source,) = set(word.tolist())
            assert made.numbers[slot] == own[int(source)].numbers[slot]
            assert len(word) == 6 + int(source)
            seen[slot, int(source)] += 1
        assert (made.windows[: made.bounds[0]] == 0).all() and (made.windows[made.bounds[6] :] == 0).all()
        assert len(made.windows) == len(made.sounds) == 34 + sum(np.diff(made.bounds))
        np.testing.assert_array_equal(made.places + 1, made.sounds)
    # a quarter stays by itself, and of the rest a quarter comes back: 0.25 + 0.75 / 4, others 0.75 / 4
    assert np.abs(seen / 200 - [[0.4375, 0.1875, 0.1875, 0.1875]]).max() < 0.12


def toy(count: int, seed: int, command: int | None = None) -> list[Example]:
    """A language whose word k of slot s lights number s * 25 + k for four windows; slots follow one another.

    `command`: of this command only sentences with the first colour are made.
    """
    rng = np.random.default_rng(seed)
    made: list[Example] = []
    while len(made) < count:
        said = tuple(int(rng.integers(len(slot.words))) for slot in GRID)
        if said[0] == command and said[1]:
            continue
        clip = rng.normal(0, 0.1, (6 * 5, 6 * 25)).astype(np.float32)
        for place, word in enumerate(said):
            clip[5 * place : 5 * place + 4, 25 * place + word] += 3.0
        made.append(Example(clip, said, 5 * np.arange(7), np.repeat(np.arange(6), 5) + 1, "toy"))
    return made


def test_a_toy_language_is_learned_and_the_seed_decides() -> None:
    settings = LipTraining(epochs=12, speed=0.0, shift=1.0, noise=0.05, hidden_windows=0)
    told: list[float] = []
    model = train(toy(256, 0, command=3), settings, on_epoch=lambda _epoch, loss, _model: told.append(loss))
    assert len(told) == 12 and told[-1] < 0.6 * told[0]
    others = toy(64, 1)
    right = correct(model, [e.windows for e in others], [e.numbers for e in others])
    assert right.shape == (64, 6) and right.mean() > 0.8
    unmet = [e for e in others if e.numbers[0] == 3 and e.numbers[1]]  # command 3 was met with the first colour alone
    assert correct(model, [e.windows for e in unmet], [e.numbers for e in unmet])[:, :2].mean() > 0.8
    short = replace(settings, epochs=1)
    first, second = (train(toy(40, 0), short).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = train(toy(40, 0), replace(short, seed=1)).state_dict()
    assert not torch.equal(first["reduce.weight"], other["reduce.weight"])


def test_the_loss_by_hand() -> None:
    look = torch.log_softmax(torch.zeros(1, 4, 6), 1)  # a quarter of every slot's look on each of four steps
    read = Read(torch.zeros(1, 51), torch.zeros(1, 4, len(SOUNDS) + 1), look)
    numbers, sounds = torch.zeros(1, 6, dtype=torch.long), torch.tensor([[1, 2, -100, 0]])
    places = torch.tensor([[0, 1, 1, 1]])
    even = (4 * np.log(4) + np.log(25) + np.log(10)) / 6  # every word alike
    loss = lip_loss(read, numbers, sounds, places, smoothing=0.0, sounds_weight=0.0, look_weight=0.0)
    assert float(loss) == pytest.approx(even, abs=1e-5)
    loss = lip_loss(read, numbers, sounds, places, smoothing=0.0, sounds_weight=0.5, look_weight=0.0)
    assert float(loss) == pytest.approx(even + 0.5 * np.log(len(SOUNDS) + 1), abs=1e-5)
    # slot 0 looks a quarter at its word, slot 1 three quarters, the other words are not there: cut off at -15
    loss = lip_loss(read, numbers, sounds, places, smoothing=0.0, sounds_weight=0.0, look_weight=0.6)
    assert float(loss) == pytest.approx(even + 0.1 * (np.log(4) + np.log(4 / 3) + 4 * 15), abs=1e-4)


def test_sounds_are_found_where_they_are() -> None:
    rng = np.random.default_rng(5)
    codes = ["".join(slot.letters[rng.integers(len(slot.letters))] for slot in GRID) for _ in range(60)]
    centres = rng.normal(0, 1, (len(SOUNDS) + 1, 26))
    centres[:, 0], centres[0, 0] = 1.0, -1.5  # speech is loud
    columns, truth = [], []
    for code in codes:
        sounds = [0, *sounds_of(word_numbers(code)), 0]
        lengths = [int(rng.integers(20, 40)), *(int(rng.integers(5, 15)) for _ in sounds[2:]), 60]
        at = np.repeat(sounds, lengths)
        columns.append((centres[at] + rng.normal(0, 0.3, (len(at), 26))).astype(np.float32))
        truth.append(at)
    found = align_columns(columns, [word_numbers(code) for code in codes])
    right = np.concatenate([a.sounds for a in found]) == np.concatenate(truth)
    assert right.mean() > 0.9
    first = found[0]
    assert first.words.shape == (7,) and (np.diff(first.words) > 0).all()
    assert first.words[0] == pytest.approx(np.argmax(truth[0] > 0) / 100, abs=0.05)
    assert first.words[-1] == pytest.approx((len(truth[0]) - 60) / 100, abs=0.05)


def test_times_become_windows_by_their_middles() -> None:
    times = Alignment(np.repeat([0, 7], 50), np.array([0.1, 0.14, 0.5, 0.6, 0.7, 0.8, 9.0]))
    # window k stands at (k + 2.5) / 25 s: 0.1 s is window 0, 0.14 s is 1, 0.5 s is 10
    np.testing.assert_array_equal(times.windows(21), [0, 1, 10, 12, 15, 18, 21])
    assert (times.window_sounds(21) == np.repeat([0, 7], [10, 11])).all()


def test_the_best_path_by_hand() -> None:
    # three states over five rows; staying in the middle for three rows is best
    good, bad = 0.0, -5.0
    likelihood = np.array([[good, bad, bad], [bad, good, bad], [bad, good, bad], [bad, good, good], [bad, bad, good]])
    short = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    path, even = best_paths([likelihood, short])
    assert path.tolist() in ([0, 1, 1, 1, 2], [0, 1, 1, 2, 2]) and len(even) == 2


@pytest.mark.parametrize("source", ["features", "embeddings", "tuned"])
def test_a_reader_is_written_and_reads_as_torch_does(
    source: Source, sentences: list[Sentence], encoder: Encoder, tmp_path: Path
) -> None:
    settings = replace(QUICK, source=source, cell="lstm" if source == "embeddings" else "gru", bf16=source == "tuned")
    features = trunk_features(sentences, encoder, tmp_path / "cache")
    learnt = learn(sentences, features, encoder, settings, held_out=3)
    assert {g.name: g.sentences for g in learnt.groups} == {LEARNT: 5, HELD_OUT: 3}
    assert write_reader(learnt, tmp_path / "reader", encoder, settings, version="7") <= 1e-4
    assert sorted(p.name for p in (tmp_path / "reader").iterdir()) == ["CARD.md", "classifier.onnx", "lipread.json"]
    reader = LipReader(tmp_path / "reader", encoder, threads=1)
    assert reader.card["version"] == "7" and reader.card["learnt_from"] == sorted(s.name for s in learnt.learnt_from)
    assert "5 sentences of the GRID corpus" in (tmp_path / "reader" / "CARD.md").read_text()
    fed = torch.from_numpy(inputs_for(features[:1], source, encoder)[0])[None]
    with torch.inference_mode():
        scores = learnt.model(fed).scores[0]
    wanted = [torch.softmax(part, 0).numpy() for part in torch.split(scores, [len(slot.words) for slot in GRID])]
    for found, chances in zip(reader.probabilities(features[0]), wanted, strict=True):
        np.testing.assert_allclose(found, chances, atol=1e-4)
    groups = evaluate(reader, sentences, tmp_path / "cache")
    assert [(g.name, g.right, g.whole) for g in groups] == [(g.name, g.right, g.whole) for g in learnt.groups]


def test_too_little_to_learn_from_is_refused(sentences: list[Sentence], encoder: Encoder) -> None:
    with pytest.raises(InputError, match="1 sentences are left to learn from"):
        learn(sentences[:1], [np.zeros((47, 4), np.float32)], encoder, QUICK, held_out=0)


def test_groups_are_kept_apart_and_added_up(sentences: list[Sentence]) -> None:
    learnt_from = ["s1_bbaf2n", "s1_bgbg3p"]
    assert group_names(sentences, learnt_from) == [LEARNT] * 2 + [HELD_OUT] * 4 + [OTHERS] * 2
    right = np.zeros((8, 6), bool)
    right[2] = True  # one held-out sentence whole
    right[3, :3] = True  # half of another
    right[6, 5] = True  # an adverb of another speaker
    groups = {g.name: g for g in grouped(sentences, right, learnt_from)}
    assert groups[LEARNT].words == 0.0
    assert groups[HELD_OUT].right == (2, 2, 2, 1, 1, 1) and groups[HELD_OUT].whole == 1
    assert groups[HELD_OUT].words == pytest.approx(9 / 24)
    assert groups[OTHERS].to_dict()["adverb"] == 0.5 and groups[OTHERS].speakers == 1
    assert pytest.approx((4 * 0.25 + 0.04 + 0.1) / 6) == CHANCE
    table = as_table(list(groups.values()))
    assert "| held out, speaker known | 4 | 1 | 50.0 | 50.0 | 50.0 | 25.0 | 25.0 | 25.0 | 37.5 | 25.0 |" in table
    assert "| (guessing) |  |  | 25.0 | 25.0 | 25.0 | 4.0 | 10.0 | 25.0 | 19.0 | 0.0 |" in table
