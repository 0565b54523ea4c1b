"""A WebDAV server for tests that keeps checksums of its files and returns them in the way of dCache; it only serves metadata."""

from __future__ import annotations

import contextlib
import threading
import zlib
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ANSWER = """<?xml version="1.0" encoding="utf-8"?>
<D:multistatus xmlns:D="DAV:" xmlns:dcache="http://www.dcache.org/2013/webdav"><D:response><D:href>{path}</D:href><D:propstat>
<D:prop><D:resourcetype/><D:getcontentlength>{size}</D:getcontentlength><D:getlastmodified>{date}</D:getlastmodified>
<dcache:Checksums>adler32={checksum:x}</dcache:Checksums></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>
</D:multistatus>"""


class Handler(BaseHTTPRequestHandler):
    """Answers OPTIONS, HEAD and PROPFIND for the files of a folder."""

    folder: Path
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "dCache/9.2.4", ""

    def log_message(self, *args: Any) -> None:
        pass

    def do_OPTIONS(self) -> None:
        self._answer(200, b"")

    def do_HEAD(self) -> None:
        self._answer(200 if self._file.is_file() else 404, b"")

    def do_PROPFIND(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not self._file.is_file():
            self._answer(404, b"")
            return
        data = self._file.read_bytes()
        text = ANSWER.format(path=self.path, size=len(data), date=formatdate(usegmt=True), checksum=zlib.adler32(data))
        self._answer(207, text.encode())

    @property
    def _file(self) -> Path:
        return self.folder / self.path.lstrip("/")

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("DAV", "1,2")
        self.send_header("Content-Type", "application/xml; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Run the server for a folder in a thread, and give its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("FolderHandler", (Handler,), {"folder": folder}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"dav://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
