"""What was learned of lip reading as an ONNX graph with a card, which runs without PyTorch."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from syncnet.encoder import Encoder
from syncnet.errors import InputError
from syncnet.lipread import CARD, GRAPH
from syncnet.model.lip_features import Sentence
from syncnet.model.lip_network import LipClassifier
from syncnet.model.lipread import LipTraining

PARITY = 1e-4  # largest difference of a score between torch and the ONNX graph
OPSET = 17


def export(
    model: LipClassifier, folder: Path, encoder: Encoder, learnt_from: Sequence[Sentence], settings: LipTraining,
    *, figures: Mapping[str, Any] | None = None, text: str = "", version: str = "1",
) -> float:
    """Write `classifier.onnx`, `lipread.json` and `CARD.md` into `folder`; returns how far the graph is from torch.

    Raises InputError when that is more than 1e-4.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".lipread-") as scratch:
        graph = Path(scratch) / GRAPH
        difference = _write_graph(model, graph)
        if difference > PARITY:
            raise InputError(f"the ONNX graph differs from torch by {difference:.2g} (limit {PARITY:g}).")
        card = {
            "name": "lipread", "version": version, "hash": hashlib.sha256(graph.read_bytes()).hexdigest()[:16],
            "source": settings.source, "encoder": encoder.model.identity, "network": model.config.to_dict(),
            "settings": asdict(settings), "figures": dict(figures or {}), "parity": difference,
            "learnt_from": sorted(s.name for s in learnt_from),
        }  # fmt: skip
        (Path(scratch) / CARD).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
        (Path(scratch) / "CARD.md").write_text(text, encoding="utf-8")
        for name in (GRAPH, CARD, "CARD.md"):
            os.replace(Path(scratch) / name, folder / name)
    return difference


class _WordsOnly(nn.Module):
    """The classifier without the scores of the sounds."""

    def __init__(self, model: LipClassifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.model(x).scores
        return scores


def _write_graph(model: LipClassifier, path: Path) -> float:
    """windows (1, T, F) -> scores (1, 51); returns the largest difference to torch at two lengths."""
    import onnxruntime as ort

    graph = _WordsOnly(model).eval()
    example = torch.randn(1, 71, model.config.inputs, generator=torch.Generator().manual_seed(0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        torch.onnx.export(graph, (example,), str(path), input_names=["windows"], output_names=["scores"],
                          dynamic_axes={"windows": {1: "length"}}, opset_version=OPSET, dynamo=False)
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    for x in (example, example[:, :46]):
        with torch.inference_mode():
            wanted = graph(x).numpy()
        worst = max(worst, float(np.abs(session.run(None, {"windows": x.numpy()})[0] - wanted).max()))
    return worst
