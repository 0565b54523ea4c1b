"""Rucio datasets: whether they exist, which files were registered in them, whether they are closed, and their replication rules.

A dataset can be created here in two ways: empty and open, for files that others attach; or from a Butler collection, with the
library behind rucio-register, and then closed. The second needs the source repository. Where that can't be opened the dataset is
blocked, with the commands to run at the source, and everything that doesn't need it goes on.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from reconciler.engine.commands import Command
from reconciler.engine.kind import Kind, KindTraits, Links, MemberText, Requirements
from reconciler.engine.model import Change, Condition, Cost, DifferenceKind, JsonObject, Made, Members, Observed
from reconciler.engine.spec import Spec
from reconciler.kinds.shared.copy_check import check_copies
from reconciler.kinds.shared.dids import check_did
from reconciler.kinds.shared.rucio_dataset_actions import (
    AddRule,
    CloseDataset,
    CreateDataset,
    MoveRule,
    Register,
    RegisterDatasets,
    RemoveRule,
    RucioDatasetAction,
    UpdateRule,
    list_commands,
)
from reconciler.kinds.shared.rucio_names import describe_unknown_names, find_unknown_names
from reconciler.kinds.shared.rucio_registration import (
    DatasetFacts,
    Setup,
    build_source,
    describe_registration,
    find_registration,
    list_members,
    register_missing,
)
from reconciler.kinds.shared.rucio_rules import (
    Rule,
    RuleStep,
    diff_rules,
    expiry_conditions,
    find_own_rules,
    normalize_expression,
    pair_rules,
    rule_conditions,
)

if TYPE_CHECKING:
    from reconciler.systems.context import Context
    from reconciler.systems.rucio.facts import RuleFacts


class RucioDatasetSpec(Spec):
    """A Rucio dataset; the key is its DID."""

    open: bool | None = Field(
        None,
        description="Whether files may be added; not checked by default. true also creates a missing dataset.",
        examples=[False],
    )
    files: int | None = Field(None, ge=0, description="Number of files it must contain.", examples=[90])
    rules: tuple[Rule, ...] = Field((), description="Replication rules.", examples=[[{"rse_expression": "IN2P3_RAW_DISK"}]])
    rules_mode: Literal["contains", "exact"] = Field(
        "contains",
        description="contains: rules that aren't listed are left alone; exact: those of the account that acts are unwanted, and "
        "removed with --prune. Rules of accounts that act in no listed rule are neither reported nor changed.",
        examples=["exact"],
    )
    register_from: Register | None = Field(
        None,
        alias="register",
        description="Datasets of a Butler repository to register in it; it is closed when they are, unless keep_open is set.",
        examples=[
            {
                "repo": "/repo/main",
                "dataset_types": ["flat"],
                "collections": ["LSSTComCam/calib/DM-48520"],
                "config": "main-calib-config.yaml",
            }
        ],
    )


@dataclass(frozen=True)
class ObservedDataset(Observed[RucioDatasetSpec]):
    """A Rucio dataset with the facts that its plan needs.

    Parameters
    ----------
    setup : `Setup`
        What has to happen to it apart from its rules.
    rules : `tuple` [`RuleFacts`, ...]
        Its rules, of all accounts.
    account : `str`
        The owner of rules that name no account; empty if no rules are desired and no dataset exists.
    now : `datetime.datetime`
        When it was observed; UTC, naive as Rucio's own times.
    refused_rules : `frozenset` [`Rule`]
        Rules that Rucio would refuse: it doesn't have what they name, or the rule repeats an earlier one.
    has_no_scope : `bool`
        Whether it can't be created because Rucio doesn't have its scope.
    """

    setup: Setup = field(default_factory=Setup)
    rules: tuple[RuleFacts, ...] = ()
    account: str = ""
    now: datetime.datetime = datetime.datetime.min
    refused_rules: frozenset[Rule] = frozenset()
    has_no_scope: bool = False


class RucioDatasetKind(Kind[RucioDatasetSpec, RucioDatasetAction]):
    """The kind of ``rucio_dataset`` tables, which depend on no other table.

    The source and the configuration of a registration are no requirements: without them only the registration is blocked. A
    closed dataset is compared with its source, too, but only where that can be opened. A dataset type that a source doesn't
    define is a StateError for all tables.
    """

    name = "rucio_dataset"
    spec = RucioDatasetSpec
    traits = KindTraits(summary="Rucio datasets with their rules.", order=5, writes_to="rucio")

    def links(self, name: str, spec: RucioDatasetSpec) -> Links:
        return Links(provides=[f"did:{name}"])

    def requirements(self, spec: RucioDatasetSpec) -> Requirements:
        return Requirements(systems=frozenset({"rucio"}))

    def validate(self, name: str, spec: RucioDatasetSpec) -> Iterable[str]:
        yield from check_did(name)
        keep_open = spec.register_from is not None and spec.register_from.keep_open
        if spec.open and spec.register_from and not keep_open:
            yield "open: a registered dataset is closed when it is complete, unless register has keep_open = true"
        if spec.open is False and keep_open:
            yield "open: false contradicts keep_open = true of register"
        for number, first in _find_repeated(spec.rules, "").items():
            yield f"rules[{number}]: the same rule as rules[{first}]; rules differ in rse_expression, copies or account"
        for number, rule in enumerate(spec.rules):
            if spec.protect and rule.replaces:
                yield f"rules[{number}].replaces: the rules of a protected dataset are not replaced"

    def observe(self, context: Context, desired: Mapping[str, RucioDatasetSpec]) -> Mapping[str, Observed[RucioDatasetSpec]]:
        facts = _query_facts(context, desired)
        observed = {name: _observe(name, spec, facts[name]) for name, spec in desired.items()}
        observed |= _check_names(context, desired, observed)
        lacking = [name for name, found in observed.items() if _lacks_rules(found, desired[name])]
        context.rucio.confirm_rules(lacking, {name: facts[name].rules for name in lacking})
        return observed

    def plan(self, change: Change[RucioDatasetSpec]) -> Iterable[RucioDatasetAction]:
        observed, spec, address = change.observed, change.desired, change.address
        if not isinstance(observed, ObservedDataset) or observed.has_no_scope:
            return
        exists = change.exists
        setup = observed.setup
        if setup.to_register and spec.register_from is not None:
            cost = Cost(setup.to_register)
            reason = "not complete" if exists else "not registered"
            yield RegisterDatasets(address=address, source=spec.register_from, new=not exists, reason=reason, cost=cost)
            exists = True
        elif not exists and spec.open:
            yield CreateDataset(address=address, reason="no such dataset")
            exists = True
        if setup.close:
            yield CloseDataset(address=address, reason="it is open")
        if not exists:
            return
        steps, unmanaged = diff_rules(spec.rules, observed.rules, observed.account, observed.now)
        for step in steps:
            if not (step.removes and spec.protect) and step.rule not in observed.refused_rules:
                yield _rule_action(change, step)
        # What a mistyped rule was to take the place of stays: its copies would expire.
        if change.prune and spec.rules_mode == "exact" and not spec.protect and not observed.refused_rules:
            for rule in unmanaged:
                reason = f"no table lists the rule {rule.rse_expression} × {rule.copies}"
                yield RemoveRule(address=address, rule_id=rule.id, reason=reason, removes=(rule.id,))

    def apply(self, context: Context, action: RucioDatasetAction) -> Made | None:
        did, rucio = action.address.name, context.rucio
        match action:
            case CreateDataset():
                rucio.create_dataset(did)
            case RegisterDatasets():
                return {"files": register_missing(context, action)}
            case CloseDataset():
                rucio.close(did)
            case AddRule():
                return {"rules": rucio.add_rule(did, action.rule.request())}
            case MoveRule():
                return {"rules": [rucio.move_rule(did, action.rule_id, action.rule.rse_expression, action.rule.copies)]}
            case UpdateRule():
                rucio.update_rule(did, action.rule_id, action.options)
            case RemoveRule():
                rucio.delete_rule(did, action.rule_id)
        return None

    def commands(self, action: RucioDatasetAction) -> Iterable[Command]:
        return list_commands(action)

    def describe(self, member: JsonObject) -> MemberText:
        if "rse_expression" in member:
            return MemberText(f"rule {member['rse_expression']} × {member['copies']}")
        return super().describe(member)


def _rule_action(change: Change[RucioDatasetSpec], step: RuleStep) -> AddRule | MoveRule | UpdateRule:
    address, rule, reason = change.address, step.rule, step.reason
    if step.verb == "replicate":
        return AddRule(address=address, rule=rule, reason=reason)
    if step.verb == "move":
        return MoveRule(address=address, rule=rule, rule_id=step.rule_id, reason=reason, removes=step.removes)
    return UpdateRule(address=address, rule=rule, rule_id=step.rule_id, options=dict(step.options), reason=reason)


def _check_names(
    context: Context, desired: Mapping[str, RucioDatasetSpec], observed: Mapping[str, Observed[RucioDatasetSpec]]
) -> dict[str, Observed[RucioDatasetSpec]]:
    """Return the datasets for which an action needs an RSE, an account or a scope that Rucio doesn't have, with what that is."""
    found = {name: dataset for name, dataset in observed.items() if isinstance(dataset, ObservedDataset)}
    new = [name for name, dataset in found.items() if dataset.spec is None and _is_creatable(desired[name], dataset)]
    added = {
        name: desired[name].rules if dataset.spec is None else _find_added_rules(desired[name], dataset)
        for name, dataset in found.items()
        if dataset.spec is not None or name in new
    }
    unknown = find_unknown_names(context, [rule for rules in added.values() for rule in rules], new)
    checked: dict[str, Observed[RucioDatasetSpec]] = {}
    for name, rules in added.items():
        numbered = [(number, rule) for number, rule in enumerate(desired[name].rules) if rule in rules]
        conditions = tuple(describe_unknown_names(unknown, name, numbered, new=name in new))
        if conditions:
            dataset = found[name]
            refused = dataset.refused_rules | {rule for rule in rules if unknown.explain_rule(rule)}
            no_scope = name in new and bool(unknown.explain_scope(name))
            checked[name] = replace(
                dataset, conditions=dataset.conditions + conditions, refused_rules=refused, has_no_scope=no_scope
            )
    return checked


