"""Replication rules: which is which, and what has to be done so that those of a DID are as wanted. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from reconciler.engine.model import Condition

UPDATABLE = {"activity": "activity", "comment": "comments", "priority": "priority", "locked": "locked"}
"""What Rucio lets one update, as it is written and as it is read."""
SOON = 120.0
"""Seconds by which a lifetime may seem to differ: the time between asking for a rule and its creation."""


class Rule(BaseModel):
    """A replication rule; its identity for Rucio is the expression, the account and the copies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rse_expression: str = Field(
        min_length=1, description="Which RSEs.", examples=["IN2P3_RAW_DISK", "SLAC_BUTLER_DISK|IN2P3_RAW_DISK"]
    )
    copies: int = Field(1, ge=1, description="How many copies, on different RSEs.")
    account: str | None = Field(None, description="Whose rule; that of [rucio] if left out.")
    lifetime: int | None = Field(None, ge=1, description="Seconds until it expires; never if left out.")
    activity: str | None = Field(None, description="Transfer activity; Rucio's own choice if left out.")
    comment: str | None = Field(None, description="Remark kept with it.")
    priority: int | None = Field(None, ge=1, le=5, description="Transfer priority.")
    locked: bool | None = Field(None, description="Whether it can't be deleted.")
    grouping: str = Field("DATASET", pattern="^(ALL|DATASET|NONE)$", description="How copies are spread; only for a new rule.")

    def show(self) -> str:
        """Write it as operators say it."""
        return f"{self.rse_expression} × {self.copies}"


@dataclass(frozen=True)
class Step:
    """Something to do about a rule.

    Parameters
    ----------
    verb : `str`
        replicate, move, update, or remove.
    rule : mapping
        The rule that is wanted, as JSON; empty for remove.
    id : `str`
        The rule that is there; empty for replicate.
    reason : `str`
        Why.
    options : mapping
        What to update.
    """

    verb: str
    rule: Mapping[str, Any]
    id: str
    reason: str
    options: Mapping[str, Any]


def normal(expression: str) -> str:
    """Write an RSE expression so that equal ones are equal: Rucio takes A|B and B|A for two rules.

    Parameters
    ----------
    expression : `str`
        As written.

    Returns
    -------
    expression : `str`
        Without blanks, the outermost alternatives sorted.
    """
    text = "".join(expression.split())
    parts, depth, start = [], 0, 0
    for at, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if sign == "|" and depth == 0:
            parts.append(text[start:at])
            start = at + 1
        elif sign in "&\\" and depth == 0:
            return text  # the order of operators decides here; only plain alternatives may be sorted
    return "|".join(sorted([*parts, text[start:]]))


def seconds_left(rule: Mapping[str, Any], now: datetime.datetime) -> float | None:
    """Tell how long a rule will last.

    Parameters
    ----------
    rule : mapping
        As Rucio gives it.
    now : `datetime.datetime`
        UTC, naive as Rucio's own times.

    Returns
    -------
    seconds : `float` or `None`
        `None` for ever.
    """
    expires = moment(rule.get("expires_at"))
    return None if expires is None else (expires - now).total_seconds()


def moment(value: Any) -> datetime.datetime | None:
    """Read a time of Rucio's, which its client gives as text or as a time.

    Parameters
    ----------
    value : `object`
        What came.

    Returns
    -------
    time : `datetime.datetime` or `None`
        UTC, naive.
    """
    if value is None or isinstance(value, datetime.datetime):
        return value
    from email.utils import parsedate_to_datetime

    text = str(value)
    try:
        return datetime.datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        return parsedate_to_datetime(text).replace(tzinfo=None)


def reconcile(
    wanted: Sequence[Rule], there: Sequence[Mapping[str, Any]], account: str, now: datetime.datetime
) -> tuple[list[Step], list[Mapping[str, Any]]]:
    """Find what has to be done so that the rules of a DID are as wanted.

    Parameters
    ----------
    wanted : sequence of `Rule`
        The rules of the state.
    there : sequence of mapping
        The rules of Rucio.
    account : `str`
        Whose a rule is that names no account.
    now : `datetime.datetime`
        UTC.

    Returns
    -------
    steps : `list` [`Step`]
        What to do; nothing is removed by it.
    strangers : `list` of mapping
        Rules of the same accounts that nobody wants.
    """
    accounts = {rule.account or account for rule in wanted} | {account}
    settled = [r for r in there if r["account"] in accounts and not r.get("child_rule_id")]
    left = {(normal(r["rse_expression"]), r["account"], int(r["copies"])): r for r in settled}
    steps: list[Step] = []
    unmet: list[Rule] = []
    for rule in wanted:
        found = left.pop((normal(rule.rse_expression), rule.account or account, rule.copies), None)
        if found is None:
            unmet.append(rule)
        elif options := updates(rule, found, now):
            reason = ", ".join(f"{name} is {found.get(UPDATABLE.get(name, name))!r}" for name in options if name != "lifetime")
            if "lifetime" in options:
                reason = "; ".join(filter(None, [reason, "it expires" if rule.lifetime is None else "it expires too soon"]))
            steps.append(Step("update", rule.model_dump(mode="json"), found["id"], reason, options))
    strangers = list(left.values())
    for rule in unmet:
        moved = _predecessor(rule, unmet, strangers, account)
        if moved is None:
            steps.append(Step("replicate", rule.model_dump(mode="json"), "", "no such rule", {}))
        else:
            strangers.remove(moved)
            reason = f"it is {moved['rse_expression']} × {moved['copies']}"
            steps.append(Step("move", rule.model_dump(mode="json"), moved["id"], reason, {}))
    return steps, strangers


