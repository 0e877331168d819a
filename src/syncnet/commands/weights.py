"""`syncnet weights`: install models that other people publish, after checking that they are what they should be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from syncnet.errors import InputError
from syncnet.weights_store import RELEASES, Convert, Installed, Release, check, download, find, install, release

app = typer.Typer(
    no_args_is_help=True,
    help="Install published models, such as the v2 network that LSE-D and LSE-C are made with.",
)

Name = Annotated[str, typer.Argument(help="Which weights: v2.")]


@app.command()
def add(name: Name, file: Annotated[Path, typer.Argument(help="The published file, e.g. syncnet_v2.model.")]) -> None:
    """Check a file of weights that you have and install it. Example: `syncnet weights add v2 syncnet_v2.model`"""
    wanted = release(name)
    check(wanted, file)
    _report(install(wanted, file, _converter(wanted)))


@app.command()
def get(
    name: Name,
    url: Annotated[str | None, typer.Option(help="Another address that serves the same file, e.g. a mirror.")] = None,
) -> None:
    """Download weights from their authors, check and install them. Example: `syncnet weights get v2`

    A download that broke off is resumed where it ended.
    """
    wanted = release(name)
    convert = _converter(wanted)
    file = _download(wanted, url)
    _report(install(wanted, file, convert))
    file.unlink()


@app.command("list")
def list_weights(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the weights this program knows and say which are installed. Example: `syncnet weights list`"""
    rows = [(wanted, *_state(wanted)) for wanted in RELEASES.values()]
    if as_json:
        listed = [
            {
                "name": wanted.name,
                "title": wanted.title,
                "installed": found is not None,
                "problem": problem,
                "folder": str(found.folder) if found else None,
                "url": wanted.url,
                "size": wanted.size,
                "sha256": wanted.sha256,
            }
            for wanted, found, problem in rows
        ]
        typer.echo(json.dumps(listed, indent=2))
        return
    for wanted, found, problem in rows:
        typer.echo(f"{wanted.name}: {wanted.title}")
        typer.echo(f"  {wanted.size:,} bytes, sha256 {wanted.sha256}, from {wanted.url}")
        typer.echo(f"  installed in {found.folder}" if found else f"  not ready: {problem}")


def _state(wanted: Release) -> tuple[Installed | None, str | None]:
    """What is installed, or why nothing usable is."""
    try:
        return find(wanted.name), None
    except InputError as error:
        return None, str(error)


def _report(installed: Installed) -> None:
    typer.echo(f"{installed.name} is installed in {installed.folder} (published file: sha256 {installed.sha256}).")


def _converter(wanted: Release) -> Convert:
    """The function that turns this release into ONNX; it alone needs torch and onnx."""
    try:
        from syncnet.model import v2
    except ModuleNotFoundError as error:
        raise InputError(
            f"Installing {wanted.name} converts a PyTorch file once, which needs the extra 'train' "
            f"({error.name} is missing): pip install 'syncnet[train]'. Scoring itself does not need it; an installed "
            "folder can also be copied from another machine into the same place of the cache."
        ) from error
    return v2.convert


def _download(wanted: Release, url: str | None) -> Path:
    """Download with a progress bar on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn(wanted.filename), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("download", total=wanted.size)

        def on_progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        return download(wanted, url=url, on_progress=on_progress)
