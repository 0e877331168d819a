"""A result as a picture: distance over time and offset as a heat map, the offset over time below it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from syncnet.errors import InputError
from syncnet.offset import in_words, window_offsets

if TYPE_CHECKING:
    from syncnet.results import SyncResult

_COLUMNS = 1200  # columns of the heat map at most: longer recordings are averaged over time
_SMOOTH = 25  # windows averaged for each column, so that single windows' noise does not hide the valley


def save_plot(result: SyncResult, path: Path) -> None:
    """Draw a result into a PNG, PDF or SVG file; raises `InputError` when it cannot be written."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6.5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1.2])
    figure.suptitle(f"{Path(result.file).name}: {result.in_words}")
    above.set_ylabel("offset (ms)\n+ audio late, - early")
    below.set_ylabel("offset (ms)")
    below.set_xlabel("time (s)")
    if result.curves is not None and len(result.curves.times):
        order = np.argsort(result.curves.times, kind="stable")
        times = result.curves.times[order]
        offsets = result.curves.offsets_s * 1000.0
        centres, heat = _columns(times, result.curves.distance[order])
        mesh = above.pcolormesh(centres, offsets, heat.T, cmap="viridis", shading="nearest", rasterized=True)
        figure.colorbar(mesh, ax=above, label="distance")
        low = np.where(np.isfinite(heat).any(axis=1), np.nanargmin(np.where(np.isfinite(heat), heat, 99.0), axis=1), 0)
        above.plot(centres, offsets[low], ".", color="white", markersize=2, label="minimum")
        for start in result.shots[1:]:
            above.axvline(start, color="white", linewidth=0.6, linestyle=":")
        for track in result.tracks:
            windows = window_offsets(track.curves)
            size = 2 + 2 * np.nan_to_num(windows.confidence)
            below.scatter(windows.times, windows.offset_ms, s=size, alpha=0.35, label=f"track {track.id}")
        below.set_ylim(offsets[0], offsets[-1])
    if result.offset_ms is not None:
        below.axhline(result.offset_ms, color="black", linewidth=1, label=in_words(result.offset_ms))
        below.legend(loc="upper right", fontsize="small", ncols=3)
    part = path.with_name(f".{path.name}.part{path.suffix}")
    try:
        figure.savefig(part, dpi=120)
        os.replace(part, path)
    except (OSError, ValueError) as error:
        part.unlink(missing_ok=True)
        raise InputError(f"{path}: the plot cannot be written ({error}).") from error


def _columns(
    times: NDArray[np.float64], distance: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Times `(C,)` and mean curves `(C, M)` of at most `_COLUMNS` columns, each over `_SMOOTH` windows or more."""
    step = max(1, -(-len(times) // _COLUMNS))
    middles = np.arange(0, len(times), step)
    reach = max(_SMOOTH, step) // 2
    heat = np.full((len(middles), distance.shape[1]), np.nan, np.float32)
    for row, middle in enumerate(middles):
        near = distance[max(0, middle - reach) : middle + reach + 1]
        known = np.isfinite(near)
        counts = known.sum(axis=0)
        total = np.where(known, near, 0.0).sum(axis=0)
        heat[row, counts > 0] = (total[counts > 0] / counts[counts > 0]).astype(np.float32)
    return times[middles], heat