def _is_creatable(spec: RucioDatasetSpec, observed: ObservedDataset) -> bool:
    return bool(spec.open or observed.setup.to_register)


def _find_added_rules(spec: RucioDatasetSpec, observed: ObservedDataset) -> tuple[Rule, ...]:
    steps = diff_rules(spec.rules, observed.rules, observed.account, observed.now).steps
    return tuple(step.rule for step in steps if step.verb in ("replicate", "move"))


def _lacks_rules(observed: Observed[RucioDatasetSpec], spec: RucioDatasetSpec) -> bool:
    return isinstance(observed, ObservedDataset) and observed.spec is not None and bool(_find_added_rules(spec, observed))


def _query_facts(context: Context, desired: Mapping[str, RucioDatasetSpec]) -> dict[str, DatasetFacts]:
    """Query everything about the datasets, in bulk."""
    from reconciler.systems.rucio.register import query_sources

    dids, rules = context.rucio.dids_and_rules(desired)
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    account = context.rucio.account if dids or any(spec.rules for spec in desired.values()) else ""
    datasets = {name: did for name, did in dids.items() if did.type == "DATASET"}
    sources = {name: build_source(spec.register_from) for name, spec in desired.items() if spec.register_from is not None}
    existing = {name for name in sources if name in datasets}
    new = [source for name, source in sources.items() if name not in existing]
    contents = query_sources(context.sources, counted=new, listed=[sources[name] for name in existing])
    # The number of files of an open dataset is not recorded.
    counted = {name for name, did in datasets.items() if did.length is None and desired[name].files is not None}
    files = context.rucio.files_by_dataset(counted | {name for name in existing if sources[name] in contents.paths})
    ours = {name: _find_kept_rules(desired[name], rules.get(name, ()), account) for name in datasets}
    copies = check_copies(context, datasets, ours, now)
    return {
        name: DatasetFacts(
            dids.get(name),
            tuple(rules.get(name, ())),
            account,
            now,
            files.get(name),
            contents.counts.get(sources[name]) if name in sources and name not in existing else None,
            contents.paths.get(sources[name]) if name in existing else None,
            contents.lacking.get(sources[name], ()) if name in sources else (),
            contents.fileless.get(sources[name], 0) if name in existing else 0,
            tuple(copies.get(name, ())),
        )
        for name in desired
    }


