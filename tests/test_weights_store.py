"""Installing published weights: checked, whole or not at all; downloads resumed or thrown away."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from typer.testing import CliRunner

from syncnet.commands.weights import app
from syncnet.errors import InputError
from syncnet.weights_store import RELEASES, Release, cache_dir, download, find, install, sha256

CONTENT = np.random.default_rng(0).integers(0, 256, 3_000_017, dtype=np.uint8).tobytes()
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT under /m.model with ranges; other paths misbehave in the way their name says."""

    asked: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        match self.path:
            case "/m.model":
                self.answer(206 if wanted else 200, CONTENT[start:], start)
            case "/no-ranges":
                self.answer(200, CONTENT)
            case "/breaks":
                self.answer(206 if wanted else 200, CONTENT[start : start + 1_000_000], start, len(CONTENT) - start)
            case "/other":
                self.answer(200, CONTENT[:-1] + b"!")
            case "/page":
                self.answer(200, b"<html>moved</html>")
            case "/longer":
                self.answer(200, CONTENT + b"more")
            case _:
                self.send_error(404)

    def answer(self, status: int, body: bytes, start: int = 0, promised: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if promised is None else promised))
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Handler.asked.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


@pytest.fixture
def wanted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: str) -> Release:
    """A release of CONTENT, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = Release("m", "a model", f"{server}/m.model", len(CONTENT), DIGEST)
    monkeypatch.setitem(RELEASES, "m", made)
    return made


@pytest.fixture
def published(tmp_path: Path) -> Path:
    file = tmp_path / "m.model"
    file.write_bytes(CONTENT)
    return file


def halve(file: Path, folder: Path) -> None:
    """Stands in for a conversion: two files from one."""
    content = file.read_bytes()
    (folder / "video.onnx").write_bytes(content[: len(content) // 2])
    (folder / "audio.onnx").write_bytes(content[len(content) // 2 :])


def left_over() -> list[str]:
    return sorted(p.name for p in cache_dir().iterdir()) if cache_dir().exists() else []


def test_the_published_file_is_the_one_of_the_authors() -> None:
    v2 = RELEASES["v2"]
    assert (v2.size, v2.filename) == (54_573_114, "syncnet_v2.model")
    assert v2.sha256 == "961e8696f888fce4f3f3a6c3d5b3267cf5b343100b238e79b2659bff2c605442"
    assert v2.url == "http://www.robots.ox.ac.uk/~vgg/software/lipsync/data/syncnet_v2.model"


def test_the_cache_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "syncnet"
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for value in ("", "relative"):  # the specification: relative paths are ignored
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert cache_dir() == tmp_path / "home" / ".cache" / "syncnet"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == tmp_path / "home" / ".cache" / "syncnet"


def test_install_and_find(wanted: Release, published: Path) -> None:
    installed = install(wanted, published, halve)
    assert installed.folder == cache_dir() / "m"
    assert (installed.folder / "video.onnx").read_bytes() + (installed.folder / "audio.onnx").read_bytes() == CONTENT
    assert find("m") == installed
    assert installed.sha256 == DIGEST
    assert left_over() == ["m"]


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="no weights called 'v3'; known are: v2"):
        find("v3")


def test_not_installed_says_how_to_install(wanted: Release) -> None:
    with pytest.raises(InputError, match=r"not installed.*syncnet weights get m.*syncnet weights add m FILE"):
        find("m")


def test_a_wrong_file_is_refused(wanted: Release, published: Path, tmp_path: Path) -> None:
    published.write_bytes(CONTENT[:-1])
    with pytest.raises(InputError, match=r"3,000,016 bytes, the published file has 3,000,017"):
        install(wanted, published, halve)
    published.write_bytes(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))
    with pytest.raises(InputError, match="is damaged: its SHA-256 is"):
        install(wanted, published, halve)
    with pytest.raises(InputError, match="There is no file"):
        install(wanted, tmp_path / "absent", halve)
    assert left_over() == []


def test_a_conversion_that_fails_leaves_what_was_there(wanted: Release, published: Path) -> None:
    before = install(wanted, published, halve)

    def fails(file: Path, folder: Path) -> None:
        (folder / "video.onnx").write_bytes(b"half done")
        raise InputError("names do not match")

    with pytest.raises(InputError, match="names do not match"):
        install(wanted, published, fails)
    assert find("m") == before
    assert left_over() == ["m"]


def test_installing_again_mends_a_damaged_model(wanted: Release, published: Path) -> None:
    install(wanted, published, halve)
    (cache_dir() / "m" / "video.onnx").write_bytes(b"rot")
    with pytest.raises(InputError, match=r"damaged: .*video\.onnx has changed"):
        find("m")
    install(wanted, published, halve)
    assert find("m").files["video.onnx"] == sha256(cache_dir() / "m" / "video.onnx")
    (cache_dir() / "m" / "card.json").write_text("{}")
    with pytest.raises(InputError, match="no readable card"):
        find("m")


def test_a_model_of_another_file_is_not_taken_for_this_one(
    wanted: Release, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(wanted, published, halve)
    monkeypatch.setitem(RELEASES, "m", replace(wanted, sha256="0" * 64))
    with pytest.raises(InputError, match="come from another file"):
        find("m")


def test_download_is_checked_and_told_about(wanted: Release) -> None:
    told: list[tuple[int, int]] = []
    file = download(wanted, on_progress=lambda done, total: told.append((done, total)))
    assert file == cache_dir() / "downloads" / "m.model" and file.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT)) and told == sorted(told)
    assert Handler.asked == [None]


def test_a_broken_download_is_resumed(wanted: Release, server: str) -> None:
    part = cache_dir() / "downloads" / "m.model.part"
    with pytest.raises(InputError, match=r"failed: .*1,000,000 of 3,000,017 bytes.*run the command again"):
        download(wanted, url=f"{server}/breaks")
    assert part.read_bytes() == CONTENT[:1_000_000]
    assert download(wanted).read_bytes() == CONTENT
    assert Handler.asked == [None, "bytes=1000000-"]
    assert not part.exists()


def test_a_server_without_ranges_starts_over(wanted: Release, server: str) -> None:
    part = cache_dir() / "downloads" / "m.model.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT[:5000])
    assert download(wanted, url=f"{server}/no-ranges").read_bytes() == CONTENT


@pytest.mark.parametrize("start", [b"x" * 5000, b"x" * len(CONTENT), b"x" * (len(CONTENT) + 1)])
def test_a_part_that_is_wrong_is_thrown_away(wanted: Release, start: bytes) -> None:
    part = cache_dir() / "downloads" / "m.model.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(start)
    assert download(wanted).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("other", "does not serve the published m.model.*SHA-256"),
        ("page", "ended after 18 of 3,000,017 bytes"),
        ("longer", "serves more than the 3,000,017 bytes"),
        ("absent", "the server answers 404 Not Found"),
    ],
)
def test_what_is_not_the_file_is_refused(wanted: Release, server: str, path: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        download(wanted, url=f"{server}/{path}")
    assert not (cache_dir() / "downloads" / "m.model").exists()
    assert download(wanted).read_bytes() == CONTENT  # and nothing stands in the way of the right one


def test_no_server_is_said_in_words(wanted: Release) -> None:
    with pytest.raises(InputError, match=r"failed: .*refused.*syncnet weights add m FILE"):
        download(wanted, url="http://127.0.0.1:9/m.model")
    with pytest.raises(InputError, match="failed: unknown url type"):
        download(wanted, url="m.model")


@pytest.fixture
def v2_release(wanted: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of random v2 weights, released under the name v2."""
    torch = pytest.importorskip("torch")
    from syncnet.model.v2 import V2

    file = tmp_path / "random.model"
    torch.manual_seed(0)
    torch.save(V2().state_dict(), file)
    made = Release("v2", "random", "http://127.0.0.1:9/x.model", file.stat().st_size, sha256(file))
    monkeypatch.setitem(RELEASES, "v2", made)
    return file


