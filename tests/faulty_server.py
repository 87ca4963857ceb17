"""A local HTTP server with configurable faults: slow, dropped connections, wrong bytes."""

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FaultyServer(ThreadingHTTPServer):
    """A server of contents by name; each request gets the next fault, None for no fault.

    Attributes:
        requests: name and first byte of each request, in order.
        sent: total number of bytes of all response bodies.
    """

    def __init__(self, contents: Mapping[str, bytes], faults: Iterable[str | None] = ()) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.contents = dict(contents)
        self.faults = list(faults)
        self.redirect_to = ""
        self.requests: list[tuple[str, int]] = []
        self.sent = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    server: FaultyServer

    def do_GET(self) -> None:
        name = self.path.strip("/")
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        self.server.requests.append((name, start))
        fault = self.server.faults.pop(0) if self.server.faults else None
        content = self.server.contents.get(name)
        if fault == "closed":
            self.close_connection = True
            return
        if fault == "redirect":
            self.send_response(302)
            self.send_header("Location", self.server.redirect_to)
            self.end_headers()
            return
        if content is None or fault in ("gone", "busy") or start > len(content):
            self.send_error(404 if content is None or fault == "gone" else 503 if fault else 416)
            return
        if fault == "wrong":
            place = (start + len(content)) // 2
            content = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        body = content[start:]
        self.send_response(206 if start else 200)
        if fault != "endless":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        end = len(body) // 2 if fault == "drop" else len(body)
        for begin in range(0, end, 4096):
            self.wfile.write(body[begin : min(begin + 4096, end)])
            self.server.sent += min(begin + 4096, end) - begin
            if fault == "slow":
                self.wfile.flush()
                time.sleep(0.05)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def serving(
    contents: Mapping[str, bytes], faults: Iterable[str | None] = ()
) -> Iterator[FaultyServer]:
    """Runs a server during the `with` block."""
    server = FaultyServer(contents, faults)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
