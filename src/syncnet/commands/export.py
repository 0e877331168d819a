"""`syncnet export`: a checkpoint in, a folder of ONNX files out."""

from pathlib import Path
from typing import Annotated

import typer

from syncnet.errors import InputError


def export(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint of `syncnet train` (best.pt).")],
    out: Annotated[Path, typer.Option(help="Folder for the four ONNX files and syncnet-model.json.")],
    name: Annotated[str, typer.Option(help="Name in the registry.")] = "syncnet",
    version: Annotated[str, typer.Option(help="Version in the registry.")] = "1",
    licence: Annotated[Path | None, typer.Option(help="Text file with the licence of the weights.")] = None,
    card: Annotated[Path | None, typer.Option(help="Text file with the model card.")] = None,
    metrics: Annotated[Path | None, typer.Option(help="JSON file with figures to put into the entry.")] = None,
    int8: Annotated[
        list[Path] | None, typer.Option(help="Shard folder to measure scales on: writes the trunks in int8.")
    ] = None,
    int8_clips: Annotated[int, typer.Option(help="Clips used for the scales.")] = 40,
    half: Annotated[bool, typer.Option(help="Store weights as 16-bit floats: half the size, same speed.")] = False,
    trunks: Annotated[
        str | None, typer.Option(help="Write the heads only, to stand on the trunks of this model beside.")
    ] = None,
    zero_ms: Annotated[
        float, typer.Option(help="What the bare network says of recordings in sync (ms): taken off every answer.")
    ] = 0.0,
    wide: Annotated[bool, typer.Option(help="With the heads that see 19 frames instead of 5.")] = False,
) -> None:
    """Turn a checkpoint into ONNX files that `syncnet` runs without PyTorch, checked against torch within 1e-4.

    Example: syncnet export runs/first/best.pt --out model/
    """
    import json

    from syncnet.model import require_torch

    require_torch()
    from syncnet.model.checkpoint import load_model
    from syncnet.model.export import export as run
    from syncnet.model.pairs import calibration_inputs
    from syncnet.model.shards import read_manifests

    texts = {}
    for key, path in {"licence": licence, "card": card, "metrics": metrics}.items():
        if path is not None and not path.is_file():
            raise InputError(f"{path} does not exist: give the text of the {key} or leave --{key} out.")
        texts[key] = path.read_text(encoding="utf-8") if path is not None else ""
    trained = load_model(checkpoint)
    inputs = calibration_inputs(read_manifests(int8), trained.model.config, int8_clips) if int8 else None
    done = run(trained, out, name=name, version=version, licence=texts["licence"], card=texts["card"],
               metrics=json.loads(texts["metrics"]) if texts["metrics"] else None, calibration=inputs,
               wide=wide, half=half, trunks=trunks, zero_ms=zero_ms)
    worst = max(done.parity.values())
    what = "heads" if trunks else "four ONNX files"
    typer.echo(f"{done.folder}: {what}, at most {worst:.1e} from torch" + (", trunks in int8" if int8 else ""))
