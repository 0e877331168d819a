"""The tables of an evaluation as pictures: distances, ROC, accuracy by context, reliability."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from syncnet.errors import InputError
from syncnet.model.calibration import Calibration
from syncnet.model.evaluate import CONTEXTS, Figures
from syncnet.model.evaluation import by_context, groups, held_up, pairs
from syncnet.model.pair_distances import BINS, LARGEST


def save_plots(clips: Sequence[Figures], folder: Path, calibration: Calibration | None = None) -> list[Path]:
    """Write distances.png, accuracy.png and, with a calibration, reliability.png into `folder`; returns their paths."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figures: dict[str, Figure] = {"distances": Figure(figsize=(10, 4.2), layout="constrained"),
                                  "accuracy": Figure(figsize=(7, 5), layout="constrained")}
    left, right = figures["distances"].subplots(1, 2)
    found = pairs(clips)
    edges = np.linspace(0.0, LARGEST, BINS // 4 + 1)
    for name, histogram in (("sound of the same moment", found.positive), ("of another moment", found.negative)):
        shares = histogram.reshape(-1, 4).sum(axis=1) / max(histogram.sum(), 1.0)
        left.stairs(shares, edges, fill=True, alpha=0.5, label=name)
    left.set_xlabel("distance")
    left.set_ylabel("share of pairs")
    left.legend(loc="upper left")
    false, true = found.roc
    right.plot(false, true)
    right.plot([0, 1], [1, 0], ":", color="grey", linewidth=1)
    right.set_xlabel("other pairs let through")
    right.set_ylabel("true pairs found")
    right.set_title(f"area {found.auc:.3f}, equal error rate {100 * found.eer:.1f} %")

    axes = figures["accuracy"].subplots()
    for way, name, part in groups(clips):
        if way in ("all", "kind"):
            shares_by = [np.nan if v is None else 100 * v for v in by_context(part, "right")]
            axes.plot(CONTEXTS, shares_by, "o-", label=f"{name} ({len(part)})", linewidth=2 if way == "all" else 1)
    axes.axhline(300 / 31, color="grey", linestyle=":", linewidth=1, label="chance")
    axes.set_xscale("log")
    axes.set_xticks(CONTEXTS, [str(k) for k in CONTEXTS])
    axes.minorticks_off()
    axes.set_ylim(0, 102)
    axes.set_xlabel("frames of context")
    axes.set_ylabel("% within 1 frame of 31 candidates")
    axes.grid(alpha=0.3)
    axes.legend()

    held = None if calibration is None else held_up(clips, calibration)
    if held is not None:
        figures["reliability"] = Figure(figsize=(5.5, 5.5), layout="constrained")
        axes = figures["reliability"].subplots()
        axes.plot([0, 1], [0, 1], ":", color="grey")
        axes.plot(held.predicted, held.observed, "o-")
        for p, o, s in zip(held.predicted, held.observed, held.share, strict=True):
            axes.annotate(f"{100 * s:.0f} %", (p, o), textcoords="offset points", xytext=(6, -12), fontsize=8)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_xlabel("probability said (labels: share of answers)")
        axes.set_ylabel("share that was right")
        axes.set_title(f"Brier {held.brier:.3f}, calibration error {100 * held.calibration_error:.1f} points")

    written = []
    for name, figure in figures.items():
        path = folder / f"{name}.png"
        part_path = folder / f".{name}.part.png"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            figure.savefig(part_path, dpi=120)
            os.replace(part_path, path)
        except OSError as error:
            part_path.unlink(missing_ok=True)
            raise InputError(f"{path}: the picture cannot be written ({error}).") from error
        written.append(path)
    return written
