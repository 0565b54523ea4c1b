"""Checks of a machine and of a state before it is used: versions, permissions, credentials, disk, clock, lock.

Each check is one line: what was checked, what was found, and what to do if that is wrong. Nothing is changed, and credentials are
never read into a check.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from reconciler.engine.journal import Journal, state_folder
from reconciler.engine.requirements import find_unmet_requirements
from reconciler.errors import ReconcileError
from reconciler.report.formatting import Line, format_seconds, format_size, plural
from reconciler.session import Session
from reconciler.version import __version__

OLDEST_PYTHON = (3, 11)
LEAST_DISK = 500_000_000
"""Bytes below which a disk is nearly full: a registry, a journal and proofs need room."""
SHORTEST_TOKEN = 300.0
"""Seconds below which the remaining life of a token is too short for a run."""
LARGEST_OFFSET = 30.0
"""Seconds between two clocks above which times of journals, rules and proofs mislead."""


class Check(BaseModel):
    """One check."""

    model_config = ConfigDict(extra="forbid")

    name: str
    ok: bool
    text: str = Field(description="What was found.")
    hints: list[str] = Field(default_factory=list, description="What to do.")


class CheckGroup(BaseModel):
    """The checks of this machine, or of one state."""

    model_config = ConfigDict(extra="forbid")

    state: str | None = Field(description="Path of the state file; null for the checks of this machine.")
    checks: list[Check]


class DoctorReport(BaseModel):
    """What ``reconcile doctor --format json`` prints."""

    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = 1
    program: str = Field(f"reconcile {__version__}", description="Name and version of the program.")
    healthy: bool
    groups: list[CheckGroup]


def doctor_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the report."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **DoctorReport.model_json_schema()}


def make_check(name: str, check: Callable[[], Check]) -> Check:
    """Do a check; an error that is meant for operators becomes a failed one."""
    try:
        return check()
    except ReconcileError as error:
        return Check(name=name, ok=False, text="; ".join(error.problems), hints=list(error.hints))


def passed(name: str, text: str) -> Check:
    """Return a check that passed."""
    return Check(name=name, ok=True, text=text)


def failed(name: str, text: str, *hints: str) -> Check:
    """Return a check that failed, with what to do."""
    return Check(name=name, ok=False, text=text, hints=list(hints))


def check_machine(journal: Path | None = None) -> Iterator[Check]:
    """Yield the checks that need no state: versions, the journal, the disk."""
    version = platform.python_version()
    if sys.version_info >= OLDEST_PYTHON:
        yield passed("Python", f"{version} at {sys.executable}")
    else:
        yield failed("Python", f"{version} is too old", "use Python 3.11 or newer")
    yield passed("reconcile", __version__)
    for package in ("lsst-daf-butler", "lsst-resources", "rucio-clients"):
        yield _check_package(package)
    yield passed("Science Pipelines", _describe_stack())
    path = journal or state_folder() / "journal.jsonl"

    def check_journal() -> Check:
        Journal(path).check()
        return passed("journal", f"{path} can be written")

    yield make_check("journal", check_journal)
    yield check_disk("disk", path)


def _check_package(package: str) -> Check:
    try:
        return passed(package, importlib.metadata.version(package))
    except importlib.metadata.PackageNotFoundError:
        return failed(package, "not installed", f"pip install {package}, or set up the stack in this shell")


def _describe_stack() -> str:
    """Return which Science Pipelines are set up; a state that needs them has a check of its own."""
    products = {name.removeprefix("SETUP_").lower(): value for name, value in os.environ.items() if name.startswith("SETUP_")}
    for name in ("lsst_distrib", "obs_lsst"):
        if name in products:
            return " ".join(products[name].split()[:2])
    try:
        return f"obs_lsst {importlib.metadata.version('lsst-obs-lsst')}"
    except importlib.metadata.PackageNotFoundError:
        return "not set up in this shell, which only some kinds need"


def check_disk(name: str, path: Path) -> Check:
    """Check that there is room on the disk of a file that may not exist yet."""
    folder = next(parent for parent in [path, *path.absolute().parents] if os.path.isdir(parent))  # False without permission
    free = shutil.disk_usage(folder).free
    if free < LEAST_DISK:
        return failed(name, f"{format_size(free)} free at {folder}", "free some space before an apply")
    return passed(name, f"{format_size(free)} free at {folder}")


def check_session(session: Session) -> Iterator[Check]:
    """Yield the checks of a state that could be loaded."""
    state = session.state
    plugins = sorted({address.kind for address in state.resources if not _is_built_in(session, address.kind)})
    kinds = f", with {plural(len(plugins), 'kind')} of other packages ({', '.join(plugins)})" if plugins else ""
    yield passed("state file", f"valid, {plural(len(state.resources), 'resource')}{kinds}")
    if session.context.repository is not None:
        yield from _check_repository(session)
    if session.context.server is not None:
        yield from _check_rucio(session)
    yield make_check("commands and classes", lambda: _check_requirements(session))


def _is_built_in(session: Session, kind: str) -> bool:
    return type(session.state.kinds[kind]).__module__.startswith("reconciler.")


def _check_repository(session: Session) -> Iterator[Check]:
    from reconciler.systems.butler.permissions import check_write_access
    from reconciler.systems.lock import find_holder

    repository = session.context.butler

    def check_opening() -> Check:
        if repository.ready:
            return passed("repository", f"{session.butler_name} opens, {plural(len(repository.collections()), 'collection')}")
        if repository.status == "half-made":
            return failed("repository", f"{session.butler_name}: its creation was interrupted", "reconcile apply completes it")
        return passed("repository", f"{session.butler_name} doesn't exist yet; apply creates it")

    opening = make_check("repository", check_opening)
    yield opening
    if not opening.ok or not repository.ready:
        return

    def check_writing() -> Check:
        access = check_write_access(repository)
        if access.problems:
            return failed("writing", "; ".join(access.problems), "run apply as a user who may write, or ask for the permission")
        if access.unchecked:
            text = f"the registry may be written; not checked, because only a write shows it: {', '.join(access.unchecked)}"
            return passed("writing", text)
        return passed("writing", "the registry and the datastore may be written")

    def check_lock() -> Check:
        holder = find_holder(repository, state_folder())
        if holder:
            return failed("lock", holder, "wait for that run, or give --lock-timeout 10m to apply")
        return passed("lock", "no apply is running")

    if repository.is_server:
        yield _check_server(session)
        return
    yield make_check("writing", check_writing)
    yield make_check("lock", check_lock)


def _check_server(session: Session) -> Check:
    """Check that a state whose repository is a Butler server changes nothing in it."""
    from reconciler.systems.butler.server import refuse_writing

    refusal = refuse_writing(session.context.butler.uri)
    tables = [
        address.kind
        for address, spec in session.state.resources.items()
        if spec.manage != "observe" and address.kind != "repository" and _writes_to_butler(session, address.kind)
    ]
    if not tables:
        return passed("writing", f"{refusal}; no table of this state needs more")
    count = plural(len(tables), "resource")
    text = f"{refusal}: diff and drift work, and apply can't change {count} ({', '.join(dict.fromkeys(tables))})"
    return failed("writing", text, *refusal.hints, 'or set manage = "observe" for what is only watched here')


def _writes_to_butler(session: Session, kind: str) -> bool:
    return session.state.kinds[kind].traits.writes_to == "butler" and kind != "expect"


def _check_rucio(session: Session) -> Iterator[Check]:
    from reconciler.systems.rucio.session_facts import read_session

    server = session.context.rucio
    config = server.settings.config or os.environ.get("RUCIO_CONFIG")
    if config and not os.path.isfile(config):
        yield failed("rucio.cfg", f"{config}: no such file", "set RUCIO_CONFIG, or config in [rucio]")
        return
    yield passed("rucio.cfg", config or "not named; Rucio's client searches its own places")
    connection = server.connection

    def check_login() -> Check:
        server.ping()
        return passed("Rucio", f"{server.place()} answers, as account {server.account}")

    login = make_check("Rucio", check_login)
    yield login
    if not login.ok:
        return
    yield make_check("token", lambda: _check_token(read_session(connection).expires_at))
    yield make_check("clock", lambda: _check_clock(read_session(connection).clock_offset))
    yield make_check("RSEs", lambda: _check_rses(session))
    yield make_check("scopes", lambda: _check_scopes(session))


def _check_token(expires_at: datetime.datetime | None) -> Check:
    if expires_at is None:
        return passed("token", "valid; the server doesn't report for how long")
    left = (expires_at - datetime.datetime.now(datetime.UTC)).total_seconds()
    if left < SHORTEST_TOKEN:
        return failed("token", f"valid for {format_seconds(max(left, 0))} only", "log in to Rucio again: rucio whoami")
    return passed("token", f"valid for another {format_seconds(left)}")


def _check_clock(offset: float | None) -> Check:
    if offset is None:
        return passed("clock", "not compared, because the server doesn't report its time")
    if abs(offset) > LARGEST_OFFSET:
        return failed("clock", f"{format_seconds(abs(offset))} off the clock of Rucio", "set the clock of this host with NTP")
    return passed("clock", "agrees with the clock of Rucio")


def _check_rses(session: Session) -> Check:
    """Check that each RSE expression of the state selects an RSE."""
    server = session.context.rucio
    expressions = dict.fromkeys(_find_expressions(session))
    empty = [expression for expression in expressions if not server.rses(expression)]
    if empty:
        return failed("RSEs", f"no RSE matches {', '.join(empty)}", "list the RSEs with rucio rse list, and correct the state")
    return passed("RSEs", ", ".join(expressions) or "the state names none")


def _find_expressions(session: Session) -> Iterator[str]:
    if session.context.rse:
        yield session.context.rse
    for spec in session.state.resources.values():
        for rule in getattr(spec, "rules", ()):
            yield rule.rse_expression


def _check_scopes(session: Session) -> Check:
    existing = session.context.rucio.scopes()
    asked = {address.name.partition(":")[0] for address in session.state.resources if address.kind.startswith("rucio_")}
    missing = sorted(asked - existing)
    if missing:
        return failed("scopes", f"Rucio has no scope {', '.join(missing)}", "correct the state, or ask a Rucio administrator")
    return passed("scopes", ", ".join(sorted(asked)) or "the state names none")


def _check_requirements(session: Session) -> Check:
    name = "commands and classes"
    unmet = find_unmet_requirements(session.state, session.context, session.state.resources)
    if not unmet:
        return passed(name, "all that the state needs are installed")
    first, reason = next(iter(unmet.items()))
    others = f" (and {plural(len(unmet) - 1, 'more resource')})" if len(unmet) > 1 else ""
    return failed(name, f"{first}{others}: {reason}", "set up the Science Pipelines in this shell, or run apply where they are")


def format_checkup(groups: Iterable[CheckGroup]) -> Iterator[Line]:
    """Yield a line for each check, and what to do about those that failed."""
    for group in groups:
        yield Line(group.state or "This machine", bold=True)
        width = max(len(check.name) for check in group.checks)
        for check in group.checks:
            sign, colour = ("✓", "green") if check.ok else ("✗", "red")
            yield Line(f"  {sign} {check.name:<{width}}  {check.text}", colour)
            yield from (Line(f"    {'':<{width}}  {hint}") for hint in check.hints)
