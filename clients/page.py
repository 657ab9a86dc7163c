"""Runs javascript/conformance.html in a browser (see conformance.py); it finds the `spans` of golden.json.

The page loads nothing from elsewhere: a server on 127.0.0.1 gives it ONNX Runtime's WebAssembly and the bundle.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

from clients.conformance import Found, Rows, run

PAGES = Path(__file__).resolve().parent / "javascript"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
SECONDS = 600  # for all sentences


class Pages(SimpleHTTPRequestHandler):
    """The files of javascript/, those of a bundle under /bundle/, and /golden.json; `answer` gets what a page posts."""

    def __init__(self, bundle: Path, golden: Path, answer: Queue[Any], *rest: Any) -> None:
        self.bundle, self.golden, self.answer = bundle, golden, answer
        super().__init__(*rest, directory=str(PAGES))

    def translate_path(self, path: str) -> str:
        if path == "/golden.json":
            return str(self.golden)
        if path.startswith("/bundle/"):
            return str(self.bundle / path.removeprefix("/bundle/"))
        return super().translate_path(path)

    def do_POST(self) -> None:
        self.answer.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Logs nothing."""


def tag(bundle: Path, rows: Rows) -> Found:
    """The spans that the page finds. Raises RuntimeError for an error of the page, or if there is no browser."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise RuntimeError(f"there is no browser: install one of {', '.join(BROWSERS)}")
    answer: Queue[Any] = Queue()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        golden = Path(folder) / "golden.json"
        golden.write_text(json.dumps(rows), encoding="utf-8")
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Pages, bundle, golden, answer))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/conformance.html"
        command = [browser, *OPTIONS, f"--user-data-dir={folder}/profile", url]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            told = answer.get(timeout=SECONDS)
        finally:
            process.terminate()
            process.wait()
            server.shutdown()
            server.server_close()
    if "error" in told:
        raise RuntimeError(told["error"])
    found: Found = told["found"]
    return found


if __name__ == "__main__":
    sys.exit(run(tag, "spans"))
