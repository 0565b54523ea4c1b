"""The real Rucio server: makes its schema when there is none, then serves REST, in one process unless more are asked for.

This file is run by its path, in an environment that has Rucio and nothing of ours; see `reconciler.playground.rucio_environment`.

Two things differ from production, both because there is no memcached: the cache is in memory, which is coherent exactly when
there is one process; and ``POST /_playground/daemon?run=...`` runs Rucio's own daemons once, in this process, where a
deployment has them as services. Several processes are for measuring what questions cost a server that, like those in
production, answers several at the same time; then nothing that Rucio caches, such as its RSEs, may change.
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

DAEMONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "evaluator": ("rucio.daemons.judge.evaluator", "re_evaluator", {"did_limit": 1000}),
    "injector": ("rucio.daemons.judge.injector", "rule_injector", {}),
    "repairer": ("rucio.daemons.judge.repairer", "rule_repairer", {}),
    "cleaner": ("rucio.daemons.judge.cleaner", "rule_cleaner", {}),
    "undertaker": ("rucio.daemons.undertaker.undertaker", "undertaker", {}),
}
"""Module, function and options of each daemon that the playground can run."""


def cache_in_memory() -> list[Any]:
    """Put an in-process cache where Rucio looks for memcached; without one it silently runs five times slower.

    Returns
    -------
    regions : `list`
        The cache regions, as they come to be made.
    """
    from rucio.common import cache

    regions: list[Any] = []

    def configure(region: Any, expiration_time: int, memcached_expire_time: int | None = None) -> None:
        regions.append(region)
        region.configure("dogpile.cache.memory_pickle", expiration_time=expiration_time)

    cache.MemcacheRegion._configure_region = configure
    return regions


def ensure_schema() -> None:
    """Make tables, virtual organisation and root account where there are none."""
    import sqlalchemy
    from rucio.db.sqla.session import DEFAULT_SCHEMA_NAME, get_engine
    from rucio.db.sqla.util import build_database, create_base_vo, create_root_account

    if not sqlalchemy.inspect(get_engine()).has_table("accounts", DEFAULT_SCHEMA_NAME):
        build_database()
        create_base_vo()
        create_root_account()


def run_daemon(name: str) -> float:
    """Run one of Rucio's daemons once.

    Parameters
    ----------
    name : `str`
        A key of `DAEMONS`.

    Returns
    -------
    seconds : `float`
        How long it took.
    """
    module_name, function, options = DAEMONS[name]
    module = importlib.import_module(module_name)
    stop = getattr(module, "GRACEFUL_STOP", None)
    if stop is not None:
        stop.wait = lambda timeout=None: stop.is_set()  # a daemon alone need not wait for its siblings' heartbeats
    start = time.perf_counter()
    getattr(module, function)(once=True, sleep_time=1, **options)
    return time.perf_counter() - start


def serve(port: int, processes: int = 1) -> None:
    """Serve until killed.

    Parameters
    ----------
    port : `int`
        On 127.0.0.1.
    processes : `int`
        How many answer.
    """
    regions = cache_in_memory()
    ensure_schema()
    listening = socket.create_server(("127.0.0.1", port), backlog=100)
    context = multiprocessing.get_context("spawn")  # a fork would share the connections to the database
    for _ in range(processes - 1):
        context.Process(target=_answer_beside, args=(listening,)).start()
    _answer(listening, regions)


def _answer_beside(listening: socket.socket) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _answer(listening, cache_in_memory())


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def _answer(listening: socket.socket, regions: list[Any]) -> None:
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
    waitress.serve(application, sockets=[listening], threads=16, ident=None)


if __name__ == "__main__":
    serve(*map(int, sys.argv[1:]))
