"""The steps of an `apply` on the command line: locks, plan, question, run, summary."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from reconciler.cli.console import DIFFERENCES, INTERRUPTED, print_error, show
from reconciler.cli.interrupts import interruptible_run
from reconciler.cli.progress import ConsoleProgress
from reconciler.engine import plan_file
from reconciler.engine.executor import Executor, exit_code
from reconciler.engine.journal import Journal, state_folder
from reconciler.engine.model import Address, DifferenceKind
from reconciler.engine.plan import Plan
from reconciler.engine.removal_limits import check_removal_limits, count_removals
from reconciler.errors import (
    ApplyError,
    Interrupted,
    LockHeld,
    LockLost,
    ObserveError,
    PlanError,
    ReconcileError,
    RegistryNeedsRecovery,
)
from reconciler.report import apply_summary, text
from reconciler.report.formatting import Line
from reconciler.session import Session, start
from reconciler.state.variables import Scalar
from reconciler.systems.bulk import Cancellation
from reconciler.systems.workers import Workers

STOPPED = "Interrupted: what is done stays; run again to continue."


@dataclass(frozen=True)
class ApplyOptions:
    """The options of an apply.

    Parameters
    ----------
    only, without : `Sequence` [`str`]
        Globs of addresses to take and to leave out.
    with_needs : `bool`
        Whether to take what the chosen resources need, too.
    ask : `bool`
        Whether to ask before acting.
    wait : `float`
        Seconds to wait for deliveries.
    prune : `bool`
        Whether unwanted members may be removed.
    prune_limit : `int` or `None`
        Number of members above which a plan is refused, instead of the usual limits.
    lock_timeout : `float`
        Seconds to wait for the lock.
    deep : `bool`
        Whether members are compared one by one even where their counts agree.
    workers : `Workers`
        Where bulk work is done.
    journal : `pathlib.Path` or `None`
        Path of the journal file.
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


@dataclass(frozen=True)
class PlanLimits:
    """Which parts of a saved plan may be executed.

    Parameters
    ----------
    allowed : `Mapping` or `None`
        Verbs by address, `None` for any verb of an address; `None` instead of the mapping allows everything.
    refused : `Mapping`
        Why parts of it are not executed.
    """

    allowed: Mapping[Address, frozenset[str] | None] | None = None
    refused: Mapping[Address, str] = field(default_factory=dict)


def apply_state(path: Path, variables: Mapping[str, Scalar], options: ApplyOptions) -> int:
    """Apply one state file and return the exit code: that of the run, 2 if the operator declines, 130 after Ctrl-C.

    Raises
    ------
    reconciler.errors.ReconcileError
        If nothing can be done: the state is wrong or contradicts what exists, a lock is held, or too much would be removed.
    """
    journal = _open_journal(options)
    session = start(path, variables, deep=options.deep, workers=options.workers)
    try:
        _recover_registry(session)
        with _acquire_locks(session, options.lock_timeout):
            plan = session.plan(options.only, options.without, with_needs=options.with_needs, prune=options.prune)
            _show_plan(session, plan, options.prune)
            return _confirm_and_run(session, plan, options, PlanLimits(), journal)
    finally:
        session.close()


def apply_plan(path: Path, options: ApplyOptions) -> int:
    """Apply a saved plan and return the exit code; only, without, with_needs and prune of ``options`` are ignored.

    The state is planned again, and only those actions are executed that the plan file contains and whose facts haven't changed.

    Raises
    ------
    reconciler.errors.StateError
        If it isn't a plan, or one of another state, repository or server.
    reconciler.errors.ReconcileError
        As in `apply_state`.
    """
    journal = _open_journal(options)
    saved = plan_file.load_plan(path)
    session = start(Path(saved.state), saved.variables, deep=options.deep, workers=options.workers)
    try:
        _recover_registry(session)
        plan_file.check_origin(saved, session.state, session.butler_name, session.rucio_name)
        with _acquire_locks(session, options.lock_timeout):
            plan = session.plan(prune=saved.prune)
            refused = plan_file.find_stale_entries(saved, plan)
            limits = PlanLimits(plan_file.allowed_verbs(saved, refused), refused)
            _show_plan(session, plan, saved.prune)
            made = saved.made
            show([Line(f"Plan of {made.get('user')} on {made.get('host')}, {made.get('since')}.")])
            show(Line(f"Refused: {address}: {why}", "red") for address, why in refused.items())
            return _confirm_and_run(session, plan, dataclasses.replace(options, prune=saved.prune), limits, journal)
    finally:
        session.close()


def _open_journal(options: ApplyOptions) -> Journal:
    """Return the journal, after a check that it can be written: nothing is done without a record."""
    journal = Journal(options.journal or state_folder() / "journal.jsonl")
    journal.check()
    return journal


