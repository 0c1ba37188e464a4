"""A server on this computer that serves one file, breaks off when told to, and remembers what it was asked."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Served:
    """What is served, and how: `breaks` holds after how many bytes each answer breaks off."""

    def __init__(self, content: bytes, *, etag: str | None = '"one"', ranges: bool = True) -> None:
        self.content, self.etag, self.ranges = content, etag, ranges
        self.breaks: list[int] = []
        self.asked: list[str | None] = []
        self.status = 200
        self.url = ""


@contextmanager
def serving(content: bytes, **how):
    served = Served(content, **how)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked = self.headers.get("Range")
            served.asked.append(asked)
            if served.status != 200:
                self.send_error(served.status)
                return
            start = 0
            if asked and served.ranges and self.headers.get("If-Range") == served.etag:
                start = int(asked.removeprefix("bytes=").removesuffix("-"))
            size = len(served.content)
            if start and start >= size:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{size}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            if served.etag:
                self.send_header("ETag", served.etag)
            self.send_header("Content-Length", str(size - start))
            self.end_headers()
            body = served.content[start:]
            self.wfile.write(body[: served.breaks.pop(0)] if served.breaks else body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}/set.zip"
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
