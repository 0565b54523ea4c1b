"""The real Rucio server: creates its database schema if there is none, then serves REST from one or more processes.

This file is run by its path, in an environment that contains Rucio but not this project; see
`reconciler.playground.rucio_environment`.

Two things differ from production, both because there is no memcached. The cache is in memory, which is coherent only with a
single process. And ``POST /_playground/daemon?run=...`` runs Rucio's own daemons once in this process, where a deployment
runs them as services. Several processes are for benchmarks, because production servers answer requests in parallel too; then
nothing that Rucio caches, such as its RSEs, may change.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import socket
import sys
import threading
import time
from typing import Any

SENT_AT_ONCE = 1 << 16
"""Bytes of an answer that are sent together; less only at its end."""
DAEMONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "evaluator": ("rucio.daemons.judge.evaluator", "re_evaluator", {"did_limit": 1000}),
    "injector": ("rucio.daemons.judge.injector", "rule_injector", {}),
    "repairer": ("rucio.daemons.judge.repairer", "rule_repairer", {}),
    "cleaner": ("rucio.daemons.judge.cleaner", "rule_cleaner", {}),
    "undertaker": ("rucio.daemons.undertaker.undertaker", "undertaker", {}),
}
"""Module, function and options of each daemon that the playground can run."""


def use_memory_cache() -> list[Any]:
    """Make Rucio use an in-process cache instead of memcached, and return the list to which its cache regions are added."""
    from rucio.common import cache

    regions: list[Any] = []

    def configure(region: Any, expiration_time: int, memcached_expire_time: int | None = None) -> None:
        regions.append(region)
        region.configure("dogpile.cache.memory_pickle", expiration_time=expiration_time)

    cache.MemcacheRegion._configure_region = configure
    return regions


def ensure_schema() -> None:
    """Create the tables, the virtual organisation and the root account if there are none."""
    import sqlalchemy
    from rucio.db.sqla.session import DEFAULT_SCHEMA_NAME, get_engine
    from rucio.db.sqla.util import build_database, create_base_vo, create_root_account

    if not sqlalchemy.inspect(get_engine()).has_table("accounts", DEFAULT_SCHEMA_NAME):
        build_database()
        create_base_vo()
        create_root_account()


def run_daemon(name: str) -> float:
    """Run one of the `DAEMONS` once, and return how many seconds it took."""
    module_name, function, options = DAEMONS[name]
    module = importlib.import_module(module_name)
    stop = getattr(module, "GRACEFUL_STOP", None)
    if stop is not None:
        stop.wait = lambda timeout=None: stop.is_set()  # a daemon alone need not wait for its siblings' heartbeats
    start = time.perf_counter()
    getattr(module, function)(once=True, sleep_time=1, **options)
    return time.perf_counter() - start


def serve(port: int, processes: int = 1) -> None:
    """Serve on a port of 127.0.0.1 from a number of processes, until killed."""
    regions = use_memory_cache()
    ensure_schema()
    listening = socket.create_server(("127.0.0.1", port), backlog=100)
    context = multiprocessing.get_context("spawn")  # a fork would share the connections to the database
    for _ in range(processes - 1):
        context.Process(target=_serve_in_child, args=(listening,)).start()
    _serve_socket(listening, regions)


def _serve_in_child(listening: socket.socket) -> None:
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    _serve_socket(listening, use_memory_cache())


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def _serve_socket(listening: socket.socket, regions: list[Any]) -> None:
    import waitress
    from flask import jsonify, request
    from rucio.web.rest.main import application

    lock = threading.Lock()

    def daemon() -> Any:
        with lock:
            for region in regions:
                region.invalidate(hard=True)
            return jsonify({name: run_daemon(name) for name in request.args["run"].split(",")})

    application.add_url_rule("/_playground/daemon", view_func=daemon, methods=["POST"])
    # Rucio yields a long list line by line. By default each line is sent alone, which takes half of the server's time.
    waitress.serve(application, sockets=[listening], threads=16, ident=None, send_bytes=SENT_AT_ONCE)


if __name__ == "__main__":
    serve(*map(int, sys.argv[1:]))
