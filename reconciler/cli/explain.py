"""``reconcile explain``: everything that is known of one resource."""

from __future__ import annotations

import contextlib
import glob
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.arguments import find_state_files, merge_variables
from reconciler.cli.completers import complete_addresses
from reconciler.cli.console import ERROR, IN_SYNC, echo_json, handle_errors, show
from reconciler.cli.options import diagnosis_options, variable_options
from reconciler.cli.resource_arguments import is_state_file
from reconciler.errors import ObserveError, StateError

if TYPE_CHECKING:
    from reconciler.engine.model import Address
    from reconciler.engine.plan import Plan
    from reconciler.report.explanation import KnownFacts, SeenDifference
    from reconciler.report.journal import RecordedAction
    from reconciler.session import Session
    from reconciler.state.loader import StateFile
    from reconciler.state.variable_sources import Overrides

MOST_RUNS = 5
"""Actions of the journal that are shown."""


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="[STATE] ADDRESS", shell_complete=complete_addresses)
@variable_options
@diagnosis_options
@handle_errors
def explain(
    words: tuple[str, ...],
    var_files: tuple[Path, ...],
    pairs: tuple[str, ...],
    history: str | None,
    journal: Path | None,
    output_format: str,
) -> int:
    """Explain one resource: what asks for it, what is live, what differs and why.

    ADDRESS is an address such as chain.refcats, quoted or not, or a glob that matches only one. Without STATE, it is searched in
    all files state/*.toml. The resource and all that it needs are compared with the live systems; nothing is changed. The exit
    code is 1 if it could not be checked, and otherwise 0, whatever differs.
    """
    import datetime

    from reconciler.opening import open_session
    from reconciler.report.entry_status import EntryStatus
    from reconciler.report.explanation import explain as make_report
    from reconciler.report.explanation_text import format_explanation

    state, text = _read_arguments(words)
    variables = merge_variables(var_files, pairs)
    loaded, address = _find_resource(state, text, variables)
    with open_session(loaded.path, variables, counted=True) as session:
        session.context.forbid_writes()
        plan = session.plan_unchecked(session.graph.with_predecessors([address]))
        facts = _gather_facts(session, plan, address, history, journal)
    report = make_report(plan, address, facts)
    if output_format == "json":
        from reconciler.report.json_text import format_json

        echo_json(format_json(report.model_dump(mode="json")))
    else:
        show(format_explanation(report, plan, datetime.datetime.now(datetime.UTC)))
    return ERROR if report.status is EntryStatus.UNKNOWN else IN_SYNC


def _read_arguments(words: tuple[str, ...]) -> tuple[Path | None, str]:
    if len(words) == 1:
        return None, words[0]
    if len(words) == 2 and is_state_file(words[0]):
        return Path(words[0]), words[1]
    raise click.UsageError("write reconcile explain [STATE] ADDRESS, with an address in quotes for the shell")


def _find_resource(state: Path | None, text: str, variables: Overrides) -> tuple[StateFile, Address]:
    """Return the state file that has the address."""
    from reconciler.engine.address_selection import find_address
    from reconciler.state.loader import load

    found: list[tuple[StateFile, Address]] = []
    errors: list[StateError] = []
    for path in find_state_files((state,) if state is not None else ()):
        try:
            loaded = load(path, variables)
            found.append((loaded, find_address(loaded, text)))
        except StateError as error:
            errors.append(error)
    if len(found) > 1:
        names = ", ".join(str(loaded.path) for loaded, _ in found)
        raise StateError(f"{text}: several states have this address: {names}", ("write the state file before the address",))
    if not found:
        raise errors[0]
    return found[0]


def _gather_facts(session: Session, plan: Plan, address: Address, history: str | None, journal: Path | None) -> KnownFacts:
    from reconciler.files.text import read_text
    from reconciler.report.explanation import KnownFacts

    state = session.state
    lines = read_text(state.path).splitlines()
    seen, last_in_sync = _read_history(state, address, history)
    systems = {"butler": session.butler_name, "rucio": session.rucio_name}
    existing = _find_existing(session, plan, address)
    stats = session.context.stats
    return KnownFacts(
        source=lines[min(state.lines.get(address, 1), len(lines)) - 1].strip(),
        systems={name: place for name, place in systems.items() if place},
        statements=stats.statements,
        calls=stats.calls,
        seconds=session.elapsed,
        existing=existing,
        seen=seen,
        last_in_sync=last_in_sync,
        runs=_read_runs(state, address, journal),
    )


def _find_existing(session: Session, plan: Plan, address: Address) -> dict[str, bool]:
    """Return whether what the resource needs and no table provides exists, and what decides whether something hinders it.

    Tokens of which that can't be found out are left out; each kind of them is asked for alone, as a system may be down.
    """
    from reconciler.engine.hindrances import find_tokens_that_decide

    by_kind: dict[str, list[str]] = {}
    for token in sorted({*session.graph.unprovided.get(address, ()), *find_tokens_that_decide(plan)}):
        by_kind.setdefault(token.partition(":")[0], []).append(token)
    found: dict[str, bool] = {}
    for tokens in by_kind.values():
        with contextlib.suppress(ObserveError):
            existing = session.context.find_existing(tokens)
            found |= {token: token in existing for token in tokens}
    return found


def _read_history(
    state: StateFile, address: Address, option: str | None
) -> tuple[dict[tuple[str, str], SeenDifference], str | None]:
    """Return the open differences of a resource by kind and field, and when it was last in sync.

    Nothing if there is no history yet, which is an error only for one that ``option`` names.
    """
    from reconciler.report.explanation import SeenDifference
    from reconciler.watch.locations import MissingHistory, find_history
    from reconciler.watch.resource_history import read_resource_history

    try:
        known = read_resource_history(find_history(option), state.path, str(address))
    except MissingHistory:
        if option is None:
            return {}, None
        raise
    seen = {
        (found.kind, found.field): SeenDifference(found.first_seen, found.last_seen, found.times_seen, found.cause.value)
        for found in known.differences
    }
    return seen, known.last_in_sync


def _read_runs(state: StateFile, address: Address, journal: Path | None) -> list[RecordedAction]:
    """Return the latest actions on a resource by runs of this state file; none if there is no journal yet."""
    from reconciler.engine.journal import read_journal, state_folder
    from reconciler.report.journal import collect_actions

    path = journal or state_folder() / "journal.jsonl"
    if journal is None and not path.exists():
        return []
    return collect_actions(read_journal(path), address=glob.escape(address.plain), state=state.path)[:MOST_RUNS]
