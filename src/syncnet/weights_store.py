"""Models that other people publish: where they come from, how they are checked, and their place on this disk.

A published file is installed only if its size and SHA-256 are those written here; then it is converted once and lies,
with a card that says what it is, in the user's cache (`$XDG_CACHE_HOME/syncnet`, else `~/.cache/syncnet`).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from syncnet.errors import InputError

if TYPE_CHECKING:
    from http.client import HTTPResponse

CHUNK = 1 << 20  # bytes read at a time
TIMEOUT_S = 30.0

Progress = Callable[[int, int], None]
"""Told (bytes so far, bytes in all) as a download goes on."""

Convert = Callable[[Path, Path], None]
"""Turns a published file into the .onnx files of a folder."""


@dataclass(frozen=True)
class Release:
    """A published file of weights: its address, its size in bytes and its SHA-256."""

    name: str
    title: str
    url: str
    size: int
    sha256: str

    @property
    def filename(self) -> str:
        """The file's own name, the last part of its address."""
        return self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Installed:
    """A model ready to run: its folder, the SHA-256 of the published file, and that of each file made from it."""

    name: str
    folder: Path
    sha256: str
    files: dict[str, str]


RELEASES = {
    "v2": Release(
        name="v2",
        title="SyncNet v2 as released by its authors (colour faces of 224 pixels, 1024 numbers): what LSE is made with",
        url="http://www.robots.ox.ac.uk/~vgg/software/lipsync/data/syncnet_v2.model",
        size=54_573_114,
        sha256="961e8696f888fce4f3f3a6c3d5b3267cf5b343100b238e79b2659bff2c605442",
    )
}


