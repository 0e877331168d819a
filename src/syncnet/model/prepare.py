"""Raw videos -> training shards: many files at once, and on from where a run was stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice
from pathlib import Path

import cv2

from syncnet.model.prepared import PrepareConfig, Prepared, prepare_file
from syncnet.model.shard_writer import ShardWriter
from syncnet.model.sources import Source


def prepare(
    sources: list[Source],
    out: Path,
    config: PrepareConfig | None = None,
    *,
    jobs: int = 1,
    work: Callable[[Path, PrepareConfig], Prepared] = prepare_file,
    on_done: Callable[[Source, Prepared], None] | None = None,
) -> Counter[str]:
    """Write the shards of many files into `out`; files that an earlier run finished are not done again.

    Returns counts (files, clips, frames, errors, and frames left out by reason). Everything in `out` is consistent
    after a kill at any moment: bytes are written before the manifest line that points at them.
    """
    config = config or PrepareConfig()
    out.mkdir(parents=True, exist_ok=True)
    writer = ShardWriter(out, config)
    todo = [s for s in sources if s.name not in writer.finished]
    for source, result in _mapped(work, todo, config, jobs):
        writer.add(source, result)
        if on_done:
            on_done(source, result)
    writer.close()
    return writer.counts


def _mapped(
    work: Callable[[Path, PrepareConfig], Prepared], todo: Iterable[Source], config: PrepareConfig, jobs: int
) -> Iterator[tuple[Source, Prepared]]:
    """Run `work` over files, `jobs` at a time, few results waiting in memory; results come as they are ready."""
    if jobs <= 1:
        for source in todo:
            yield source, work(source.path, config)
        return
    with ProcessPoolExecutor(jobs, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        running: dict[Future[Prepared], Source] = {}
        waiting = iter(todo)
        while True:
            for source in islice(waiting, 2 * jobs - len(running)):
                running[pool.submit(work, source.path, config)] = source
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield running.pop(future), future.result()
