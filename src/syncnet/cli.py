"""The command line: assembles the commands into one program and turns errors into messages and exit codes."""

import os
import sys
from typing import Annotated

import typer

from syncnet import __version__
from syncnet.commands.detect import detect
from syncnet.commands.evaluate import app as evaluate
from syncnet.commands.export import export
from syncnet.commands.fix import fix
from syncnet.commands.lipread import app as lipread
from syncnet.commands.prepare import prepare
from syncnet.commands.refine import refine
from syncnet.commands.score import score
from syncnet.commands.speakers import speakers
from syncnet.commands.tracks import tracks
from syncnet.commands.train import train
from syncnet.commands.weights import app as weights
from syncnet.errors import InputError, SyncNetError

INTERRUPTED = 130  # 128 + SIGINT, as shells have it

app = typer.Typer(
    name="syncnet",
    help="Measure how far sound and lips are apart in talking video, repair it, and find who speaks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

# One line for each command, in the order of the help text. Their modules import nothing heavy until they run.
app.command()(detect)
app.command()(fix)
app.command()(tracks)
app.command()(speakers)
app.command()(score)
app.add_typer(weights, name="weights")
app.add_typer(lipread, name="lipread")
app.command()(prepare)
app.command()(train)
app.command()(refine)
app.add_typer(evaluate, name="evaluate")
app.command()(export)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"syncnet {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Measure how far sound and lips are apart in talking video, repair it, and find who speaks."""


def main() -> None:
    """Run the command line and exit: 0 done, 2 wrong use or unreadable input, 3 no answer possible, 130 interrupted."""
    try:
        app()
    except SyncNetError as error:
        typer.secho(f"syncnet: {' '.join(str(error).split())}", fg="red", err=True)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, SystemExit) as stop:
        if isinstance(stop, KeyboardInterrupt) or stop.code == INTERRUPTED:
            typer.echo("interrupted", err=True)
            sys.exit(INTERRUPTED)
        raise
    except BrokenPipeError:  # whoever read our output has stopped: so do we, quietly
        _let_go_of_output()
        sys.exit(1)
    except OSError as error:  # a full disk under the output, a device that was unplugged
        _let_go_of_output()
        place = f"{error.filename}: " if error.filename else ""
        typer.secho(f"syncnet: {place}{error.strerror or error}", fg="red", err=True)
        sys.exit(InputError.exit_code)


def _let_go_of_output() -> None:
    """Send what is still to be printed nowhere, so that the interpreter does not fail over it once more at its end."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
