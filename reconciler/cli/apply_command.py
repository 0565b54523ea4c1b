"""The steps of an `apply` on the command line: plan, question, run, summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from reconciler.cli.console import DIFFERENCES, echo, show
from reconciler.cli.interrupts import interruptible_run
from reconciler.cli.progress import ConsoleProgress
from reconciler.engine import plan_file
from reconciler.engine.plan import Plan
from reconciler.engine.removal_limits import check_removal_limits, count_removals
from reconciler.execution import check_journal
from reconciler.report import apply_summary, saved_plan, text
from reconciler.session import Session, open_session
from reconciler.state.variables import Scalar

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
    deep, quick : `bool`
        How thoroughly members are compared, as in `open_session`.
    jobs : `int`
        Number of worker processes for bulk steps.
    parsl : `str` or `None`
        Python file with a Parsl ``config``.
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
    quick: bool = False
    jobs: int = 1
    parsl: str | None = None
    journal: Path | None = None


def apply_state(path: Path, variables: Mapping[str, Scalar], options: ApplyOptions) -> int:
    """Apply one state file and return the exit code: that of the run, 2 if the operator declines, 130 after Ctrl-C.

    Raises
    ------
    reconciler.errors.ReconcileError
        If nothing can be done: the state is wrong, a lock is held, or too much would be removed.
    """
    check_journal(options.journal)
    with (
        _open(path, variables, options) as session,
        session.locked(options.lock_timeout),
    ):
        plan = session.plan(options.only, options.without, with_needs=options.with_needs, prune=options.prune)
        _show_plan(session, plan)
        return _confirm_and_run(session, plan, options)


def apply_plan(path: Path, options: ApplyOptions, state: Path | None = None) -> int:
    """Apply a saved plan and return the exit code; only, without, with_needs and prune of ``options`` are ignored.

    The state is planned again, and only those actions are executed that the plan file contains and whose facts haven't changed.
    ``state`` is the state file to use instead of the one that the plan names; it may differ from what was planned.

    Raises
    ------
    reconciler.errors.StateError
        If it isn't a plan, or one of another state, repository or server.
    reconciler.errors.ReconcileError
        As in `apply_state`.
    """
    check_journal(options.journal)
    saved = plan_file.load_plan(path)
    chosen = state or Path(saved.state)
    show(saved_plan.introduce(saved, chosen))
    with _open(chosen, saved.variables, options) as session:
        plan_file.check_origin(saved, session.state, session.butler_name, session.rucio_name, changed=state is not None)
        with session.locked(options.lock_timeout):
            plan = session.renew(saved, changed=state is not None)
            _show_plan(session, plan)
            show(saved_plan.report_limits(plan))
            return _confirm_and_run(session, plan, options)


def _open(path: Path, variables: Mapping[str, Scalar], options: ApplyOptions) -> Session:
    policy = {"deep": options.deep, "quick": options.quick}
    return open_session(path, variables, **policy, jobs=options.jobs, parsl=options.parsl, notify=_notice)


def _show_plan(session: Session, plan: Plan) -> None:
    show(text.header(plan, session.butler_name, session.rucio_name))
    if session.context.repository is None and session.context.server is not None:
        echo("Rucio has no lock: only other applies of this user on this machine are kept out.")
    echo()
    show(text.report_plan(plan, session.elapsed, prune=plan.prune))


def _notice(message: str) -> None:
    echo(message, err=True)


def _confirm_and_run(session: Session, plan: Plan, options: ApplyOptions) -> int:
    if not plan.in_sync:
        show([apply_summary.summarize_plan(plan)])
    check_removal_limits(plan, options.prune_limit)
    if plan.actions and options.ask and not _confirm(plan):
        echo("Nothing was changed.")
        return DIFFERENCES
    return _run(session, plan, options)


def _confirm(plan: Plan) -> bool:
    """Ask the operator; removals are confirmed by typing their number."""
    if not click.confirm("Apply?", default=False):
        return False
    removals = count_removals(plan)
    question = f"{removals:,} members will be removed. Type their number to continue"
    return not removals or bool(click.prompt(question, default="") == str(removals))


def _run(session: Session, plan: Plan, options: ApplyOptions) -> int:
    progress = ConsoleProgress()

    def say_last_words() -> None:
        progress.abandon()
        echo(STOPPED)

    with progress, interruptible_run(say_last_words) as stop:
        result = session.apply(
            plan,
            prune=plan.prune,
            prune_limit=options.prune_limit,
            wait=options.wait,
            journal=options.journal,
            listener=progress,
            stop=stop,
        )
    echo()
    show(apply_summary.summarize_run(result.outcomes, result.seconds, result.run))
    if result.interrupted:
        echo(STOPPED)
    return result.exit_code
