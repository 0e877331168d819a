"""Repaired files play in a real browser, from the first picture to the last."""

from __future__ import annotations

import json
import shutil
import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any

import pytest

from repair_media import SECONDS, late_by, make
from syncnet.mend import fix

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="needs a browser: apt install chromium"),
    pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the ffmpeg program makes the media"),
    pytest.mark.slow,
]

PAGE = """<!DOCTYPE html><video id="v" muted></video><script>
const v = document.getElementById("v");
const tell = (what) => fetch("/told", {method: "POST", body: JSON.stringify({what, duration: v.duration,
  time: v.currentTime, frames: v.getVideoPlaybackQuality().totalVideoFrames, sound: v.webkitAudioDecodedByteCount,
  error: v.error && v.error.message})});
v.onended = () => tell("ended"); v.onerror = () => tell("error");
v.oncanplay = () => { v.oncanplay = null; v.playbackRate = 2; v.play().catch(e => tell("refused")); };
v.src = "/film";
</script>"""


def played(film: Path, folder: Path) -> dict[str, Any]:
    """Play a file to its end in a browser; what the page tells about it."""
    told: Queue[dict[str, Any]] = Queue()

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = PAGE.encode() if self.path == "/" else film.read_bytes() if self.path == "/film" else b""
            self.send_response(200 if body else 404)
            kind = {".mp4": "video/mp4", ".webm": "video/webm"}[film.suffix] if self.path == "/film" else "text/html"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            told.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    Thread(target=server.serve_forever, daemon=True).start()
    assert BROWSER is not None
    page = f"http://127.0.0.1:{server.server_port}/"
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required")
    command = [BROWSER, *flags, f"--user-data-dir={folder / 'profile'}", "--remote-debugging-port=0", page]
    browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        return told.get(timeout=120)
    except Empty:
        pytest.fail("the browser did not come to the end")
    finally:
        browser.kill()
        browser.wait()
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("container", ["mp4", "webm"])
@pytest.mark.parametrize(("mode", "late_ms"), [("samples", 160.0), ("timestamps", -320.0)])
def test_a_repaired_file_plays_to_its_end(tmp_path: Path, container: str, mode: str, late_ms: float) -> None:
    source = make(tmp_path, container, late_by(late_ms))
    out = tmp_path / f"fixed.{container}"
    fix(source, out, mode=mode, offset_ms=late_ms, verify=False)  # type: ignore[arg-type]
    told = played(out, tmp_path)
    assert told["what"] == "ended" and told["error"] is None
    assert told["duration"] == pytest.approx(SECONDS, abs=0.36)
    assert told["time"] == pytest.approx(told["duration"], abs=0.1)
    assert told["frames"] > 0 and told["sound"] > 0
