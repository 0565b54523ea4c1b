"""One state file with its live systems: planning, and applying a plan; the command line and Python programs share it."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.counts import plural
from reconciler.engine.address_selection import select_addresses
from reconciler.engine.graph import Graph
from reconciler.engine.model import Address
from reconciler.engine.observe import Observation, check_unprovided, observe
from reconciler.engine.plan import Plan, plan
from reconciler.engine.removal_limits import check_removal_limits, count_pruned
from reconciler.engine.requirements import find_absent_needs, find_unmet_requirements
from reconciler.errors import PlanError, RemovalRefused, StateError, clean
from reconciler.kinds.repository import RepositorySpec, find_repository
from reconciler.state.loader import StateFile
from reconciler.systems.context import Context

if TYPE_CHECKING:  # a diff imports nothing of an apply
    from reconciler.engine.listener import Listener
    from reconciler.engine.plan_file import SavedPlan
    from reconciler.engine.result import ApplyResult


def ignore_text(text: str) -> None:
    """Drop a notice."""


FRESH = 2.0
"""Seconds for which the answers that a plan was made from are believed when the plan is executed."""


@dataclass
class Session:
    """A state file with its live systems, made by `reconciler.opening.open_session`; the end of its ``with`` statement closes it.

    What live systems answered is remembered until a lock is acquired, something is changed, or ``context.forget()`` is called.

    Parameters
    ----------
    state : `StateFile`
        What is desired.
    graph : `Graph`
        In which order.
    context : `Context`
        The live systems.
    started : `float`
        When loading began, in seconds of the monotonic clock.
    notify : callable
        Called with notices, such as who holds a lock that is waited for.
    """

    state: StateFile
    graph: Graph
    context: Context
    started: float = 0.0
    notify: Callable[[str], None] = ignore_text
    _locked: bool = field(default=False, init=False, repr=False)
    _current: Plan | None = field(default=None, init=False, repr=False)
    _asked: float = field(default=math.inf, init=False, repr=False)
    """When the oldest of the remembered answers may have been given, in seconds of the monotonic clock."""

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def repository_spec(self) -> RepositorySpec | None:
        """The [repository] table; `None` if there is none."""
        return find_repository(self.state)

    @property
    def butler_name(self) -> str | None:
        """The location of the repository, or its label in the repository index, without credentials; `None` without one."""
        return clean(self.context.repository.uri) if self.context.repository else None

    @property
    def rucio_name(self) -> str | None:
        """The server, and the account if the state names one, without asking the server; `None` without a [rucio] table.

        It is a phrase if no configuration with the server's address is found.
        """
        if self.context.server is None:
            return None
        account = self.context.server.settings.account
        return self.context.server.place() + (f" as {account}" if account else "")

    @property
    def rucio_environment(self) -> dict[str, str]:
        """The environment variables that the ``rucio`` command needs for what the [rucio] table sets."""
        rucio = self.state.rucio
        settings = {"RUCIO_CONFIG": rucio.config, "RUCIO_ACCOUNT": rucio.account} if rucio is not None else {}
        return {name: value for name, value in settings.items() if value}

    @property
    def elapsed(self) -> float:
        """Seconds since loading began."""
        return time.monotonic() - self.started

    def plan(
        self, only: Sequence[str] = (), without: Sequence[str] = (), *, with_needs: bool = False, prune: bool = False
    ) -> Plan:
        """Observe resources and plan what to do.

        It changes no live system. On this machine it writes only caches, proofs of what was listed and agreed, and which files
        were found lost or wrong on storage.

        A resource that can't be observed is in ``plan.unknown`` with its error; the others are planned all the same.

        Parameters
        ----------
        only, without : `Sequence` [`str`]
            Globs of addresses to take, all if empty, and to leave out.
        with_needs : `bool`
            Whether to take all that comes before the chosen resources, too: what they need, and what only has to come first,
            even if ``without`` leaves it out.
        prune : `bool`
            Whether to plan the removal of unwanted members.

        Returns
        -------
        plan : `Plan`
            The chosen resources in order, with their differences and actions.

        Raises
        ------
        reconciler.errors.StateError
            If a glob matches nothing, or an input file or a query expression is invalid.
        reconciler.errors.PlanError
            If a chosen table needs something that doesn't exist and that no table provides. If a table provides it that isn't
            chosen, the resource is blocked instead.
        reconciler.errors.ObserveError
            If it can't be found out whether what a table needs exists, or what an action needs on this machine.
        reconciler.errors.PluginError
            If the code of a kind of another package fails.
        """
        chosen = select_addresses(self.state, only)
        if without:
            chosen -= select_addresses(self.state, without)
        if with_needs:
            chosen = self.graph.with_predecessors(chosen)
        return self._plan(chosen, prune)

    def _plan(self, chosen: Collection[Address], prune: bool) -> Plan:
        self._asked = min(self._asked, time.monotonic())
        observation = observe(self.state, self.context, chosen)
        with self.context.phase("plan"):
            made = self._decide(observation, chosen, prune)
        if self._locked:
            self._current = made
        return made

    def _decide(self, observation: Observation, chosen: Collection[Address], prune: bool) -> Plan:
        known = [address for address in chosen if address not in observation.unknown]
        check_unprovided(self.state, self.context, self.graph, known)
        return self._decide_unchecked(observation, chosen, prune)

    def _decide_unchecked(self, observation: Observation, chosen: Collection[Address], prune: bool) -> Plan:
        first = plan(self.state, self.graph, observation, only=chosen, prune=prune)
        acting = [entry.address for entry in first.entries if entry.actions]
        unmet = find_unmet_requirements(self.state, self.context, acting)
        unmet |= find_absent_needs(self.context, self.graph, acting, chosen)
        return plan(self.state, self.graph, observation, only=chosen, prune=prune, unmet=unmet) if unmet else first

    def plan_unchecked(self, chosen: Collection[Address]) -> Plan:
        """Plan some resources for a report; that something which they need doesn't exist anywhere is not an error.

        Raises
        ------
        reconciler.errors.StateError
            If an input file is invalid.
        reconciler.errors.ObserveError
            If it can't be found out whether something exists that a table provides which isn't chosen, or what their actions
            need on this machine.
        reconciler.errors.PluginError
            If the code of a kind of another package fails.
        """
        self._asked = min(self._asked, time.monotonic())
        observation = observe(self.state, self.context, chosen)
        with self.context.phase("plan"):
            return self._decide_unchecked(observation, chosen, False)

    def renew(self, earlier: Plan | SavedPlan, *, changed: bool = False) -> Plan:
        """Plan again what was planned earlier, limited to what was decided then and whose facts haven't changed.

        A resource that had no action then, because it waited for Rucio or was to be planned again later, may get any action that
        removes nothing. One that had actions is refused if its facts changed, also because more of its files have arrived.

        Parameters
        ----------
        earlier : `Plan` or `SavedPlan`
            A plan of this session, or one that was read from a file.
        changed : `bool`
            Whether a plan from a file may have been made for another state file, or for this one before it was changed.

        Returns
        -------
        plan : `Plan`
            The same resources, or all of the state for a plan from a file; ``limits`` has what may be executed.

        Raises
        ------
        reconciler.errors.StateError
            If the plan is one of another session, repository or server, or, unless ``changed``, of another state; or an input
            file is invalid.
        reconciler.errors.PlanError
            If the plan is a renewed one itself, or something that a table needs no longer exists.
        reconciler.errors.ObserveError
            If it can't be found out whether what a table needs exists, or what an action needs on this machine.
        reconciler.errors.PluginError
            If the code of a kind of another package fails.
        """
        from reconciler.engine.plan_file import SavedPlan, check_origin, find_limits, summarize_decisions

        if isinstance(earlier, SavedPlan):
            check_origin(earlier, self.state, self.butler_name, self.rucio_name, changed=changed)
            chosen: Collection[Address] = self.state.resources.keys()
            decided = earlier.by_address
        else:
            self._check_own(earlier)
            if earlier.limits.allowed is not None:
                raise PlanError("a plan can be renewed only once", ("renew the first plan again",))
            chosen = {entry.address for entry in earlier.entries}
            decided = summarize_decisions(earlier)
        again = self._plan(chosen, earlier.prune)
        limited = replace(again, limits=find_limits(decided, again))
        if self._locked:
            self._current = limited
        return limited

    def _check_own(self, plan: Plan) -> None:
        if plan.state is not self.state:
            raise StateError("the plan was made by another session", ("call plan() of the session that applies it",))

    @contextlib.contextmanager
    def locked(self, timeout: float = 0.0) -> Iterator[None]:
        """Hold the lock of the repository, so that no other apply changes it between a plan and its execution.

        A state without a repository locks its Rucio scopes instead, which keeps out applies of this user on this host only.
        The latest plan made while the lock is held is executed without `renew`, once; others are renewed. Without the lock,
        `apply` acquires it itself, and renews the plan. A nested call does nothing. A registry on SQLite whose last writer was
        killed is recovered first.

        Parameters
        ----------
        timeout : `float`
            Seconds to wait for another apply to end.

        Raises
        ------
        reconciler.errors.LockHeld
            If the lock isn't acquired before the timeout.
        reconciler.errors.ApplyError
            If it can't be acquired for another reason.
        reconciler.errors.ObserveError
            If the repository can't be opened, so that the place of its lock isn't known.
        """
        from reconciler import execution

        if self._locked:
            yield
            return
        execution.recover_registry(self.context, self.notify)
        spec = self.repository_spec
        seed, override = (spec.seed_config, spec.override) if spec is not None else (None, False)
        scopes = (address.name.partition(":")[0] for address in self.state.resources)
        with execution.acquire_locks(self.context, seed, override, scopes, timeout, self.notify):
            self._locked, self._asked = True, math.inf  # everything was forgotten
            try:
                yield
            finally:
                self._locked, self._current = False, None

    def apply(
        self,
        plan: Plan,
        *,
        prune: bool = False,
        prune_limit: int | None = None,
        wait: float = 0.0,
        lock_timeout: float = 0.0,
        journal: str | os.PathLike[str] | None = None,
        listener: Listener | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> ApplyResult:
        """Execute a plan of this session: the same path as ``reconcile apply --yes``, with the same protection.

        The lock is held for the whole run. A run that acts or waits is recorded in the journal. Every resource is observed and
        planned again before it is changed; a plan that was begun within the last two seconds counts as such an observation.

        Unless the plan is the latest one that was made under `locked`, it is renewed first, as `renew` does: only what both plans
        contain is executed, and what is necessary of resources that waited or were to be planned again later. A resource that
        changed since the plan was made is not touched: its outcome is `Status.BLOCKED`.
        If the latest plan under the lock is from `plan`, it doesn't limit the actions, since no other apply ran in between; of a
        resource that another program changed since, what is necessary then is done. If it is from `renew`, its ``limits`` do.
        Only the members that the plan removes are removed.

        Parameters
        ----------
        plan : `Plan`
            The plan. One from `renew` must be the latest that was made under the lock.
        prune : `bool`
            Whether to remove unwanted members, which only a plan made with ``prune=True`` does.
        prune_limit : `int`, optional
            Number of members that may be removed. Without it, at most 30 % of the members of a resource may be removed, members
            of at most 10 resources, and nothing that a key of the state asks to remove.
        wait : `float`
            Seconds after the start of the run, actions included, until which it waits for what Rucio delivers.
        lock_timeout : `float`
            Seconds to wait for another apply to end.
        journal : path-like, optional
            The journal file; by default the one that ``reconcile log`` reads.
        listener : `Listener`, optional
            Receives the events of the run as they happen.
        stop : callable
            Returns True if the run should end before the next action; the result then has ``interrupted``.

        Returns
        -------
        result : `ApplyResult`
            How each resource ended. A failed action is an outcome and not an exception, and so is a
            resource that contradicts what exists, whose ``error`` is a `reconciler.errors.ConflictError`.

        Raises
        ------
        reconciler.errors.LockHeld
            If another apply is running.
        reconciler.errors.LockLost
            If the lock was lost during the run; what is done stays, and is in the journal.
        reconciler.errors.RemovalRefused
            If the plan removes unwanted members and ``prune`` is False, or more than the limits allow; nothing was changed.
        reconciler.errors.RepositoryReadOnly
            If the plan changes a repository that is a Butler server; nothing was changed.
        reconciler.errors.StateError
            If the plan was made by another session, or an input file is invalid.
        reconciler.errors.PlanError
            If something that a table needs no longer exists, or the plan would have to be renewed and is from `renew` itself.
        reconciler.errors.ObserveError
            If it can't be found out whether what a table needs still exists, or what an action needs on this machine; or if the
            repository can't be opened, so that the place of its lock isn't known.
        reconciler.errors.ApplyError
            If the lock or the journal can't be written.
        reconciler.errors.PluginError
            If the code of a kind of another package fails.
        """
        from reconciler import execution

        self._check_own(plan)
        removals = count_pruned(plan)
        if removals and not prune:
            text = f"the plan removes {plural(removals, 'member')}, and removal isn't allowed"
            raise RemovalRefused(text, removals, ("call apply with prune=True; nothing was changed",))
        with self.locked(lock_timeout):
            current = plan if plan is self._current else self.renew(plan)
            self._current = None  # what it was decided on changes now
            if time.monotonic() - self._asked > FRESH:
                self.context.forget()  # the lock doesn't keep out other programs
                self._asked = time.monotonic()
            check_removal_limits(current, prune_limit)
            execution.check_writable(current, self.context)
            return execution.run_plan(
                replace(current, prune=current.prune and prune),
                self.context,
                (self.butler_name, self.rucio_name),
                wait=wait,
                journal_path=None if journal is None else Path(journal),
                listener=listener,
                stop=stop,
            )

    def close(self) -> None:
        """Close the repository and end the workers; a later question opens them again."""
        self.context.close()
