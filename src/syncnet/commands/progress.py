"""Progress of long work on stderr: a bar on a terminal, silence in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def file_progress(name: str, *, quiet: bool = False) -> Iterator[Callable[[float, float | None], None] | None]:
    """Show how far the work on a file has come; yields what to call with (seconds done, seconds in all or None)."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def phase_progress(name: str, *, quiet: bool = False) -> Iterator[Callable[[str, float, float | None], None] | None]:
    """Show the phases of long work one after the other, each with its own bar and estimate of the time left."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def show(phase: str, done: float, total: float | None) -> None:
            if phase not in tasks:
                for before in tasks.values():
                    bar.remove_task(before)
                tasks.clear()
                tasks[phase] = bar.add_task(f"{name}: {phase}", total=None)
            bar.update(tasks[phase], completed=done, total=total)

        yield show