def _find_kept_rules(spec: RucioDatasetSpec, rules: Iterable[RuleFacts], account: str) -> list[RuleFacts]:
    return [found for _, found in pair_rules(spec.rules, rules, account)[0] if found is not None]


def _find_setup(name: str, spec: RucioDatasetSpec, facts: DatasetFacts) -> Setup:
    """Find what has to be registered, created or closed."""
    did = facts.did
    if spec.register_from is not None and (did is None or did.is_open):
        return find_registration(name, spec.register_from, facts)
    if did is None:
        text = "doesn't exist in Rucio; set `open = true` or add `register = {…}` to create it"
        return Setup() if spec.open else Setup(conditions=(Condition(DifferenceKind.BLOCKED, text),))
    keep_open = spec.register_from is not None and spec.register_from.keep_open
    if (spec.open or keep_open) and not did.is_open:
        text = "it is closed; only an administrator of the Rucio server can reopen it"
        return Setup(conditions=(Condition(DifferenceKind.BLOCKED, text),))
    return Setup(close=did.is_open and spec.open is False)


def _observe(name: str, spec: RucioDatasetSpec, facts: DatasetFacts) -> Observed[RucioDatasetSpec]:
    """Put together what was observed of one dataset."""
    did = facts.did
    if did is not None and did.type != "DATASET":
        text = f"{name} is a {did.type.lower()} in Rucio, not a dataset"
        return Observed(spec, conditions=(Condition(DifferenceKind.CONFLICT, text),), taken=True)
    setup = _find_setup(name, spec, facts)
    plan_facts = (setup, facts.rules, facts.account, facts.now)
    repeated = _find_repeated(spec.rules, facts.account)
    refused = frozenset(spec.rules[number] for number in repeated)
    described = [_describe_repeated(number, first, facts.account) for number, first in repeated.items()]
    if did is None:
        return ObservedDataset(None, (), (*setup.conditions, *described), *plan_facts, refused_rules=refused)
    steps, unmanaged = diff_rules(spec.rules, facts.rules, facts.account, facts.now)
    unmet = [step.rule for step in steps]
    kept = tuple(rule for rule in spec.rules if rule not in unmet)
    found = spec.model_copy(
        update={
            "open": spec.open if setup.unfinished or spec.open is None else did.is_open,
            "files": None if spec.files is None else facts.length,
            "rules": kept,
        }
    )
    pairs = pair_rules(spec.rules, facts.rules, facts.account)[0]
    conditions = (
        *setup.conditions,
        *described,
        *(_describe_protected(step) for step in steps if step.removes and spec.protect),
        *describe_registration(setup, facts),
        *rule_conditions(find_own_rules(spec.rules, facts.rules, facts.account), facts.now),
        *expiry_conditions(pairs, facts.now),
        *facts.copies,
    )
    members = [*list_members(did, facts)] if spec.register_from is not None else []
    if unmanaged and spec.rules_mode == "exact":
        unwanted = tuple({"id": r.id, "rse_expression": r.rse_expression, "copies": r.copies} for r in unmanaged)
        present = sum(rule is not None for _, rule in pairs)
        members.append(Members("rules", len(spec.rules), present, unwanted=unwanted))
    return ObservedDataset(found, tuple(members), conditions, *plan_facts, refused_rules=refused)


def _find_repeated(rules: Sequence[Rule], account: str) -> dict[int, int]:
    """Return the numbers of rules that are the same for Rucio as an earlier one, with the number of that one."""
    seen: dict[tuple[str, int, str], int] = {}
    numbered = [
        (n, seen.setdefault((normalize_expression(rule.rse_expression), rule.copies, rule.owner(account)), n))
        for n, rule in enumerate(rules)
    ]
    return {number: first for number, first in numbered if number != first}


def _describe_repeated(number: int, first: int, account: str) -> Condition:
    text = f"rules[{number}] is the same rule as rules[{first}], because {account} is the account that acts; remove one"
    return Condition(DifferenceKind.BLOCKED, text, field="rules")


def _describe_protected(step: RuleStep) -> Condition:
    text = f"the dataset is protected: its rule is not moved to {step.rule}; {step.reason}"
    return Condition(DifferenceKind.BLOCKED, text, field="rules")


KIND = RucioDatasetKind()
