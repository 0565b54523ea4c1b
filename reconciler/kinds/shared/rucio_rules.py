"""Replication rules: how those of the state and those in Rucio differ, what to do about it, and how healthy they are. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from reconciler.engine.model import Condition, DifferenceKind
from reconciler.systems.rucio.facts import RuleFacts, RuleOptions, RuleRequest

UPDATABLE = {"activity": "activity", "comment": "comments", "priority": "priority", "locked": "locked"}
"""What Rucio lets one update: the option of an update, and the attribute of a rule."""
LIFETIME_TOLERANCE = 120.0
"""Seconds by which a lifetime may seem too short: the time between asking for a rule and its creation."""


class Rule(BaseModel):
    """A replication rule; its identity for Rucio is the expression, the account and the copies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rse_expression: str = Field(
        min_length=1,
        description="RSE expression that selects where copies may go.",
        examples=["IN2P3_RAW_DISK", "SLAC_BUTLER_DISK|IN2P3_RAW_DISK"],
    )
    copies: int = Field(1, ge=1, description="Number of copies, each on a different RSE.", examples=[2])
    account: str | None = Field(None, description="Account that owns the rule; by default the one of [rucio].", examples=["frdf"])
    lifetime: int | None = Field(
        None, ge=1, description="Seconds until the rule expires; by default it never does.", examples=[2592000]
    )
    activity: str | None = Field(None, description="Transfer activity; by default Rucio chooses.", examples=["Data Brokering"])
    comment: str | None = Field(None, description="Comment stored with the rule.", examples=["for the multisite campaign"])
    priority: int | None = Field(None, ge=1, le=5, description="Transfer priority.", examples=[4])
    locked: bool | None = Field(None, description="Whether the rule is protected from deletion.", examples=[True])
    grouping: str = Field(
        "DATASET",
        pattern="^(ALL|DATASET|NONE)$",
        description="How copies are spread over RSEs; only used for a new rule.",
        examples=["NONE"],
    )

    def __str__(self) -> str:
        return f"{self.rse_expression} × {self.copies}"

    def request(self) -> RuleRequest:
        """Return what to ask Rucio for."""
        return RuleRequest(**self.model_dump())

    def owner(self, account: str) -> str:
        """Return whose rule it is; ``account`` is the one that acts."""
        return self.account or account


@dataclass(frozen=True)
class RuleStep:
    """Something to do about a rule.

    Parameters
    ----------
    verb : `str`
        Add a rule (replicate), replace one (move), or change what can be changed of one (update).
    rule : `Rule`
        The desired rule.
    reason : `str`
        Why, in one phrase.
    rule_id : `str`
        The existing rule; empty for replicate.
    options : mapping
        What to update.
    """

    verb: Literal["replicate", "move", "update"]
    rule: Rule
    reason: str
    rule_id: str = ""
    options: RuleOptions = field(default_factory=dict)


class RuleDiff(NamedTuple):
    """How rules differ: ``steps`` remove nothing; ``unmanaged`` are rules of the same accounts that no table lists."""

    steps: list[RuleStep]
    unmanaged: list[RuleFacts]


def normalize_expression(expression: str) -> str:
    """Remove blanks and sort the outermost alternatives of an RSE expression: Rucio takes A|B and B|A for two rules."""
    text = "".join(expression.split())
    parts, depth, start = [], 0, 0
    for at, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if sign == "|" and depth == 0:
            parts.append(text[start:at])
            start = at + 1
        elif sign in "&\\" and depth == 0:
            return text  # the order of operators matters here; only plain alternatives may be sorted
    return "|".join(sorted([*parts, text[start:]]))


def diff_rules(desired: Sequence[Rule], existing: Iterable[RuleFacts], account: str, now: datetime.datetime) -> RuleDiff:
    """Find what has to be done so that the rules of a DID are as desired.

    Parameters
    ----------
    desired : sequence of `Rule`
        The rules of the state.
    existing : iterable of `RuleFacts`
        The rules in Rucio. Rules of other accounts, and rules that are being moved away, are ignored.
    account : `str`
        The owner of desired rules that name no account.
    now : `datetime.datetime`
        UTC, naive.
    """
    accounts = {rule.owner(account) for rule in desired} | {account}
    ours = [rule for rule in existing if rule.account in accounts and rule.child_rule_id is None]
    by_identity = {(normalize_expression(rule.rse_expression), rule.account, rule.copies): rule for rule in ours}
    steps: list[RuleStep] = []
    unmet: list[Rule] = []
    for rule in desired:
        found = by_identity.pop((normalize_expression(rule.rse_expression), rule.owner(account), rule.copies), None)
        if found is None:
            unmet.append(rule)
        elif options := find_updates(rule, found, now):
            steps.append(RuleStep("update", rule, _update_reason(rule, found, options), found.id, options))
    unmanaged = list(by_identity.values())
    for rule in unmet:
        moved = _find_predecessor(rule, unmet, unmanaged, account)
        if moved is None:
            steps.append(RuleStep("replicate", rule, "no such rule"))
        else:
            unmanaged.remove(moved)
            steps.append(RuleStep("move", rule, f"it is {moved.rse_expression} × {moved.copies}", moved.id))
    return RuleDiff(steps, unmanaged)


