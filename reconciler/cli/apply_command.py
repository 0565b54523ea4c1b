"""The steps of an `apply` on the command line: plan, question, run, summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from reconciler.cli.apply_output import ApplyOutput
from reconciler.cli.console import DIFFERENCES, echo
from reconciler.cli.interrupts import interruptible_run
from reconciler.cli.live import SignOfLife
from reconciler.engine import plan_file
from reconciler.engine.plan import Plan
from reconciler.engine.removal_limits import check_removal_limits, count_removals
from reconciler.execution import check_journal, check_writable
from reconciler.opening import open_session
from reconciler.report import saved_plan
from reconciler.report.run import RunReport, report_run
from reconciler.report.summary import summarize
from reconciler.session import Session
from reconciler.state.variable_sources import Variables


@dataclass(frozen=True)
class ApplyOptions:
    """The options of an apply.

    Parameters
    ----------
    only, without : `Sequence` [`str`]
        Globs of addresses to take and to leave out.
    with_needs : `bool`
        Whether to take what the chosen resources need, too.
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
    wait: float = 0.0
    prune: bool = False
    prune_limit: int | None = None
    lock_timeout: float = 0.0
    deep: bool = False
    quick: bool = False
    jobs: int = 1
    parsl: str | None = None
    journal: Path | None = None


def apply_state(path: Path, variables: Variables, options: ApplyOptions, output: ApplyOutput) -> RunReport:
    """Apply one state file; the exit code is that of the run, 2 if the operator declines, 130 after Ctrl-C.

    Raises
    ------
    reconciler.errors.ReconcileError
        If nothing can be done: the state is wrong, a lock is held, or too much would be removed.
    """
    check_journal(options.journal)
    sign = SignOfLife()
    with _open(path, variables, options, sign) as session:
        _check_prune_limit(session, options)
        with session.locked(options.lock_timeout):
            with sign:
                plan = session.plan(options.only, options.without, with_needs=options.with_needs, prune=options.prune)
            output.show_plan(session, plan)
            return _confirm_and_run(session, plan, options, output)


def apply_plan(path: Path, options: ApplyOptions, output: ApplyOutput, state: Path | None = None) -> RunReport:
    """Apply a saved plan, as `apply_state`; only, without, with_needs and prune of ``options`` are ignored.

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
    output.show(saved_plan.introduce(saved, chosen))
    sign = SignOfLife()
    with _open(chosen, saved.variables, options, sign) as session:
        plan_file.check_origin(saved, session.state, session.butler_name, session.rucio_name, changed=state is not None)
        with session.locked(options.lock_timeout):
            with sign:
                plan = session.renew(saved, changed=state is not None)
            output.show_plan(session, plan, known=True)
            output.show(saved_plan.report_limits(plan))
            return _confirm_and_run(session, plan, options, output)


def _check_prune_limit(session: Session, options: ApplyOptions) -> None:
    """Refuse a limit where nothing can be removed: without --prune, only rules of the state replace others."""
    if options.prune_limit is None or options.prune:
        return
    if not any(getattr(spec, "rules", ()) for spec in session.state.resources.values()):
        raise click.UsageError("--prune-limit limits what --prune removes; give --prune too")


def _open(path: Path, variables: Variables, options: ApplyOptions, sign: SignOfLife) -> Session:
    with sign:
        session = open_session(
            path,
            variables,
            deep=options.deep,
            quick=options.quick,
            jobs=options.jobs,
            parsl=options.parsl,
            notify=_notice,
            report_phase=sign.report_phase,
        )
        session.context.prepare()  # the lock needs the Butler
    sign.count(address.kind for address in session.state.resources)
    return session


def _notice(message: str) -> None:
    echo(message, err=True)


def _confirm_and_run(session: Session, plan: Plan, options: ApplyOptions, output: ApplyOutput) -> RunReport:
    state = (str(session.state.path), session.state.name)
    counts = summarize(plan)
    check_removal_limits(plan, options.prune_limit)
    check_writable(plan, session.context)
    if plan.permitted_actions and output.ask:
        if not output.confirm(count_removals(plan)):
            code = DIFFERENCES
            made = report_run(state, counts, (), run=None, seconds=0.0, interrupted=False, exit_code=code, limits=plan.limits)
            output.show_run(made, None)
            return made
        session.context.forget()  # others may have changed something while the operator was reading
    with output.progress() as listener, interruptible_run(output.say_last_words) as stop:
        result = session.apply(
            plan,
            prune=plan.prune,
            prune_limit=options.prune_limit,
            wait=options.wait,
            journal=options.journal,
            listener=listener,
            stop=stop,
        )
    made = report_run(
        state,
        counts,
        result.outcomes,
        run=result.run,
        seconds=result.seconds,
        interrupted=result.interrupted,
        exit_code=result.exit_code,
        limits=plan.limits,
    )
    output.show_run(made, result)
    return made
