"""The program as a whole: versions, exit codes, quiet ends, and a quick start."""

import subprocess
import sys
from collections.abc import Callable

import pytest
import typer

from syncnet import __version__, cli
from syncnet.errors import InputError, NoAnswer, SyncNetError

HEAVY = {"numpy", "av", "cv2", "onnxruntime", "torch", "scipy", "matplotlib"}


def run_main(command: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of the program when its only command is `command`."""
    app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    app.command()(command)
    monkeypatch.setattr(cli, "app", app)
    monkeypatch.setattr(sys, "argv", ["syncnet"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    code = stop.value.code
    return code if isinstance(code, int) else 0


def test_version(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["syncnet", "--version"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code in (0, None)
    assert capsys.readouterr().out == f"syncnet {__version__}\n"


@pytest.mark.parametrize(("kind", "code"), [(SyncNetError, 1), (InputError, 2), (NoAnswer, 3)])
def test_errors_are_one_line_and_an_exit_code(
    kind: type[SyncNetError], code: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> None:
        raise kind("talk.mp4: something\nis wrong")

    assert run_main(fails, monkeypatch) == code
    told = capsys.readouterr()
    assert told.err == "syncnet: talk.mp4: something is wrong\n"
    assert told.out == ""


def test_control_c_says_so_and_exits_130(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped() -> None:
        raise KeyboardInterrupt

    assert run_main(stopped, monkeypatch) == 130
    assert capsys.readouterr().err.strip() == "interrupted"


def test_a_reader_that_leaves_ends_the_program_quietly() -> None:
    endless = (
        "import sys, typer; from syncnet import cli\n"
        "app = typer.Typer(pretty_exceptions_enable=False)\n"
        "@app.command()\n"
        "def speak() -> None:\n"
        "    while True: print('word ' * 1000)\n"
        "cli.app = app; sys.argv = ['syncnet']; cli.main()\n"
    )
    program = subprocess.Popen([sys.executable, "-c", endless], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert program.stdout is not None and program.stderr is not None
    assert program.stdout.readline().startswith(b"word")
    program.stdout.close()
    said = program.stderr.read()
    program.stderr.close()
    assert program.wait(timeout=60) == 1
    assert said == b""


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["detect", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    watch = (
        f"import sys; from syncnet.cli import main; sys.argv = ['syncnet', *{arguments}]\n"
        "try:\n    main()\n"
        "finally:\n    print('LOADED', *{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)\n"
    )
    run = subprocess.run([sys.executable, "-c", watch], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    loaded = set(run.stderr.partition("LOADED")[2].split())
    assert "syncnet" in loaded
    assert loaded & HEAVY == set()


def test_every_command_has_help_with_an_example() -> None:
    commands = [command for command in cli.app.registered_commands if command.callback is not None]
    assert commands
    for command in commands:
        assert command.callback is not None
        assert "xample" in (command.callback.__doc__ or ""), f"{command.callback.__name__} shows no example"
