"""`syncnet lipread`: read GRID sentences from the lips, and train and measure the reader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    help="Read sentences of the GRID corpus from the lips alone (no other sentences: see `read --help`).",
)

Model = Annotated[str, typer.Option(help="Model that embeds the pictures: a name, or an exported folder.")]
Cache = Annotated[Path | None, typer.Option(help="Where picture features are kept; default: the user's cache.")]
Reader = Annotated[Path | None, typer.Option(help="Folder that `lipread train` wrote; default: the one inside.")]
Shards = Annotated[list[Path], typer.Argument(help="Folders made by `syncnet prepare` from GRID recordings.")]
Threads = Annotated[int, typer.Option(min=1, help="Processor threads.")]


@app.command()
def read(
    file: Annotated[Path, typer.Argument(help="A recording of one sentence.")],
    reader: Reader = None,
    model: Model = "syncnet",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Print the sentence that is read from the lips, with the probability of every word.

    It only knows the sentences of the GRID corpus (command, colour, preposition, letter, digit, adverb) in recordings
    like that corpus; whatever else it is shown, it reads such a sentence into it. Exit code 3: no face for 2 s.

    Example: syncnet lipread read s1_bbaf2n.mkv
    """
    from syncnet.encoder import Encoder
    from syncnet.lip_report import as_document, as_lines
    from syncnet.lipread import ONLY_KNOWS, LipReader
    from syncnet.lipread import read as run

    chosen = LipReader(reader, Encoder(model))
    readings = run(file, chosen)
    if as_json:
        typer.echo(json.dumps(as_document(file, readings, chosen.identity), indent=2))
        return
    for reading in readings:
        typer.echo(as_lines(reading, faces=len(readings)))
    typer.secho(f"note: {ONLY_KNOWS}.", err=True)


@app.command()
def train(
    shards: Shards,
    out: Annotated[Path, typer.Option(help="Folder for classifier.onnx, lipread.json and CARD.md.")],
    model: Model = "syncnet",
    source: Annotated[
        str, typer.Option("--input", help="features (before the head), embeddings (256), or tuned (head learns along).")
    ] = "features",
    held_out: Annotated[
        int, typer.Option(min=0, help="Last sentences by file name of a speaker kept for measuring.")
    ] = 200,
    seed: Annotated[int, typer.Option(help="Seed.")] = 0,
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="Another setting, as name=value: epochs, batch, lr, recombine ...")
    ] = None,
    threads: Threads = 2,
    cache: Cache = None,
    version: Annotated[str, typer.Option(help="Version for the card.")] = "1",
) -> None:
    """Learn to read sentences, measure on those held out, and write ONNX that runs without PyTorch, with a card.

    Speakers with fewer than twice --held-out sentences are learned from whole. Features are computed once per model.

    Example: syncnet prepare grid/ --out shards/ && syncnet lipread train shards/ --out reader/
    """
    from syncnet.commands.progress import file_progress
    from syncnet.model import require_torch

    require_torch()
    from syncnet.encoder import Encoder
    from syncnet.model.lip_course import learn, write_reader
    from syncnet.model.lip_evaluate import as_table
    from syncnet.model.lip_features import find_sentences, trunk_features
    from syncnet.model.lipread import LipTraining
    from syncnet.model.settings import read_settings

    settings = read_settings(LipTraining(), None, setting or [], {"source": source, "seed": seed})
    sentences, encoder = find_sentences(shards), Encoder(model, threads=threads)
    with file_progress(f"looking at {len(sentences)} sentences") as on_done:
        features = trunk_features(sentences, encoder, cache or _cache(), on_done)
    with file_progress("learning") as on_epoch:
        learnt = learn(
            sentences, features, encoder, settings, held_out=held_out, threads=threads, on_epoch=on_epoch
        )
    parity = write_reader(learnt, out, encoder, settings, version=version)
    typer.echo(as_table(learnt.groups))
    typer.echo(f"{out}: classifier.onnx, at most {parity:.1e} from torch, lipread.json, CARD.md", err=True)


@app.command()
def evaluate(
    shards: Shards,
    reader: Reader = None,
    model: Model = "syncnet",
    cache: Cache = None,
    threads: Threads = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Count the words read rightly: sentences learned from, others of the same speakers, and other speakers, apart.

    Example: syncnet lipread evaluate shards/ dev-shards/ --reader reader/
    """
    from syncnet.commands.progress import file_progress
    from syncnet.encoder import Encoder
    from syncnet.lipread import LipReader
    from syncnet.model.lip_evaluate import as_table
    from syncnet.model.lip_evaluate import evaluate as run
    from syncnet.model.lip_features import find_sentences

    chosen = LipReader(reader, Encoder(model, threads=threads), threads=threads)
    sentences = find_sentences(shards)
    with file_progress(f"reading {len(sentences)} sentences") as on_done:
        groups = run(chosen, sentences, cache or _cache(), on_done)
    if as_json:
        typer.echo(json.dumps({"reader": chosen.identity, "groups": [g.to_dict() for g in groups]}, indent=2))
    else:
        typer.echo(as_table(groups))


def _cache() -> Path:
    from syncnet.weights_store import cache_dir

    return cache_dir() / "lipread"
