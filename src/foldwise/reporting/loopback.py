"""A server for browsers of this computer only: who comes under another name, or from another page, is refused."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from foldwise.errors import RunError

HOST = "127.0.0.1"
NAMES = (HOST, "localhost")
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
PATIENCE_S = 60  # for the next bytes of a request


class Handler(BaseHTTPRequestHandler):
    """What all such servers share; what they answer is `get` and `post`."""

    server_version, sys_version, timeout = "foldwise", "", PATIENCE_S

    def get(self) -> None:
        """Answer a request for a page."""
        self.answer(404, "text/plain", "There is no such page.")

    def post(self) -> None:
        """Answer what was sent."""
        self.answer(405, "text/plain", "Nothing can be sent here.")

    def do_GET(self) -> None:
        """403 for those who come under another name."""
        if not self._refuses():
            self.get()

    def do_POST(self) -> None:
        """403 for those who come under another name, or from another page."""
        if not self._refuses():
            self.post()

    def _refuses(self) -> bool:
        """Whether the request was refused."""
        port = str(self.connection.getsockname()[1])
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        name, _, stated = host.rpartition(":")
        # A page from elsewhere whose name was made to point here (DNS rebinding) has that name in its requests.
        wrong = name not in NAMES or stated != port
        if wrong or origin not in (None, f"http://{host}"):
            self.close_connection = True  # a body that nobody reads may follow
            self.answer(403, "text/plain", f"Open http://{HOST}:{port}/ instead.")
            return True
        return False

    def answer(self, code: int, kind: str, text: str) -> None:
        """Send a text."""
        body = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        for header, value in HEADERS.items():
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a browser asks every other second."""


@contextmanager
def listening(handler: type[Handler], port: int = 0) -> Iterator[str]:
    """A server on this computer for as long as the context lasts; its address.

    Args:
        port: 0 takes a free one.

    Raises:
        RunError: the port is taken.
    """
    try:
        server = ThreadingHTTPServer((HOST, port), handler)
    except (OSError, OverflowError) as error:
        cure = "Name another one, or leave --port out: a free one is taken."
        raise RunError(f"port {port} cannot be used: {error}", where="--port", cure=cure) from None
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_address[1]}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
