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

DELETION_DELAY = 3600.0
"""Seconds for which Rucio still lists a rule that was deleted."""

LONGEST_NOTICE = 7 * 86400.0
SHARE_OF_LIFETIME = 0.25
"""A rule expires soon if less of its lifetime than this share is left, and less than `LONGEST_NOTICE` seconds."""
LONGEST_EVALUATION = 3600.0
"""Seconds within which Rucio should have evaluated the rules of a dataset that files were added to."""


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
    replaces: str | None = Field(
        None,
        min_length=1,
        description="RSE expression of a rule of the same account that this one replaces, if this one doesn't exist: Rucio "
        "deletes it, and the copies that only it kept, when the new rule is OK. It counts as a removal.",
        examples=["IN2P3_OLD_DISK"],
    )

    def __str__(self) -> str:
        return f"{self.rse_expression} × {self.copies}"

    def request(self) -> RuleRequest:
        """Return what to ask Rucio for."""
        return RuleRequest(**self.model_dump(exclude={"replaces"}))

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
    removes : `tuple` [`str`, ...]
        The existing rule, if a move lets copies expire.
    """

    verb: Literal["replicate", "move", "update"]
    rule: Rule
    reason: str
    rule_id: str = ""
    options: RuleOptions = field(default_factory=dict)
    removes: tuple[str, ...] = ()


class RuleDiff(NamedTuple):
    """How rules differ: ``unmanaged`` are rules of the acting account that no table lists.

    Those that a move concerns, or that expire within an hour as deleted ones do, are not among them.
    """

    steps: list[RuleStep]
    unmanaged: list[RuleFacts]


def normalize_expression(expression: str) -> str:
    """Remove blanks from an RSE expression, and sort its outermost alternatives unless ``&`` or ``\\`` stands between them.

    Rucio takes A|B and B|A for two rules.
    """
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

    A missing rule is added, and no other rule is moved for it, since the data of a moved rule expire. There are two exceptions:
    the only other rule of the same account and expression, which has another number of copies, and one that ``replaces`` names.
    A rule that is being moved away and is desired again can't be added before that has ended; `rule_conditions` reports it.

    Parameters
    ----------
    desired : sequence of `Rule`
        The rules of the state.
    existing : iterable of `RuleFacts`
        The rules in Rucio. Rules of other accounts are ignored.
    account : `str`
        The owner of desired rules that name no account.
    now : `datetime.datetime`
        UTC, naive.
    """
    known = list(existing)
    pairs, others = pair_rules(desired, known, account)
    moving = [rule for rule in known if rule.child_rule_id is not None]
    steps: list[RuleStep] = []
    unmet: list[Rule] = []
    for rule, found in pairs:
        if found is None:
            unmet.append(rule)
        elif options := find_updates(rule, found, now):
            steps.append(RuleStep("update", rule, _update_reason(rule, found, options), found.id, options))
    for rule in unmet:
        if leaving := _find_equal(rule, moving, account):
            others = [other for other in others if other.id != leaving.child_rule_id]
            continue
        moved = _find_same_place(rule, others, account) or _find_replaced(rule, others, account)
        if moved is None:
            steps.append(RuleStep("replicate", rule, "no such rule"))
        else:
            others.remove(moved)
            steps.append(_move(rule, moved))
    return RuleDiff(steps, [other for other in others if other.account == account and not _is_deleted(other, now)])


def find_own_rules(desired: Sequence[Rule], existing: Iterable[RuleFacts], account: str) -> list[RuleFacts]:
    """Return the existing rules of the accounts that own desired ones, and of the one that acts."""
    accounts = {rule.owner(account) for rule in desired} | {account}
    return [rule for rule in existing if rule.account in accounts]


