"""No credential reaches what is printed or written, wherever it comes from: states, environment, URLs and answers of servers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import Bench

from reconciler import redaction

SECRET = "Zq8-hunter2"
SHAPES = {
    "password of a database": "postgresql://me:a/b@c#{}?d@db.example.org/x",
    "password of a database with a blank": "postgresql://me:a {}@db.example.org/x",
    "token as a user": "https://{}@example.org/x",
    "token of a file": "davs://example.org:2880/x?authz={}",
    "signature": "https://s3.example.org/b/k?X-Amz-Expires=5&X-Amz-Signature={}",
    "session token": "https://s3.example.org/b/k?X-Amz-Credential=a%2F{0}&X-Amz-Security-Token={0}",
    "basic": "Authorization: Basic {}==",
    "bearer": "curl -H 'Authorization: Bearer {}'",
    "variable": "AWS_SECRET_ACCESS_KEY={}",
    "connection": "host=db password='{}' user=me",
    "json": '{{"userpass_pwd": "{}"}}',
    "header": "X-Rucio-Auth-Token: {}",
}
IN_URI = [shape for shape in SHAPES.values() if "://" in shape]
assert len(SHAPES) == 12


@pytest.fixture(autouse=True)
def forget_known_values() -> Iterator[None]:
    """Let each credential be found by its form alone, unless a test makes its value known."""
    redaction._known.clear()
    yield
    redaction._known.clear()


class Server:
    """A server that lets everybody in, knows nothing, and refuses changes, or everything, with a message."""

    def __init__(self) -> None:
        self.message = ""
        self.refuses_reads = False
        self.token = "a-token-of-this-server"
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), type("BoundHandler", (Handler,), {"owner": self}))
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    owner: Server

    def log_message(self, *args: Any) -> None:
        pass

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        reads = self.command == "GET" or "bulk" in self.path
        if "/auth" in self.path:
            self._send(200, {"X-Rucio-Auth-Token": self.owner.token}, b"")
        elif "whoami" in self.path:
            self._send(200, {"Content-Type": "application/json"}, b'{"account": "root"}')
        elif reads and not self.owner.refuses_reads and self.path.startswith("/dids/s/d"):
            self._refuse(404, "DataIdentifierNotFound", "no such DID")
        elif "/scopes" in self.path and not self.owner.refuses_reads:
            self._send(200, {"Content-Type": "application/json"}, b'["s"]')
        elif "/rses" in self.path and not self.owner.refuses_reads:
            self._send(200, {"Content-Type": "application/x-json-stream"}, b'{"rse": "R"}\n')
        elif reads and not self.owner.refuses_reads:
            self._send(200, {"Content-Type": "application/x-json-stream"}, b"")
        else:
            self._refuse(403, "AccessDenied", self.owner.message)

    do_GET = do_POST = do_PUT = do_DELETE = _answer

    def _refuse(self, status: int, exception: str, message: str) -> None:
        body = {"ExceptionClass": exception, "ExceptionMessage": message}
        self._send(status, {"Content-Type": "application/json", "ExceptionClass": exception}, json.dumps(body).encode())

    def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.http.shutdown()
    found.http.server_close()


@pytest.fixture
def rucio(tmp_path: Path, server: Server) -> Bench:
    """A bench whose state has one Rucio dataset, and whose configuration contains a password."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "rucio.cfg").write_text(
        f"[client]\nrucio_host = {server.url}\nauth_host = {server.url}\naccount = root\nauth_type = userpass\n"
        f"username = me\npassword = {SECRET}-of-the-file\nauth_token_file_path = {tmp_path}/token\n"
    )
    state = folder / "test.toml"
    state.write_text(
        '[reconcile]\nversion = 1\ntitle = "Authorization: Bearer ' + SECRET + '"\n[rucio]\nconfig = "rucio.cfg"\n'
        '[rucio_dataset."s:d"]\nopen = true\nnote = "password: ' + SECRET + '"\n'
    )
    environment = {
        "XDG_STATE_HOME": str(tmp_path / "xdg"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "TMPDIR": str(tmp_path),
        "RUCIO_CLIENT_MODE": "1",
    }
    return Bench(folder, folder / "none", environment)


def collect(bench: Bench, *commands: tuple[object, ...]) -> str:
    """Run commands, without and with ``--debug``, and return everything that was printed or written."""
    from reconciler.cli import main

    texts = []
    for debug in ([], ["--debug"]):
        for command in commands:
            result = CliRunner().invoke(main, [*debug, *map(str, command)], env=bench.environment)
            assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
            texts.append(result.output)
    for root in (Path(bench.environment["XDG_STATE_HOME"]), bench.folder):
        texts += [
            path.read_text(errors="replace") for path in root.rglob("*") if path.is_file() and path.suffix in (".jsonl", ".json")
        ]
    return "\n".join(texts)


def every_command(bench: Bench) -> list[tuple[object, ...]]:
    state = bench.folder / "test.toml"
    return [
        ("validate", state),
        ("diff", state, "-v"),
        ("diff", state, "--format", "json"),
        ("diff", state, "--format", "shell"),
        ("diff", state, "--out", bench.folder / "plan.json"),
        ("apply", bench.folder / "plan.json", "--yes"),
        ("apply", state, "--yes"),
        ("log",),
        ("log", "--address", "*"),
        ("log", "--format", "json"),
        ("list", state),
        ("explain", state, "r*"),
        ("explain", state, "rucio_dataset.*", "--format", "json"),
        ("doctor", state),
        ("doctor", state, "--format", "json"),
        ("show", bench.folder / "plan.json"),
    ]


@pytest.mark.parametrize("shape", IN_URI)
@pytest.mark.parametrize("key", ["repository", "variable", "location"])
def test_a_state_with_a_credential_in_a_uri_is_refused_and_the_error_names_where_credentials_belong(
    sqlite_bench: Bench, shape: str, key: str
) -> None:
    uri = json.dumps(shape.format(SECRET))
    state = sqlite_bench.folder / "test.toml"
    repository = uri if key == "repository" else json.dumps(str(sqlite_bench.repo))
    text = f"[reconcile]\nversion = 1\n[repository]\nuri = {repository}\n"
    text += f"[vars]\nx = {uri}\n" if key == "variable" else ""
    location = uri if key == "location" else '"/data"'
    state.write_text(text + f'[raw."x/raw"]\ninstrument = "LSSTComCam"\nlocations = [{location}]\n')
    output = collect(sqlite_bench, *every_command(sqlite_bench))
    assert SECRET not in output
    assert "Traceback" in output
    where = {"repository": "4: repository.uri", "variable": "6: vars.x", "location": '7: raw."x/raw".locations[0]'}[key]
    assert f"error: test.toml:{where}: the URI contains a credential" in output
    assert "~/.pgpass, ~/.lsst/db-auth.yaml, ~/.aws/credentials or rucio.cfg" in output


@pytest.mark.parametrize("refuses_reads", [False, True], ids=["changes", "reads"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_credential_in_the_answer_of_a_server_is_masked(rucio: Bench, server: Server, shape: str, refuses_reads: bool) -> None:
    server.message, server.refuses_reads = f"sent {shape.format(SECRET)} to nobody", refuses_reads
    output = collect(rucio, *every_command(rucio))
    assert SECRET not in output
    assert "***" in output
    assert "Traceback" in output or not refuses_reads
    assert "the account lacks permission" in output


def test_credentials_of_the_environment_and_of_the_configuration_are_masked_whatever_surrounds_them(
    rucio: Bench, server: Server
) -> None:
    rucio.environment |= {
        "AWS_SECRET_ACCESS_KEY": "first/Zq9+secret",
        "PGPASSWORD": "second Zq9 secret",
        "MY_API_KEY": "third=Zq9",
    }
    values = [*list(rucio.environment.values())[-3:], f"{SECRET}-of-the-file", server.token]
    server.message = " and ".join(f"I got <{value}>" for value in values)
    output = collect(rucio, *every_command(rucio))
    assert "I got <***>" in output
    assert not [value for value in values if value in output]
    assert SECRET not in output


@pytest.mark.parametrize("shape", [shape for shape in IN_URI if shape.startswith("postgresql")])
def test_a_credential_in_the_configuration_of_a_repository_is_masked(sqlite_bench: Bench, shape: str) -> None:
    yaml = sqlite_bench.repo / "butler.yaml"
    uri = shape.format(SECRET).replace("db.example.org", "127.0.0.1:1")
    store = "datastore:\n  cls: lsst.daf.butler.datastores.fileDatastore.FileDatastore\n  root: <butlerRoot>\n"
    yaml.write_text(f"{store}registry:\n  db: {json.dumps(uri)}\n")
    sqlite_bench.state('[collection.a]\ntype = "RUN"\n')
    output = collect(sqlite_bench, *every_command(sqlite_bench))
    assert SECRET not in output
    assert "could not be checked" in output or "error:" in output


def test_a_login_page_in_answer_to_the_login_is_reported_as_one(
    rucio: Bench, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(self: Handler) -> None:
        self._send(200, {"Content-Type": "text/html"}, b"<html>Please log in</html>")

    monkeypatch.setattr(Handler, "do_GET", answer)
    output = rucio.run("diff", rucio.folder / "test.toml", expect=1).output
    assert "the answer to the login isn't from Rucio: it has no token, like a login page" in output
    assert "Is there a proxy or a login page in between?" in output
