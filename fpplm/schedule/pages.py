"""Serves the pages of reports/ to this machine while `fpplm up` runs: browsers refuse links to files."""

from __future__ import annotations

from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from fpplm.pipeline.paths import REPORTS

FILES = {f"/{name}": REPORTS / name for name in ("report.html", "data_docs/index.html")}  # and nothing else
HOST = "127.0.0.1"
HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "frame-ancestors 'none'",  # each page has its own policy, which cannot say this
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Handler(BaseHTTPRequestHandler):
    """Answers GET for the pages of FILES."""

    timeout = 30  # seconds for a client that sends nothing

    def do_GET(self) -> None:
        own = {f"{name}:{self.connection.getsockname()[1]}" for name in (HOST, "localhost")}
        page = FILES.get(self.path.partition("?")[0])
        if self.headers["Host"] not in own:  # a web page whose name was made to point here
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
        elif page is None or not page.is_file():
            self.send_error(HTTPStatus.NOT_FOUND)
        else:
            content = page.read_bytes()
            self.send_response(HTTPStatus.OK)
            for name, value in {**HEADERS, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Prints nothing."""


def serve(port: int) -> str:
    """Serves the pages on a port of this machine, or on a free one if it is taken; returns the address."""
    try:
        server = ThreadingHTTPServer((HOST, port), Handler)
    except (OSError, OverflowError):
        server = ThreadingHTTPServer((HOST, 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    return f"http://{HOST}:{server.server_address[1]}"
