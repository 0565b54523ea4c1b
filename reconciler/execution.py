"""The steps of every apply, whoever asks for it: locks, checks of the plan, the run with its journal."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from reconciler.engine.executor import Executor
from reconciler.engine.journal import Journal, state_folder
from reconciler.engine.listener import Listener
from reconciler.engine.model import DifferenceKind
from reconciler.engine.plan import Entry, Plan
from reconciler.engine.recording import RecordingListener
from reconciler.engine.result import ApplyResult
from reconciler.errors import (
    Interrupted,
    LockHeld,
    LockLost,
    ObserveError,
    ReconcileError,
    RegistryNeedsRecovery,
    RepositoryReadOnly,
)
from reconciler.systems.bulk import Cancellation, StopRequest
from reconciler.systems.context import Context


def recover_registry(context: Context, notify: Callable[[str], None]) -> None:
    """Let SQLite roll back what a killed writer left: only a writeable open can, and everything else opens read-only first."""
    repository = context.repository
    if repository is None:
        return
    try:
        if repository.ready:
            repository.collections()
    except RegistryNeedsRecovery:
        repository.close()
        with contextlib.suppress(ObserveError):  # what the rollback left may be half-made: the plan completes or reports it
            repository.open(writeable=True)
        notify("the registry was recovered from the journal of an interrupted writer")
    except ObserveError:
        pass  # the plan reads the repository again, and reports what is wrong


def acquire_locks(
    context: Context, seed: str | None, override: bool, scopes: Iterable[str], timeout: float, notify: Callable[[str], None]
) -> contextlib.ExitStack:
    """Acquire the locks of everything that a state may change: its repository, or its Rucio scopes if it has none."""
    from reconciler.systems import lock

    stack = contextlib.ExitStack()
    folder = state_folder()
    stack.callback(context.locks.clear)
    try:
        if context.repository is not None:
            apply_lock = lock.repository_lock(context.repository, seed, folder, override=override)
            stack.enter_context(lock.hold(apply_lock, context.repository.uri, timeout, notify))
            context.locks.append(apply_lock)
        elif context.server is not None:
            place = context.server.place()
            for scope in sorted(set(scopes)):
                apply_lock = lock.named_lock(f"{place} {scope}", folder)
                stack.enter_context(lock.hold(apply_lock, f"Rucio scope {scope}", timeout, notify))
                context.locks.append(apply_lock)
    except BaseException:
        stack.close()
        raise
    context.forget()  # what was read before the lock was acquired may have been changed by another run
    return stack


def check_journal(path: Path | None) -> None:
    """Check that the journal can be written: nothing is done without a record; raise `ApplyError` if it can't."""
    Journal(path or state_folder() / "journal.jsonl").check()


def check_writable(plan: Plan, context: Context) -> None:
    """Refuse a plan that changes a repository that is a Butler server; one that changes Rucio only may be executed.

    Raises
    ------
    reconciler.errors.RepositoryReadOnly
        If it does.
    """
    refusal = find_refusal(plan, context)
    if refusal is not None:
        raise RepositoryReadOnly(refusal.problems, refusal.actions, (*refusal.hints, "nothing was changed"))


def find_refusal(plan: Plan, context: Context) -> RepositoryReadOnly | None:
    """Return why a plan can't be executed, if it changes a repository that is a Butler server."""
    systems = [plan.state.kind_of(action.address).traits.writes_to for action in plan.permitted_actions]
    if context.repository is None or "butler" not in systems or not context.repository.is_server:
        return None
    from reconciler.systems.butler.server import refuse_writing

    kinds = Counter(
        action.address.kind for action, system in zip(plan.permitted_actions, systems, strict=True) if system == "butler"
    )
    more = ("what concerns Rucio alone can be applied: reconcile apply --only 'rucio_*'",) if "rucio" in systems else ()
    return refuse_writing(context.repository.uri, kinds, more)


def run_plan(
    plan: Plan,
    context: Context,
    places: tuple[str | None, str | None],
    *,
    wait: float,
    journal_path: Path | None,
    listener: Listener | None,
    stop: Callable[[], bool],
) -> ApplyResult:
    """Execute a plan and record it in the journal.

    Parameters
    ----------
    plan : `Plan`
        What to do; it was made under the lock, and checked.
    context : `Context`
        The live systems.
    places : `tuple` [`str` or `None`, `str` or `None`]
        Names of the repository and of the Rucio server, for the journal.
    wait : `float`
        Seconds to wait for deliveries.
    journal_path : `pathlib.Path` or `None`
        Path of the journal file.
    listener : `Listener` or `None`
        Receives the events.
    stop : callable
        Returns True if the run should end before the next action.
    """
    journal = Journal(journal_path or state_folder() / "journal.jsonl")
    recorded = bool(plan.actions) or any(entry.has(DifferenceKind.WAITING) for entry in plan.entries)
    if recorded:
        counts = {"actions": len(plan.permitted_actions), "by_count": len(plan.compared_by_count)}
        journal.begin(
            state=str(plan.state.path.resolve()),
            digest=plan.state.digest,
            prune=plan.prune,
            butler=places[0],
            rucio=places[1],
            **counts,
        )
    started = time.monotonic()
    recording = RecordingListener(journal, listener)
    context.report_progress = recording.report_bulk
    context.cancellation = Cancellation(stop)
    executor = Executor(plan, context, recording, stop)
    if isinstance(stop, StopRequest):
        stop.record = lambda: journal.end(list(executor.outcomes.values()), interrupted=True)
    if any(entry.actions and _runs_butler_commands(plan, entry) for entry in plan.entries):
        context.workers.prepare()
    lost: ReconcileError | None = None
    stopped = False
    try:
        outcomes = executor.run(wait)
    except (Interrupted, LockLost, LockHeld) as error:
        outcomes = list(executor.outcomes.values())
        stopped = isinstance(error, Interrupted)
        lost = error if isinstance(error, ReconcileError) else None
    interrupted = stopped or stop() or lost is not None
    if recorded or recording.used:
        journal.end(outcomes, interrupted=interrupted)
    if isinstance(stop, StopRequest):
        stop.record = lambda: None
    if lost is not None:
        raise lost
    return ApplyResult(tuple(outcomes), journal.run, time.monotonic() - started, interrupted)


def _runs_butler_commands(plan: Plan, entry: Entry) -> bool:
    return bool(plan.state.kind_of(entry.address).requirements(entry.spec).butler_commands)