def _recover_registry(session: Session) -> None:
    """Let SQLite roll back what a killed writer left: only a writeable open can, and everything else opens read-only first."""
    repository = session.context.repository
    if repository is None:
        return
    try:
        if repository.ready:
            repository.collections()
    except RegistryNeedsRecovery:
        repository.forget_connections()
        repository.open(writeable=True)
        _notice("the registry was recovered from the journal of an interrupted writer")
    except ObserveError:
        pass  # the plan reads the repository again, and reports what is wrong


def _show_plan(session: Session, plan: Plan, prune: bool) -> None:
    show(text.header(plan, session.butler_name, session.rucio_name))
    click.echo()
    show(text.report_plan(plan, session.elapsed, prune=prune))


def _acquire_locks(session: Session, timeout: float) -> contextlib.ExitStack:
    """Acquire the locks of everything that the state may change."""
    from reconciler.systems import lock

    stack = contextlib.ExitStack()
    folder = state_folder()
    context = session.context
    stack.callback(context.locks.clear)
    try:
        if context.repository is not None:
            spec = session.repository_spec
            seed, override = (spec.seed_config, spec.override) if spec is not None else (None, False)
            apply_lock = lock.repository_lock(context.repository, seed, folder, override=override)
            stack.enter_context(lock.hold(apply_lock, context.repository.uri, timeout, _notice))
            context.locks.append(apply_lock)
        elif context.server is not None:
            place = context.server.place()
            for scope in sorted({address.name.partition(":")[0] for address in session.state.resources}):
                apply_lock = lock.named_lock(f"{place} {scope}", folder)
                stack.enter_context(lock.hold(apply_lock, f"Rucio scope {scope}", timeout, _notice))
                context.locks.append(apply_lock)
    except BaseException:
        stack.close()
        raise
    context.forget()  # what was read before the lock was acquired may have been changed by another run
    return stack


def _notice(message: str) -> None:
    click.echo(message, err=True)


def _confirm_and_run(session: Session, plan: Plan, options: ApplyOptions, limits: PlanLimits, journal: Journal) -> int:
    if not plan.in_sync:
        show([apply_summary.summarize_plan(plan)])
    _refuse_conflicts(plan)
    check_removal_limits(plan, options.prune_limit)
    if plan.actions and options.ask and not _confirm(plan):
        click.echo("Nothing was changed.")
        return DIFFERENCES
    return _run(session, plan, options, limits, journal)


def _confirm(plan: Plan) -> bool:
    """Ask the operator; removals are confirmed by typing their number."""
    if not click.confirm("Apply?", default=False):
        return False
    removals = count_removals(plan)
    question = f"{removals:,} members will be removed. Type their number to continue"
    return not removals or bool(click.prompt(question, default="") == str(removals))


def _run(session: Session, plan: Plan, options: ApplyOptions, limits: PlanLimits, journal: Journal) -> int:
    recorded = bool(plan.actions) or any(entry.has(DifferenceKind.WAITING) for entry in plan.entries)
    if recorded:
        facts = {"butler": session.butler_name, "rucio": session.rucio_name, "actions": len(plan.actions)}
        journal.begin(state=str(plan.state.path.resolve()), digest=plan.state.digest, prune=options.prune, **facts)
    started = time.monotonic()
    with ConsoleProgress(journal) as progress, interruptible_run() as stop:
        session.context.report_progress = progress.report_bulk
        session.context.cancellation = Cancellation(stop)
        executor = Executor(
            plan,
            session.context,
            progress,
            options.prune,
            session.unmet,
            stop,
            allowed=limits.allowed,
            refused=limits.refused,
        )
        stop.record = lambda: _record_interruption(journal, progress, executor)
        lost: ReconcileError | None = None
        try:
            outcomes = executor.run(options.wait)
        except (Interrupted, LockLost, LockHeld) as error:
            outcomes = list(executor.outcomes.values())
            lost = error if isinstance(error, ReconcileError) else None
        if recorded or progress.used_journal:
            journal.end(outcomes, interrupted=stop() or lost is not None)
        stop.record = lambda: None
    click.echo()
    show(apply_summary.summarize_run(outcomes, time.monotonic() - started, journal.run))
    if lost is not None:
        raise lost
    if stop():
        click.echo(STOPPED)
        return INTERRUPTED
    return exit_code(outcomes)


def _record_interruption(journal: Journal, progress: ConsoleProgress, executor: Executor) -> None:
    """Record a run that didn't end in time after it was asked to."""
    try:
        journal.end(list(executor.outcomes.values()), interrupted=True)
    except ApplyError as error:
        print_error(error)
    progress.abandon()
    click.echo(STOPPED)


def _refuse_conflicts(plan: Plan) -> None:
    """Stop before anything is done where the state contradicts what exists: only the operator knows which is right."""
    problems = [
        f"{plan.state.where(entry.address)}: {entry.address}: {difference.detail}"
        for entry in plan.conflicts
        for difference in entry.differences
        if difference.kind is DifferenceKind.CONFLICT
    ]
    if problems:
        hint = 'nothing was changed; correct the state, exclude these with --except, or only watch them with manage = "observe"'
        raise PlanError("\n".join(problems), (hint,))
