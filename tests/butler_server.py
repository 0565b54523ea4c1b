"""The real Butler server of lsst-daf-butler, in a process of its own and over real HTTP, for tests of its real client.

Only what stands in front of it at a facility is played: an ingress, as Gafaelfawr's, that checks the bearer token and adds the
headers with the user's name and token, and the answer about the groups of that user. Run as a program, this is the server; it
takes the file descriptor of a socket that listens.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TOKEN = "gt-open-sesame-2f61c07d"
"""The token of a user who may read every repository that is not restricted."""
PREFIX = "/api/butler/repo/"


class ButlerServer:
    """A running server; ``url`` is where it listens."""

    def __init__(self, url: str) -> None:
        self.url = url

    def serve(self, name: str, folder: Path, groups: str = "*") -> str:
        """Serve a repository under a name to the users of a group, and return the URL of the repository."""
        body = json.dumps({"name": name, "config_uri": str(folder), "authorized_groups": [groups]}).encode()
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/test/repositories", body, method="POST"), timeout=60).close()
        return f"{self.url}{PREFIX}{name}"


@contextlib.contextmanager
def running_server() -> Iterator[ButlerServer]:
    """Run a server without repositories."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        words = [sys.executable, __file__, str(listening.fileno())]
        variables = {
            "DAF_BUTLER_SERVER_REPOSITORIES": "{}",
            "DAF_BUTLER_SERVER_GAFAELFAWR_URL": f"{url}/auth",
            "DAF_BUTLER_SERVER_AUTHENTICATION": "rubin_science_platform",
        }
        process = subprocess.Popen(words, pass_fds=[listening.fileno()], env={**os.environ, **variables})
    try:
        _wait_until_ready(url, process)
        yield ButlerServer(url)
    finally:
        process.terminate()
        process.wait()


def _wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/", timeout=5):
            return
        assert process.poll() is None, "the Butler server ended"
        assert time.monotonic() < deadline, "the Butler server didn't answer in time"
        time.sleep(0.1)


class Ingress:
    """What stands in front of a Butler server: authentication, and here also a request that adds a repository."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif scope["path"] == "/test/repositories":
            add_repository(json.loads(await read_body(receive)))
            await answer(send, 200, {})
        elif scope["path"] == "/auth/api/v1/user-info":
            await answer(send, 200, {"username": "ada", "groups": [{"name": "g_users"}]})
        elif not scope["path"].startswith(PREFIX) or scope["path"].endswith(("/butler.yaml", "/butler.json")):
            await self.app(scope, receive, send)  # the configuration is public
        elif dict(scope["headers"]).get(b"authorization") != f"Bearer {TOKEN}".encode():
            await answer(send, 401, {"detail": "the token is not valid"})
        else:
            user = [(b"x-auth-request-user", b"ada"), (b"x-auth-request-token", TOKEN.encode())]
            await self.app({**scope, "headers": [*scope["headers"], *user]}, receive, send)


async def read_body(receive: Any) -> bytes:
    """Return the body of a request."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


async def answer(send: Any, status: int, content: Any) -> None:
    """Send a JSON response."""
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(content).encode()})


def add_repository(request: dict[str, Any]) -> None:
    """Add a repository to the configuration of the server in this process, and let it forget those it opened."""
    from lsst.daf.butler.remote_butler.server import _config, _dependencies

    name = request.pop("name")
    _config.load_config().repositories[name] = _config.RepositoryConfig(**request)
    _dependencies.reset_dependency_caches()


def main(descriptor: int) -> None:
    """Run the server on a socket that listens."""
    import uvicorn
    from lsst.daf.butler.remote_butler.server import create_app

    config = uvicorn.Config(Ingress(create_app()), fd=descriptor, log_level="error", access_log=False)
    uvicorn.Server(config).run()


if __name__ == "__main__":
    main(int(sys.argv[1]))