def test_the_command_adds_and_lists(v2_release: Path) -> None:
    runner = CliRunner()
    before = runner.invoke(app, ["list"])
    assert before.exit_code == 0 and "v2: random" in before.output and "not installed" in before.output
    added = runner.invoke(app, ["add", "v2", str(v2_release)])
    assert added.exit_code == 0 and f"v2 is installed in {cache_dir() / 'v2'}" in added.output
    assert sorted(find("v2").files) == ["audio.onnx", "video.onnx"]
    after = runner.invoke(app, ["list"])
    assert f"installed in {cache_dir() / 'v2'}" in after.output


def test_the_command_gets_from_a_server(
    v2_release: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "CONTENT", v2_release.read_bytes())
    result = CliRunner().invoke(app, ["get", "v2", "--url", f"{server}/m.model"])
    assert result.exit_code == 0, result.output
    assert find("v2").sha256 == sha256(v2_release)
    assert list((cache_dir() / "downloads").iterdir()) == []  # 54 MB are not kept twice


def test_the_command_says_what_is_missing_without_torch(
    v2_release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "syncnet.model.v2", None)
    monkeypatch.delattr("syncnet.model.v2", raising=False)
    result = CliRunner().invoke(app, ["add", "v2", str(v2_release)])
    assert isinstance(result.exception, InputError)
    assert "pip install 'syncnet[train]'" in str(result.exception)


def test_scoring_side_does_not_import_torch() -> None:
    import subprocess
    import sys

    code = "import sys, syncnet.v2_encoder, syncnet.score, syncnet.weights_store; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