def pair_rules(
    desired: Sequence[Rule], existing: Iterable[RuleFacts], account: str
) -> tuple[list[tuple[Rule, RuleFacts | None]], list[RuleFacts]]:
    """Pair each desired rule with the existing one of the same account, expression and copies, or None.

    The other rules of these accounts are returned, too. Rules that are being moved away are in neither.
    """
    others = [rule for rule in find_own_rules(desired, existing, account) if rule.child_rule_id is None]
    pairs: list[tuple[Rule, RuleFacts | None]] = []
    for rule in desired:
        found = _find_equal(rule, others, account)
        if found is not None:
            others.remove(found)
        pairs.append((rule, found))
    return pairs, others


def _is_deleted(rule: RuleFacts, now: datetime.datetime) -> bool:
    """Return True if a rule expires as soon as one that was deleted."""
    return rule.expires_at is not None and (rule.expires_at - now).total_seconds() <= DELETION_DELAY + LIFETIME_TOLERANCE


def _at(expression: str, owner: str, rules: Iterable[RuleFacts]) -> list[RuleFacts]:
    """Return the rules of an account that have an RSE expression."""
    place = normalize_expression(expression)
    return [rule for rule in rules if rule.account == owner and normalize_expression(rule.rse_expression) == place]


def _find_equal(rule: Rule, others: Iterable[RuleFacts], account: str) -> RuleFacts | None:
    """Find the rule that Rucio takes for the same as a desired one."""
    at_place = _at(rule.rse_expression, rule.owner(account), others)
    return next((other for other in at_place if other.copies == rule.copies), None)


def _find_same_place(rule: Rule, others: Iterable[RuleFacts], account: str) -> RuleFacts | None:
    """Find the rule that has other copies than the desired one and is the same otherwise, if there is only one."""
    same = _at(rule.rse_expression, rule.owner(account), others)
    return same[0] if len(same) == 1 else None


def _find_replaced(rule: Rule, others: Iterable[RuleFacts], account: str) -> RuleFacts | None:
    """Find the rule that the state replaces by a desired one; of several that with as many copies."""
    if rule.replaces is None:
        return None
    candidates = _at(rule.replaces, rule.owner(account), others)
    return min(candidates, key=lambda other: (other.copies != rule.copies, other.copies, other.id), default=None)


def _move(rule: Rule, moved: RuleFacts) -> RuleStep:
    old = f"{moved.rse_expression} × {moved.copies}"
    if normalize_expression(rule.rse_expression) != normalize_expression(moved.rse_expression):
        reason = f"replaces {old}; copies that only that rule kept expire"
    elif rule.copies < moved.copies:
        reason = f"it is {old}; copies above {rule.copies} expire"
    else:
        return RuleStep("move", rule, f"it is {old}", moved.id)
    return RuleStep("move", rule, reason, moved.id, removes=(moved.id,))


def find_updates(rule: Rule, existing: RuleFacts, now: datetime.datetime) -> RuleOptions:
    """Find what to update of an existing rule: keys that the state sets and that differ, and the lifetime if it is too short.

    It is too short if the rule expires earlier than that long after its creation. It is then returned as the state has it, and
    not as the rest of it; None, for ever, if the rule expires and the state sets none. Both apply to a rule that was deleted,
    which expires within an hour. A lifetime is never shortened, except that a rule without one gets it. Nothing to update is an
    empty mapping.
    """
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
    """Yield a condition for each rule that is not OK and isn't being moved away, and one if any rule is."""
    moving = False
    for rule in rules:
        if rule.child_rule_id is not None:
            moving = True
        elif rule.state != "OK":
            yield _describe_state(rule, now)
    if moving:
        text = "a rule is being moved; Rucio deletes the old one when the new one is OK"
        yield Condition(DifferenceKind.WAITING, text, field="rules")


