"""A web server on loopback: Python's own, with ranges, and with the faults that a test asks for."""

from __future__ import annotations

import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import io
    from pathlib import Path


class FileServer:
    """Serves a folder.

    ``faults`` are used up by the answers in turn, one each; a fault is a status to answer with,
    or the number of bytes of the body after which the connection ends (``cut``) or nothing more
    comes until the server is closed (``stall``). ``requests`` tells what was asked for.
    """

    def __init__(self, folder: Path, *, ranges: bool = True) -> None:
        self.folder = folder
        self.ranges = ranges
        self.faults: list[int | tuple[str, int]] = []
        self.requests: list[str] = []
        self.closing = threading.Event()

        def handler(*arguments: Any) -> Handler:
            return Handler(self, *arguments)

        self._server = QuietServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/{name}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class QuietServer(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what some tests are about."""


class Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, files: FileServer, *arguments: Any) -> None:
        self.files = files
        self.limit: tuple[str, int] | None = None
        super().__init__(*arguments, directory=str(files.folder))

    def do_GET(self) -> None:
        wanted = self.headers.get("Range", "")
        self.files.requests.append(f"{self.path} {wanted}".strip())
        fault = self.files.faults.pop(0) if self.files.faults else None
        if isinstance(fault, int):
            self.send_error(fault)
            return
        self.limit = fault
        if wanted and self.files.ranges:
            self.send_range(int(wanted.removeprefix("bytes=").removesuffix("-")))
        else:
            super().do_GET()

    def send_range(self, start: int) -> None:
        content = (self.files.folder / self.path.lstrip("/")).read_bytes()
        if start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.send(content[start:])

    def copyfile(self, source: io.BufferedIOBase, outputfile: Any) -> None:  # type: ignore[override]  # the base's types are typeshed's own
        del outputfile
        self.send(source.read())

    def send(self, body: bytes) -> None:
        if self.limit is None:
            self.wfile.write(body)
            return
        kind, length = self.limit
        self.wfile.write(body[:length])
        self.wfile.flush()
        if kind == "stall":
            self.files.closing.wait()
        self.close_connection = True

    def log_message(self, format: str, *arguments: Any) -> None:
        """Silent: what matters is in ``requests``."""
