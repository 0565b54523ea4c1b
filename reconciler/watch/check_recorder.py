"""Read what a history knows of the repository of one check, and write the report on that check."""

from __future__ import annotations

import datetime
import json
import os
import socket
from collections import Counter
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from reconciler.watch.causes import ResourceMemory
from reconciler.watch.check_result import UNKNOWN_KIND, CheckedResource, CheckResult, DifferenceKey
from reconciler.watch.evaluation import LEFT_THE_STATE, DifferenceMemory, Memory
from reconciler.watch.state_report import Cause, Finding, Resolved, StateReport, Verdict
from reconciler.watch.tables import differences, format_time, parse_time, resources, states, verdicts


def place_of(state: str) -> str:
    """Return what differences belong to in the tables that concern a state file alone."""
    return f"file:{state}"


def repository_of(check: CheckResult, address: str, kind: str) -> str:
    """Return what a difference belongs to in the tables: the repository, or ``file:`` and the path of the state file.

    It is the file for what concerns no address, for what could not be checked, which another state may be able to check, and for
    a state without a repository.
    """
    return check.repository if address and kind != UNKNOWN_KIND and check.repository else place_of(check.state)


class CheckRecorder:
    """Reads what is known of one check's repository, and writes its report, on one connection."""

    def __init__(self, connection: Any, check: CheckResult, now: datetime.datetime) -> None:
        self.connection, self.check, self.now = connection, check, now
        self.places = [place_of(check.state), *([check.repository] if check.repository else [])]
        self.replaced: frozenset[str] = frozenset()
        self.known: dict[str, ResourceMemory] = {}

    def memory(self) -> Memory:
        self.replaced = frozenset(self._find_replaced_states())
        self._move_places()
        self.known = self._read_resources()
        previous = self._read_previous()
        return Memory(
            resources=self.known,
            open_differences=self._read_differences(),
            replaced_states=self.replaced,
            previous=Verdict(previous.verdict) if previous is not None else None,
            previous_checked=parse_time(previous.checked) if previous is not None else None,
            last_success=self._read_last_success(),
        )

    def _find_replaced_states(self) -> Iterator[str]:
        """Find states of this repository and host whose file is gone, and whose resources this state has now."""
        if not self.check.repository:
            return
        query = sa.select(states.c.path).where(
            states.c.repository == self.check.repository,
            states.c.host == socket.gethostname(),
            states.c.path != self.check.state,
        )
        for path in self.connection.execute(query).scalars().all():
            if os.path.exists(path):
                continue
            owned = sa.select(resources.c.address).where(
                resources.c.repository == self.check.repository, resources.c.state == path
            )
            seen = sa.select(differences.c.address).where(
                differences.c.repository == self.check.repository, differences.c.state == path
            )
            if set(self.connection.execute(owned.union(seen)).scalars()) & set(self.check.addresses):
                yield path

    def _move_places(self) -> None:
        """Let what concerned a file that was renamed concern the new one."""
        place = place_of(self.check.state)
        own = sa.select(differences.c.address, differences.c.kind, differences.c.field).where(
            differences.c.repository == place, differences.c.resolved.is_(None)
        )
        taken = {tuple(row) for row in self.connection.execute(own)}
        moving = sa.select(differences).where(
            differences.c.repository.in_([place_of(path) for path in self.replaced]), differences.c.resolved.is_(None)
        )
        for row in self.connection.execute(moving.order_by(differences.c.id.desc())).all():
            key = (row.address, row.kind, row.field)
            ended = {"resolved": format_time(self.now), "resolution": "checked again"}
            change = differences.update().where(differences.c.id == row.id)
            self.connection.execute(change.values(**(ended if key in taken else {"repository": place})))
            taken.add(key)

    def _read_previous(self) -> Any:
        query = sa.select(verdicts.c.verdict, verdicts.c.checked).where(verdicts.c.state.in_([self.check.state, *self.replaced]))
        return self.connection.execute(query.order_by(verdicts.c.checked.desc(), verdicts.c.id.desc()).limit(1)).first()

    def _read_last_success(self) -> datetime.datetime | None:
        query = sa.select(sa.func.max(verdicts.c.checked)).where(
            verdicts.c.state.in_([self.check.state, *self.replaced]), verdicts.c.verdict != Verdict.UNKNOWN.value
        )
        found = self.connection.execute(query).scalar()
        return parse_time(found) if found else None

    def _read_resources(self) -> dict[str, ResourceMemory]:
        rows = self.connection.execute(sa.select(resources).where(resources.c.repository == self.check.repository))
        return {
            row.address: ResourceMemory(
                parse_time(row.in_sync_at),
                row.table_digest,
                row.inputs_digest,
                {name: (int(counts[0]), int(counts[1])) for name, counts in json.loads(row.members).items()},
            )
            for row in rows
        }

    def _read_differences(self) -> dict[DifferenceKey, DifferenceMemory]:
        self._reopen_moved()
        query = sa.select(differences).where(differences.c.repository.in_(self.places), differences.c.resolved.is_(None))
        return {
            (row.address, row.kind, row.field): DifferenceMemory(
                row.state,
                row.text,
                row.fingerprint,
                Cause(row.cause),
                bool(row.overdue),
                parse_time(row.first_seen),
                parse_time(row.last_seen),
                row.times_seen,
                row.first_count,
            )
            for row in self.connection.execute(query)
        }

    def _reopen_moved(self) -> None:
        """Reopen differences that were resolved only because their table left another state of the repository."""
        found = {difference.key for difference in self.check.differences if difference.address}
        query = (
            sa.select(differences)
            .where(differences.c.repository == self.check.repository, differences.c.resolution == LEFT_THE_STATE)
            .order_by(differences.c.id.desc())
        )
        for row in self.connection.execute(query).all():
            key = (row.address, row.kind, row.field)
            if key not in found:
                continue
            found.discard(key)
            known = self.known.get(row.address)
            in_sync_since = known is not None and known.in_sync_at > parse_time(row.resolved)
            if not in_sync_since and not self._is_open(key):
                change = differences.update().where(differences.c.id == row.id)
                self.connection.execute(change.values(resolved=None, resolution=None, state=self.check.state))

    def _is_open(self, key: DifferenceKey) -> bool:
        return self.connection.execute(sa.select(differences.c.id).where(*self._matches(key))).first() is not None

    def write(self, run: str, report: StateReport) -> None:
        self._write_state()
        for gone in report.resolved:  # first: what an apply ended may be found again, and is then another difference
            self._write_resolved(gone)
        for finding in report.findings:
            self._write_finding(finding)
        for resource in self.check.resources:
            self._write_resource(resource)
        check = self.check
        self.connection.execute(
            verdicts.insert().values(
                run=run,
                state=check.state,
                name=check.name,
                repository=check.repository,
                checked=format_time(report.checked),
                seconds=round(check.seconds, 3),
                verdict=report.verdict.value,
                exit_code=report.verdict.exit_code,
                resources=len(check.addresses),
                deep=int(check.deep),
                digest=check.digest,
                causes=json.dumps(Counter(finding.cause.value for finding in report.findings), sort_keys=True),
                error=check.error,
                statements=check.statements,
                calls=check.calls,
            )
        )

    def _write_state(self) -> None:
        check = self.check
        known = self.connection.execute(sa.select(states).where(states.c.path == check.state)).first()
        row = {"name": check.name, "host": socket.gethostname(), "replaced_by": None}
        if known is None:
            self.connection.execute(states.insert().values(path=check.state, repository=check.repository, **row))
        else:
            change = states.update().where(states.c.path == check.state)
            self.connection.execute(change.values(repository=check.repository or known.repository, **row))
        for path in self.replaced:
            self.connection.execute(states.update().where(states.c.path == path).values(replaced_by=check.state))
            change = differences.update().where(differences.c.state == path, differences.c.resolved.is_(None))
            self.connection.execute(change.values(state=check.state))

    def _matches(self, key: DifferenceKey) -> tuple[Any, ...]:
        address, kind, name = key
        return (
            differences.c.repository == repository_of(self.check, address, kind),
            differences.c.address == address,
            differences.c.kind == kind,
            differences.c.field == name,
            differences.c.resolved.is_(None),
        )

    def _write_finding(self, finding: Finding) -> None:
        difference = finding.difference
        accepted = finding.acknowledged_by
        row = {
            "state": self.check.state,
            "text": difference.text,
            "fingerprint": difference.fingerprint,
            "count": difference.count,
            "desired": difference.desired,
            "commands": json.dumps(difference.commands),
            "cause": finding.cause.value,
            "overdue": int(finding.overdue),
            "acknowledged_until": accepted.until.isoformat() if accepted else None,
            "acknowledged_reason": accepted.reason if accepted else None,
            "acknowledged_ticket": accepted.ticket if accepted else None,
            "last_seen": format_time(finding.last_seen),
            "times_seen": finding.times_seen,
        }
        changed = self.connection.execute(differences.update().where(*self._matches(difference.key)).values(**row))
        if changed.rowcount == 0:
            row |= {"first_seen": format_time(finding.first_seen), "first_count": finding.first_count}
            self.connection.execute(
                differences.insert().values(
                    repository=repository_of(self.check, difference.address, difference.kind),
                    address=difference.address,
                    kind=difference.kind,
                    field=difference.field,
                    **row,
                )
            )

    def _write_resolved(self, gone: Resolved) -> None:
        change = differences.update().where(*self._matches((gone.address, gone.kind, gone.field)))
        self.connection.execute(change.values(resolved=format_time(gone.resolved), resolution=gone.resolution))

    def _write_resource(self, resource: CheckedResource) -> None:
        known = self.known.get(resource.address)
        members = dict(resource.members)
        where = (resources.c.repository == self.check.repository, resources.c.address == resource.address)
        row: dict[str, object] = {"state": self.check.state}
        if resource.settled:
            row |= {
                "in_sync_at": format_time(self.now),
                "table_digest": resource.table_digest,
                "inputs_digest": resource.inputs_digest,
            }
        elif known is not None:
            members = {
                name: (desired, max(present, resource.members.get(name, (0, 0))[1]))
                for name, (desired, present) in known.members.items()
            }
        else:
            return
        row["members"] = json.dumps(members)
        if known is None:
            row |= {"repository": self.check.repository, "address": resource.address}
            self.connection.execute(resources.insert().values(**row))
        else:
            self.connection.execute(resources.update().where(*where).values(**row))