def _predecessor(rule: Rule, unmet: Sequence[Rule], strangers: list[Mapping[str, Any]], account: str) -> Mapping[str, Any] | None:
    """Find the rule that a wanted one is to replace: that of the same expression, or the only one that is left over."""
    whose = rule.account or account
    mine = [r for r in strangers if r["account"] == whose]
    same = [r for r in mine if normal(r["rse_expression"]) == normal(rule.rse_expression)]
    if len(same) == 1:
        return same[0]
    rivals = [other for other in unmet if (other.account or account) == whose]
    return mine[0] if len(mine) == 1 and len(rivals) == 1 else None


def updates(rule: Rule, there: Mapping[str, Any], now: datetime.datetime) -> dict[str, Any]:
    """Find what can be updated so that a rule is as wanted.

    Parameters
    ----------
    rule : `Rule`
        As wanted.
    there : mapping
        As it is; perhaps deleted, which in Rucio is to expire in an hour.
    now : `datetime.datetime`
        UTC.

    Returns
    -------
    options : `dict`
        For update_replication_rule.
    """
    options: dict[str, Any] = {}
    for name, read in UPDATABLE.items():
        value = getattr(rule, name)
        if value is not None and value != there.get(read):
            options[name] = value
    left = seconds_left(there, now)
    if rule.lifetime is None:
        if left is not None:
            options["lifetime"] = None
    else:
        created = moment(there.get("created_at")) or now
        expires = moment(there.get("expires_at"))
        if expires is None or (expires - created).total_seconds() < rule.lifetime - SOON:
            options["lifetime"] = rule.lifetime
    return options


def health(rules: Iterable[Mapping[str, Any]], now: datetime.datetime) -> Iterator[Condition]:
    """Say how rules are, apart from whether they exist.

    Parameters
    ----------
    rules : iterable of mapping
        As Rucio gives them.
    now : `datetime.datetime`
        UTC.

    Yields
    ------
    condition : `reconciler.engine.model.Condition`
        One for each rule that is not OK.
    """
    for rule in rules:
        name = f"rule {rule['rse_expression']} × {rule['copies']}"
        ok, stuck = int(rule.get("locks_ok_cnt") or 0), int(rule.get("locks_stuck_cnt") or 0)
        total = ok + stuck + int(rule.get("locks_replicating_cnt") or 0)
        facts = ({"rule": rule["id"], "ok": ok, "stuck": stuck, "files": total, "state": rule["state"]},)
        match str(rule["state"]).rpartition(".")[2]:
            case "OK":
                continue
            case "REPLICATING":
                yield Condition("waiting", f"replicating: {name}, {ok:,} of {total:,} files", facts, "rules")
            case "STUCK":
                since = moment(rule.get("stuck_at") or rule.get("updated_at"))
                age = f" for {short((now - since).total_seconds())}" if since else ""
                why = str(rule.get("error") or "no reason given").split(":")[0].strip()[:100]
                yield Condition("unwell", f"stuck{age}: {name}, {stuck:,} of {total:,} files ({why})", facts, "rules")
            case "SUSPENDED":
                yield Condition(
                    "unwell", f"suspended: {name}; Rucio has given up on it, files added later get no copies", facts, "rules"
                )
            case "INJECT":
                yield Condition("waiting", f"being injected: {name}", facts, "rules")
            case "WAITING_APPROVAL":
                yield Condition("waiting", f"waiting for approval: {name}", facts, "rules")
            case other:
                yield Condition("unwell", f"in state {other}: {name}", facts, "rules")


def short(seconds: float) -> str:
    """Write a duration.

    Parameters
    ----------
    seconds : `float`
        How long.

    Returns
    -------
    text : `str`
        ``3 d``, ``14 s``.
    """
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
