"""An `apply` as an operator goes through it: the locks, the plan, the question, the run, the recap."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from reconciler.cli.console import DIFFERENCES, INTERRUPTED, show
from reconciler.cli.progress import Progress
from reconciler.engine import plan_file, removal_limits
from reconciler.engine.executor import Run, exit_code
from reconciler.engine.journal import Journal, state_folder
from reconciler.engine.model import Id
from reconciler.engine.plan import Plan
from reconciler.errors import Interrupted, ObserveError, PlanError
from reconciler.kinds.repository import RepositorySpec
from reconciler.report import apply_summary
from reconciler.report import text as text_report
from reconciler.report.formatting import Line
from reconciler.session import Session, start
from reconciler.state.variables import Scalar
from reconciler.systems.workers import Workers


@dataclass(frozen=True)
class Options:
    """What an operator asked of an apply.

    Parameters
    ----------
    only, without : sequence of `str`
        Globs of addresses to take and to leave out.
    with_needs : `bool`
        Whether what the chosen need is taken too.
    ask : `bool`
        Whether to ask before acting.
    wait : `float`
        Seconds to wait for deliveries.
    prune : `bool`
        Whether anything may be removed.
    prune_limit : `int` or `None`
        How many members at most.
    lock_timeout : `float`
        Seconds to wait for the lock.
    deep : `bool`
        Whether members are compared everywhere.
    workers : `reconciler.systems.workers.Workers`
        Who does bulk work.
    journal : `pathlib.Path` or `None`
        Where to tell of the run.
    """

    only: Sequence[str] = ()
    without: Sequence[str] = ()
    with_needs: bool = False
    ask: bool = True
    wait: float = 0.0
    prune: bool = False
    prune_limit: int | None = None
    lock_timeout: float = 0.0
    deep: bool = False
    workers: Workers = field(default_factory=Workers)
    journal: Path | None = None


def apply_state(path: Path, variables: Mapping[str, Scalar], options: Options) -> int:
    """Apply one state file.

    Parameters
    ----------
    path : `pathlib.Path`
        The file.
    variables : mapping
        What overrides its variables.
    options : `Options`
        What was asked.

    Returns
    -------
    code : `int`
        Exit code.
    """
    session = start(path, variables, deep=options.deep, workers=options.workers)
    try:
        _recover(session)
        with _locks(session, options.lock_timeout):
            plan = session.plan(options.only, options.without, with_needs=options.with_needs, prune=options.prune)
            _show(session, plan, options.prune)
            return _confirm_and_run(session, plan, options)
    finally:
        session.live.close()


def apply_plan(path: Path, options: Options) -> int:
    """Apply a saved plan: of what its state wants now, what the plan holds and whose facts still hold.

    Parameters
    ----------
    path : `pathlib.Path`
        The plan file.
    options : `Options`
        What was asked.

    Returns
    -------
    code : `int`
        Exit code.

    Raises
    ------
    reconciler.errors.StateError
        If it is no plan, or one of another state, repository or server.
    """
    saved = plan_file.load_plan(path)
    session = start(Path(saved.state), saved.variables, deep=options.deep, workers=options.workers)
    try:
        _recover(session)
        plan_file.check_made_for(saved, session.state, session.butler_name, session.rucio_name)
        with _locks(session, options.lock_timeout):
            plan = session.plan(prune=saved.prune)
            refused = plan_file.stale(saved, plan)
            allowed = plan_file.allowed(saved, refused)
            _show(session, plan, saved.prune)
            made = saved.made
            show([Line(f"Plan of {made.get('user')} on {made.get('host')}, {made.get('since')}.")])
            show(Line(f"Refused: {id}: {why}", "red") for id, why in refused.items())
            chosen = dataclasses.replace(options, prune=saved.prune)
            return _confirm_and_run(session, plan, chosen, allowed=allowed, refused=refused)
    finally:
        session.live.close()


def _recover(session: Session) -> None:
    """Let SQLite roll back what a killed writer left: only a writeable open can, and everything else opens to read first."""
    repository = session.live.repository
    try:
        if repository is not None and repository.ready:
            repository.collections()
    except ObserveError as error:
        if repository is not None and "left a journal behind" in str(error):
            repository.forget_connections()
            repository.open(writeable=True)
            _notice("the registry was recovered from the journal of an interrupted writer")


def _show(session: Session, plan: Plan, prune: bool) -> None:
    show(text_report.header(plan, session.butler_name, session.rucio_name))
    click.echo()
    show(text_report.diff(plan, session.elapsed, prune=prune))


def _locks(session: Session, timeout: float) -> contextlib.ExitStack:
    """Take the locks of everything that the state may change."""
    from reconciler.systems import lock

    stack = contextlib.ExitStack()
    folder = state_folder()
    try:
        if session.live.repository is not None:
            spec = session.state.resources[Id("repository", "")]
            seed = spec.seed_config if isinstance(spec, RepositorySpec) else None
            take = lock.of_repository(session.live.repository, seed, folder)
            stack.enter_context(lock.held(take, session.live.repository.uri, timeout, _notice))
        elif session.live.server is not None:
            place = session.live.server.place()
            for scope in sorted({id.name.partition(":")[0] for id in session.state.resources}):
                take = lock.of_name(f"{place} {scope}", folder)
                stack.enter_context(lock.held(take, f"Rucio scope {scope}", timeout, _notice))
    except BaseException:
        stack.close()
        raise
    session.live.forget()  # what was read before the lock was had may be another run's yesterday
    return stack


def _notice(text: str) -> None:
    click.echo(text, err=True)


def _confirm_and_run(
    session: Session,
    plan: Plan,
    options: Options,
    *,
    allowed: Mapping[Id, frozenset[str] | None] | None = None,
    refused: Mapping[Id, str] | None = None,
) -> int:
    if not plan.in_sync:
        show([apply_summary.proposal(plan)])
    _refuse_conflicts(plan)
    removal_limits.check(plan, options.prune_limit)
    if plan.actions and options.ask:
        if not click.confirm("Apply?", default=False):
            click.echo("Nothing was changed.")
            return DIFFERENCES
        doomed = removal_limits.count(plan)
        if doomed and click.prompt(f"{doomed:,} members will be removed. Type their number to go on", default="") != str(doomed):
            click.echo("Nothing was changed.")
            return DIFFERENCES
    journal = Journal(options.journal or state_folder() / "journal.jsonl")
    told = bool(plan.actions) or any(entry.has("waiting") for entry in plan.entries)
    if told:
        facts = {"butler": session.butler_name, "rucio": session.rucio_name, "actions": len(plan.actions)}
        journal.begin(state=str(plan.state.path.resolve()), digest=plan.state.digest, prune=options.prune, **facts)
    started = time.monotonic()
    with Progress(journal) as progress, _Stop() as stop:
        session.live.progress, session.live.stop = progress.bulk, stop
        run = Run(plan, session.live, progress, options.prune, session.unable or {}, stop, allowed=allowed, refused=refused or {})
        try:
            outcomes = run.all(options.wait)
        except Interrupted:
            outcomes = list(run.outcomes.values())
    if told or progress.told_journal:
        journal.end(outcomes, interrupted=stop())
    click.echo()
    show(apply_summary.ending(outcomes, time.monotonic() - started, journal.run))
    if stop():
        click.echo("Interrupted: what is done stays; run again to go on.")
        return INTERRUPTED
    return exit_code(outcomes)


def _refuse_conflicts(plan: Plan) -> None:
    """Stop before anything is done where the state contradicts what is there: only the operator can say which is right."""
    problems = [
        f"{plan.state.where(entry.id)}: {entry.id}: {difference.detail}"
        for entry in plan.conflicts
        for difference in entry.differences
        if difference.sort == "conflict"
    ]
    if problems:
        hint = 'nothing was changed; mend the state, or leave these out with --except, or watch them with manage = "observe"'
        raise PlanError("\n".join(problems), (hint,))


class _Stop:
    """Remembers that Ctrl-C or SIGTERM came, so that a run ends between two actions; the second Ctrl-C ends it at once."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self) -> bool:
        return self.asked

    def _note(self, number: int, frame: Any) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True
        click.echo("\nstopping after the action in flight; Ctrl-C again stops at once", err=True)

    def __enter__(self) -> _Stop:
        self.before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
