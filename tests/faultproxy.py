"""An HTTP proxy for a real Rucio server that simulates failures of the server and the network."""

from __future__ import annotations

import http.client
import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlparse

HOP = {"connection", "transfer-encoding", "content-length", "keep-alive", "server", "date"}


class FaultProxy:
    """Forwards requests to a server, and injects ``fault`` into those whose path matches ``where``.

    Parameters
    ----------
    target : `str`
        URL of the real server.
    """

    def __init__(self, target: str) -> None:
        parsed = urlparse(target)
        self.target = (str(parsed.hostname), int(parsed.port or 80))
        self.fault = ""
        self.where = re.compile(".")
        self.method = ""
        self.left = -1
        self.requests: list[str] = []
        self.hanging = threading.Event()
        """Set once a request waits for an answer that isn't sent."""
        self.released = threading.Event()
        """Ends the waiting."""
        self.server = QuietServer(("127.0.0.1", 0), type("BoundHandler", (Handler,), {"proxy": self}))
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    @contextmanager
    def doing(self, fault: str, where: str = ".", method: str = "", times: int = -1) -> Iterator[None]:
        """Inject a fault while the context lasts.

        Parameters
        ----------
        fault : `str`
            Name of the fault and its value, such as ``status 503`` or ``hang 4``.
        where, method : `str`
            Pattern of the paths, and method, of the requests that fail; an empty method means all.
        times : `int`
            Number of requests that fail; -1 for all.
        """
        self.fault, self.where, self.method, self.left = fault, re.compile(where), method, times
        self.requests.clear()
        self.hanging.clear()
        self.released.clear()
        try:
            yield
        finally:
            self.fault = ""
            self.released.set()

    def _take(self, method: str, path: str) -> str:
        self.requests.append(f"{method} {path}")
        if not self.fault or not self.where.search(path) or (self.method and self.method != method) or self.left == 0:
            return ""
        self.left -= 1
        return self.fault


class QuietServer(ThreadingHTTPServer):
    """A server that prints nothing about connections that the program under test closes."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class Handler(BaseHTTPRequestHandler):
    """Handles one request: forwards it, or answers with the fault."""

    proxy: FaultProxy
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None:
        pass

    def _do(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        fault = self.proxy._take(self.command, self.path)
        name, _, value = fault.partition(" ")
        self.close_connection = True
        if name == "reset":
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
        elif name == "status":
            self._answer(int(value), {"Retry-After": "1"}, b"<h1>error</h1>")
        elif name == "exception":
            kind, _, text = value.partition(" ")
            headers = {"ExceptionClass": kind, "Content-Type": "application/json"}
            content = f'{{"ExceptionClass": "{kind}", "ExceptionMessage": "{text or "broken"}"}}'
            self._answer(500, headers, content.encode())
        elif name == "hang":
            self.proxy.hanging.set()
            self.proxy.released.wait(float(value))
        elif name == "html":
            self._answer(200, {"Content-Type": "text/html"}, b"<html><body>Please log in</body></html>")
        else:
            self._spoil(name, value, *self._forward(body))

    def _spoil(self, name: str, value: str, status: int, headers: Any, content: bytes) -> None:
        """Answer with a damaged form of what the server answered."""
        if name == "done-then":
            self._answer(int(value), {}, b"gone")
        elif name == "cut":
            self._answer(status, headers, content, promise=len(content) + 100)
        elif name == "short":
            lines = content.splitlines(keepends=True)
            if value:
                lines.sort(key=lambda line: value.encode() not in line)
            self._answer(status, headers, b"".join(lines[: len(lines) // 2]))
        elif name == "third":
            lines = content.splitlines(keepends=True)
            self._answer(status, headers, b"".join(lines[: len(lines) // 3]))
        else:
            self._answer(status, headers, content)

    do_GET = do_POST = do_PUT = do_DELETE = _do

    def _forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(*self.proxy.target, timeout=60)
        headers = {key: value for key, value in self.headers.items() if key.lower() not in ("host", "connection")}
        connection.request(self.command, self.path, body or None, headers)
        answer = connection.getresponse()
        content = answer.read()
        kept = {key: value for key, value in answer.getheaders() if key.lower() not in HOP}
        connection.close()
        return answer.status, kept, content

    def _answer(self, status: int, headers: dict[str, str], content: bytes, promise: int | None = None) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content) if promise is None else promise))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)