def expiry_conditions(pairs: Iterable[tuple[Rule, RuleFacts | None]], now: datetime.datetime) -> Iterator[Condition]:
    """Describe each rule that expires soon although its lifetime is the desired one.

    One that expires before its time, or that shouldn't expire at all, is updated instead; see `find_updates`.
    """
    for rule, existing in pairs:
        if existing is None or existing.expires_at is None or rule.lifetime is None:
            continue
        if _expires_too_soon(rule.lifetime, existing, now):
            continue
        left = (existing.expires_at - now).total_seconds()
        if left < min(LONGEST_NOTICE, rule.lifetime * SHARE_OF_LIFETIME):
            when = f"expires in {format_duration(left)}" if left > 0 else f"expired {format_duration(-left)} ago"
            text = f"{when}: rule {rule}; to keep it, raise or remove its lifetime in the state"
            fact = {"rule": existing.id, "expires_at": existing.expires_at.isoformat()}
            yield Condition(DifferenceKind.DEGRADED, text, (fact,), "rules", listed=False)


def describe_missing_locks(
    rule: RuleFacts, files: int, lacking: Sequence[str], changed: datetime.datetime | None, now: datetime.datetime
) -> Condition:
    """Describe a rule with fewer locks than one for each copy of each file: Rucio has not evaluated it since files were added.

    Parameters
    ----------
    rule : `RuleFacts`
        The rule.
    files : `int`
        Number of files in the dataset.
    lacking : sequence of `str`
        Names of the files that lack a lock, if they were listed.
    changed : `datetime.datetime` or `None`
        When the dataset last changed, or the rule or one of these files was made, whichever is latest; UTC, naive.
    now : `datetime.datetime`
        UTC, naive.
    """
    locks = rule.locks_ok + rule.locks_replicating + rule.locks_stuck
    text = f"rule {rule.rse_expression} × {rule.copies} has {locks:,} of {files * rule.copies:,} file locks"
    members = tuple({"file": name} for name in lacking)
    age = (now - changed).total_seconds() if changed is not None else LONGEST_EVALUATION
    if age < LONGEST_EVALUATION:
        return Condition(DifferenceKind.WAITING, f"waiting for Rucio to evaluate added files: {text}", members, "rules")
    unchanged = f", and the dataset has not changed for {format_duration(age)}" if changed is not None else ""
    text = f"{text}{unchanged}; does Rucio's judge-evaluator run?"
    return Condition(DifferenceKind.DEGRADED, text, members, "rules")


def _describe_state(rule: RuleFacts, now: datetime.datetime) -> Condition:
    name = f"rule {rule.rse_expression} × {rule.copies}"
    total = rule.locks_ok + rule.locks_replicating + rule.locks_stuck
    noun = "files" if rule.copies == 1 else "copies of files"  # a rule has a lock for each copy of each file
    counts = {"rule": rule.id, "ok": rule.locks_ok, "stuck": rule.locks_stuck, "files": total, "state": rule.state}
    kind = DifferenceKind.DEGRADED
    match rule.state:
        case "REPLICATING":
            kind, text = DifferenceKind.WAITING, f"replicating: {name}, {rule.locks_ok:,} of {total:,} {noun}"
        case "INJECT":
            kind, text = DifferenceKind.WAITING, f"being injected: {name}"
        case "WAITING_APPROVAL":
            kind, text = DifferenceKind.WAITING, f"waiting for approval: {name}"
        case "STUCK":
            since = rule.stuck_at or rule.updated_at
            age = f" for {format_duration((now - since).total_seconds())}" if since else ""
            why = (rule.error or "no reason given").split(":")[0].strip()[:100]
            text = f"stuck{age}: {name}, {rule.locks_stuck:,} of {total:,} {noun} ({why})"
        case "SUSPENDED":
            text = f"suspended: {name}; Rucio has stopped trying, and files added later get no copies"
        case other:
            text = f"in state {other}: {name}"
    return Condition(kind, text, (counts,), "rules", listed=False)


def format_duration(seconds: float) -> str:
    """Write a duration in its largest unit, rounded: ``3 d``, ``14 s``; a negative one as ``0 s``."""
    for unit, size, smaller in (("d", 86400, 3600), ("h", 3600, 60), ("min", 60, 1)):
        if round(seconds / smaller) * smaller >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