def cache_dir() -> Path:
    """The user's cache for this program."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "syncnet"


def release(name: str) -> Release:
    """The release of that name. Raises InputError naming those there are."""
    try:
        return RELEASES[name]
    except KeyError:
        raise InputError(f"There are no weights called {name!r}; known are: {', '.join(RELEASES)}.") from None


def find(name: str) -> Installed:
    """The installed model of that name. Raises InputError, saying how to install it, where it is not there or damaged.

    Damaged means: the card was written for another release, or a file differs from what the card says.
    """
    wanted = release(name)
    folder = cache_dir() / name
    if not folder.is_dir():
        raise InputError(
            f"The weights {name!r} are not installed. Run `syncnet weights get {name}` to fetch them from their "
            f"authors, or `syncnet weights add {name} FILE` if you have {wanted.filename}."
        )
    again = f"Run `syncnet weights get {name}` (or add) again."
    try:
        installed = _read_card(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"The installed weights {name!r} in {folder} have no readable card. {again}") from None
    if installed.sha256 != wanted.sha256:
        raise InputError(f"The installed weights {name!r} in {folder} come from another file. {again}")
    for file, digest in installed.files.items():
        if not (folder / file).is_file() or sha256(folder / file) != digest:
            raise InputError(f"The installed weights {name!r} are damaged: {folder / file} has changed. {again}")
    return installed


def check(wanted: Release, file: Path) -> None:
    """Raise InputError unless the file is, byte for byte, the published one."""
    if not file.is_file():
        raise InputError(f"There is no file {file}.")
    size = file.stat().st_size
    if size != wanted.size:
        raise InputError(
            f"{file} is not {wanted.filename}: it has {size:,} bytes, the published file has {wanted.size:,}."
        )
    found = sha256(file)
    if found != wanted.sha256:
        raise InputError(
            f"{file} is not {wanted.filename} or is damaged: its SHA-256 is {found}, "
            f"that of the published file {wanted.sha256}."
        )


def install(wanted: Release, file: Path, convert: Convert) -> Installed:
    """Check a published file, convert it and put the result in its place in the cache, whole or not at all.

    What was installed under that name before is replaced. Raises InputError if the file is not the published one.
    """
    check(wanted, file)
    home = cache_dir()
    home.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{wanted.name}-", dir=home))
    try:
        convert(file, fresh)
        files = {made.name: sha256(made) for made in sorted(fresh.iterdir())}
        card = {"name": wanted.name, "title": wanted.title, "source": asdict(wanted), "files": files}
        (fresh / "card.json").write_text(json.dumps(card, indent=2) + "\n")
        fresh.chmod(0o755)
        _swap(fresh, home / wanted.name)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return Installed(wanted.name, home / wanted.name, wanted.sha256, files)


def _swap(fresh: Path, place: Path) -> None:
    """Put the fresh folder in its place; an older one there steps aside first and is then deleted."""
    if place.exists():
        aside = Path(tempfile.mkdtemp(prefix=f".old-{place.name}-", dir=place.parent))
        place.rename(aside / place.name)
        fresh.rename(place)
        shutil.rmtree(aside, ignore_errors=True)
    else:
        fresh.rename(place)


def _read_card(folder: Path) -> Installed:
    card = json.loads((folder / "card.json").read_text())
    files = {str(name): str(digest) for name, digest in card["files"].items()}
    return Installed(str(card["name"]), folder, str(card["source"]["sha256"]), files)


def sha256(file: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def download(wanted: Release, *, url: str | None = None, on_progress: Progress | None = None) -> Path:
    """Fetch a published file into the cache and return its path, checked; a broken download is resumed where it ended.

    `url`: another address for the same file. A part that turns out to be wrong is thrown away and fetched once more
    from the start. Raises InputError if the address cannot be reached or serves something else.
    """
    folder = cache_dir() / "downloads"
    folder.mkdir(parents=True, exist_ok=True)
    whole, part = folder / wanted.filename, folder / (wanted.filename + ".part")
    resumed = part.is_file() and part.stat().st_size > 0
    _fetch(wanted, url or wanted.url, part, on_progress)
    if resumed and sha256(part) != wanted.sha256:
        part.unlink()
        _fetch(wanted, url or wanted.url, part, on_progress)
    try:
        check(wanted, part)
    except InputError as error:
        part.unlink()
        raise InputError(f"{url or wanted.url} does not serve the published {wanted.filename}. {error}") from error
    part.replace(whole)
    return whole


def _fetch(wanted: Release, url: str, part: Path, on_progress: Progress | None) -> None:
    """Make `part` as long as the published file, asking only for what it lacks where the server can do that."""
    from http.client import HTTPException
    from urllib.request import Request, urlopen

    have = part.stat().st_size if part.is_file() else 0
    if have > wanted.size:
        part.unlink()
        have = 0
    if have == wanted.size:
        return
    headers = {"User-Agent": "syncnet", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        with urlopen(Request(url, headers=headers), timeout=TIMEOUT_S) as answer:
            start = have if _continues(answer, have) else 0
            with part.open("r+b" if start else "wb") as out:
                out.seek(start)
                _copy(wanted, url, answer, out.write, start, on_progress)
    except (OSError, HTTPException, ValueError) as error:
        raise InputError(
            f"The download of {wanted.filename} from {url} failed: {_reason(error)}. What has arrived is kept; "
            f"run the command again to go on, or use `syncnet weights add {wanted.name} FILE` with a copy you have."
        ) from error


def _copy(
    wanted: Release,
    url: str,
    answer: HTTPResponse,
    write: Callable[[bytes], object],
    done: int,
    on_progress: Progress | None,
) -> None:
    while chunk := answer.read(CHUNK):
        done += len(chunk)
        if done > wanted.size:
            raise InputError(f"{url} serves more than the {wanted.size:,} bytes of {wanted.filename}.")
        write(chunk)
        if on_progress:
            on_progress(done, wanted.size)
    if done < wanted.size:
        raise ConnectionError(f"the connection ended after {done:,} of {wanted.size:,} bytes")


def _continues(answer: HTTPResponse, have: int) -> bool:
    """Whether the server sends the rest that was asked for (and not the whole again)."""
    return have > 0 and answer.status == 206 and str(answer.headers.get("Content-Range")).startswith(f"bytes {have}-")


def _reason(error: Exception) -> str:
    """What went wrong, without the wrapping of the library."""
    from urllib.error import HTTPError, URLError

    if isinstance(error, HTTPError):
        return f"the server answers {error.code} {error.reason}"
    if isinstance(error, URLError):
        return str(error.reason)
    return str(error) or type(error).__name__