def _find_predecessor(rule: Rule, unmet: Sequence[Rule], unmanaged: Sequence[RuleFacts], account: str) -> RuleFacts | None:
    """Find the rule that a desired one replaces: that with the same expression, else the only one left for the only unmet one."""
    owner = rule.owner(account)
    candidates = [other for other in unmanaged if other.account == owner]
    expression = normalize_expression(rule.rse_expression)
    same = [other for other in candidates if normalize_expression(other.rse_expression) == expression]
    if len(same) == 1:
        return same[0]
    rivals = [other for other in unmet if other.owner(account) == owner]
    return candidates[0] if len(candidates) == 1 and len(rivals) == 1 else None


def find_updates(rule: Rule, existing: RuleFacts, now: datetime.datetime) -> RuleOptions:
    """Find what to update of an existing rule. It may have been deleted: Rucio then makes it expire in an hour."""
    options: dict[str, str | int | bool | None] = {}
    for name, attribute in UPDATABLE.items():
        value = getattr(rule, name)
        if value is not None and value != getattr(existing, attribute):
            options[name] = value
    if _expires_too_soon(rule.lifetime, existing, now):
        options["lifetime"] = rule.lifetime
    return options


def _expires_too_soon(lifetime: int | None, existing: RuleFacts, now: datetime.datetime) -> bool:
    """Check whether the lifetime of a rule has to be set: it expires and should not, or earlier than it should."""
    if lifetime is None:
        return existing.expires_at is not None
    if existing.expires_at is None:
        return True
    lasts = existing.expires_at - (existing.created_at or now)
    return lasts.total_seconds() < lifetime - LIFETIME_TOLERANCE


def _update_reason(rule: Rule, existing: RuleFacts, options: Mapping[str, object]) -> str:
    reasons = [", ".join(f"{name} is {getattr(existing, UPDATABLE[name])!r}" for name in options if name in UPDATABLE)]
    if "lifetime" in options:
        reasons.append("it expires" if rule.lifetime is None else "it expires too soon")
    return "; ".join(filter(None, reasons))


def rule_conditions(rules: Iterable[RuleFacts], now: datetime.datetime) -> Iterator[Condition]:
    """Describe each rule that is not OK, and that rules are being moved."""
    moving = False
    for rule in rules:
        if rule.child_rule_id is not None:
            moving = True
        elif rule.state != "OK":
            yield _describe_state(rule, now)
    if moving:
        text = "a rule is being moved; Rucio deletes the old one when the new one is OK"
        yield Condition(DifferenceKind.WAITING, text, field="rules")


def _describe_state(rule: RuleFacts, now: datetime.datetime) -> Condition:
    name = f"rule {rule.rse_expression} × {rule.copies}"
    total = rule.locks_ok + rule.locks_replicating + rule.locks_stuck
    counts = {"rule": rule.id, "ok": rule.locks_ok, "stuck": rule.locks_stuck, "files": total, "state": rule.state}
    kind = DifferenceKind.DEGRADED
    match rule.state:
        case "REPLICATING":
            kind, text = DifferenceKind.WAITING, f"replicating: {name}, {rule.locks_ok:,} of {total:,} files"
        case "INJECT":
            kind, text = DifferenceKind.WAITING, f"being injected: {name}"
        case "WAITING_APPROVAL":
            kind, text = DifferenceKind.WAITING, f"waiting for approval: {name}"
        case "STUCK":
            since = rule.stuck_at or rule.updated_at
            age = f" for {format_duration((now - since).total_seconds())}" if since else ""
            why = (rule.error or "no reason given").split(":")[0].strip()[:100]
            text = f"stuck{age}: {name}, {rule.locks_stuck:,} of {total:,} files ({why})"
        case "SUSPENDED":
            text = f"suspended: {name}; Rucio has stopped trying, and files added later get no copies"
        case other:
            text = f"in state {other}: {name}"
    return Condition(kind, text, (counts,), "rules", listed=False)


def format_duration(seconds: float) -> str:
    """Write a duration in its largest unit: ``3 d``, ``14 s``."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
