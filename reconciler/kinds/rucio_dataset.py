"""Rucio datasets: that they exist, what was registered in them, whether they are closed, and their replication rules.

A dataset can be made here in one of two ways: empty and open, for files that others attach; or from a Butler collection, by the
library behind rucio-register, and then closed. The second needs the source repository; where that can't be opened the dataset is
blocked, with the commands to run at the source, and everything that does not need it goes on.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from reconciler.engine.model import Action, Condition, Cost, InputPath, Kind, Members, Missing, Seen, Spec
from reconciler.kinds.shared.rucio_rules import Rule, health, reconcile
from reconciler.state.braces import is_glob

if TYPE_CHECKING:
    from reconciler.systems.context import Live
    from reconciler.systems.rucio.facts import DidFacts


class Register(BaseModel):
    """Which datasets of a Butler repository a Rucio dataset holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    repo: str = Field(description="The source repository.", examples=["/repo/main"])
    dataset_types: tuple[str, ...] = Field(min_length=1, description="Their types, with wildcards.", examples=[["flat", "bias"]])
    collections: tuple[str, ...] = Field(min_length=1, description="Where they are.", examples=[["LSSTComCam/calib/DM-48520"]])
    config: InputPath = Field(description="Configuration of rucio-register: RSE, scope, its root and URL.")
    chunk_size: int = Field(30, ge=1, le=1000, description="Files in one request.")


class RucioDatasetSpec(Spec):
    """A Rucio dataset; the key is its DID."""

    open: bool | None = Field(
        None, description="Whether files may be added; left alone if left out. true also makes it if absent."
    )
    files: int | None = Field(None, ge=0, description="How many files it has to have.")
    rules: tuple[Rule, ...] = Field((), description="Its replication rules.")
    register_from: Register | None = Field(
        None, alias="register", description="Datasets of a Butler repository to register in it."
    )


class RucioDatasetKind(Kind[RucioDatasetSpec]):
    """The kind of ``rucio_dataset`` tables."""

    name = "rucio_dataset"
    spec = RucioDatasetSpec
    summary = "Rucio datasets with their rules."
    changes = "rucio"
    rank = 5
    answers = ("did",)

    def systems(self, spec: RucioDatasetSpec) -> frozenset[Literal["butler", "rucio"]]:
        return frozenset({"rucio"})

    def provides(self, name: str, spec: RucioDatasetSpec) -> Iterable[str]:
        yield f"did:{name}"

    def check(self, name: str, spec: RucioDatasetSpec) -> Iterable[str]:
        yield from check_did(name)
        if spec.open and spec.register_from:
            yield "open: a registered dataset is closed when it is complete"

    def exists(self, live: Live, tokens: Collection[str]) -> Collection[str]:
        plain = [token.partition(":")[2] for token in tokens if not is_glob(token)]
        found = {f"did:{did}" for did in live.rucio.dids(plain)}
        return found | {t for t in tokens if is_glob(t) and live.rucio.matching(t.partition(":")[2])}

    def observe(self, live: Live, desired: Mapping[str, RucioDatasetSpec]) -> Mapping[str, Seen[RucioDatasetSpec]]:
        from reconciler.systems.rucio.register import sources

        dids, rules = live.rucio.dids_and_rules(desired)
        now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        account = live.rucio.account if dids or any(spec.rules for spec in desired.values()) else ""
        unsettled = {
            name: spec.register_from
            for name, spec in desired.items()
            if spec.register_from is not None and (name not in dids or dids[name].is_open)
        }
        found = sources((r.repo, r.dataset_types, r.collections) for r in unsettled.values())
        seen = {}
        for name, spec in desired.items():
            asked = unsettled.get(name)
            source = found[asked.repo, asked.dataset_types, asked.collections] if asked is not None else None
            seen[name] = _see(name, spec, dids.get(name), rules.get(name, []), source, account, now)
        lacking = [name for name, found in seen.items() if name in dids and _lacks_rules(found)]
        live.rucio.confirm_rules(lacking, rules)
        return seen

    def plan(self, missing: Missing[RucioDatasetSpec]) -> Iterable[Action]:
        id, spec, seen = missing.id, missing.desired, missing.seen
        facts = seen.facts
        exists = seen.spec is not None
        if facts.get("register"):
            assert spec.register_from is not None
            args = {"register": spec.register_from.model_dump(mode="json"), "new": not exists}
            count = int(facts["source"])
            yield Action(id, "register", args, "not registered" if not exists else "not complete", Cost(count, count))
            exists = True
        elif not exists and spec.open:
            yield Action(id, "create", {}, "no such dataset")
            exists = True
        if facts.get("close"):
            yield Action(id, "close", {}, "it is open")
        if not exists:
            return
        for step in facts.get("steps", ()):
            yield Action(id, step["verb"], {key: step[key] for key in ("rule", "id", "options")}, step["reason"])
        if missing.prune and not spec.protect:
            for rule in facts.get("strangers", ()):
                text = f"no table names the rule {rule['rse_expression']} × {rule['copies']}"
                yield Action(id, "remove rule", {"id": rule["id"]}, text, destroys=1)

    def apply(self, live: Live, action: Action) -> Mapping[str, Any] | None:
        made: Mapping[str, Any] | None = _APPLY[action.verb](live, action)
        return made

    def commands(self, action: Action) -> Iterable[Sequence[str]]:
        did, args = action.id.name, action.args
        match action.verb:
            case "create":
                yield ["rucio", "did", "add", "--type", "dataset", did]
            case "register":
                yield from register_commands(did, args["register"])
            case "close":
                yield ["rucio", "did", "update", "--close", did]
            case "replicate":
                rule = args["rule"]
                options = [
                    word
                    for key in ("account", "lifetime", "activity", "comment")
                    if rule[key] is not None
                    for word in (f"--{key}", str(rule[key]))
                ]
                yield [
                    "rucio",
                    "rule",
                    "add",
                    "--rse-exp",
                    rule["rse_expression"],
                    "--copies",
                    str(rule["copies"]),
                    *options,
                    did,
                ]
            case "move":
                yield ["rucio", "rule", "move", args["id"], "--rse-exp", args["rule"]["rse_expression"]]
            case "update":
                options = [word for key, value in args["options"].items() for word in (f"--{key}", str(value))]
                yield ["rucio", "rule", "update", args["id"], *options]
            case "remove rule":
                yield ["rucio", "rule", "remove", args["id"]]


def check_did(name: str) -> Iterable[str]:
    """Name what is wrong with the name of a DID.

    Parameters
    ----------
    name : `str`
        ``scope:name``.

    Yields
    ------
    problem : `str`
        One phrase.
    """
    import re

    scope, colon, rest = name.partition(":")
    if not colon or not scope or not rest:
        yield "the key is a DID, scope:name"
    elif not re.fullmatch(r"[/A-Za-z0-9][/A-Za-z0-9.\-_]{0,249}", rest):
        yield f'"{rest}" is not a name that Rucio takes: letters, digits and /.-_, at most 250'
    elif rest.rpartition("/")[2] in ("rules", "files", "meta", "dids", "status", "parents"):
        yield f"a name that ends in /{rest.rpartition('/')[2]} collides with an address of Rucio's own interface"


def register_commands(did: str, register: Mapping[str, Any]) -> Iterable[list[str]]:
    """Give what to type to register a Butler collection.

    Parameters
    ----------
    did : `str`
        The Rucio dataset.
    register : mapping
        A `Register`, as JSON.

    Yields
    ------
    command : `list` [`str`]
        Words.
    """
    types = [word for name in register["dataset_types"] for word in ("--dataset-type", name)]
    yield [
        "rucio-register", "data-products", "--chunk-size", str(register["chunk_size"]),
        "--rucio-register-config", register["config"], "--repo", register["repo"], *types,
        "--collections", ",".join(register["collections"]), "--rucio-dataset", did.partition(":")[2],
    ]  # fmt: skip


def _lacks_rules(seen: Seen[RucioDatasetSpec]) -> bool:
    return any(step["verb"] in ("replicate", "move") for step in seen.facts.get("steps", ()))


def _see(
    name: str,
    spec: RucioDatasetSpec,
    there: DidFacts | None,
    rules: Sequence[Mapping[str, Any]],
    source: int | None,
    account: str,
    now: datetime.datetime,
) -> Seen[RucioDatasetSpec]:
    conditions: list[Condition] = []
    if there is not None and there.type != "DATASET":
        text = f"{name} is a {there.type.lower()} in Rucio, not a dataset"
        return Seen(spec, conditions=(Condition("conflict", text),))
    facts: dict[str, Any] = {}
    steps, strangers = reconcile(spec.rules, rules, account, now)
    facts["steps"] = [
        {"verb": s.verb, "rule": dict(s.rule), "id": s.id, "reason": s.reason, "options": dict(s.options)} for s in steps
    ]
    facts["strangers"] = [{"id": r["id"], "rse_expression": r["rse_expression"], "copies": r["copies"]} for r in strangers]
    unsettled = spec.register_from is not None and (there is None or there.is_open)
    if unsettled:
        assert spec.register_from is not None
        if source is not None:
            facts |= {"register": True, "source": source, "close": True}
        else:
            commands = [
                *register_commands(name, spec.register_from.model_dump(mode="json")),
                ["rucio", "did", "update", "--close", name],
            ]
            text = f"register at the source: {spec.register_from.repo} can't be opened here"
            conditions.append(Condition("blocked", text, commands=tuple(map(tuple, commands))))
    elif there is None and not spec.open:
        conditions.append(Condition("blocked", "not in Rucio, and nothing here says how to make it"))
    elif there is not None and spec.open is not None and there.is_open != spec.open:
        facts["close"] = there.is_open
        if spec.open:
            conditions.append(Condition("blocked", "it is closed; only an administrator of Rucio can open it again"))
    if there is None:
        return Seen(None, conditions=tuple(conditions), facts=facts)
    conditions += health((r for r in rules if not r.get("child_rule_id")), now)
    if any(r.get("child_rule_id") for r in rules):
        conditions.append(Condition("waiting", "a rule is being moved; its old copy goes when the new one is OK", field="rules"))
    by_verb = {step.rule["rse_expression"] + str(step.rule["copies"]): step for step in steps}
    kept = tuple(rule for rule in spec.rules if rule.rse_expression + str(rule.copies) not in by_verb)
    length = there.length if there.length is not None or spec.files is None else None
    found = spec.model_copy(
        update={
            "open": spec.open if unsettled or spec.open is None else there.is_open,
            "files": spec.files if spec.files is None else length,
            "rules": kept,
        }
    )
    members = []
    if strangers:
        members.append(Members("rules", len(spec.rules), len(kept), extra=tuple(facts["strangers"])))
    if facts.get("register"):
        members.append(Members("registration", 1, 0, ({"datasets": facts["source"]},)))
    return Seen(found, tuple(members), tuple(conditions), facts)


def _create(live: Live, action: Action) -> None:
    scope, _, name = action.id.name.partition(":")
    live.rucio.write(f"make dataset {action.id.name}", lambda client: client.add_dataset(scope, name))


def _register(live: Live, action: Action) -> Mapping[str, Any]:
    from reconciler.systems.rucio.register import register

    spec = action.args["register"]
    count = register(
        live.rucio,
        spec["repo"],
        spec["dataset_types"],
        spec["collections"],
        config=spec["config"],
        dataset=action.id.name,
        chunk_size=spec["chunk_size"],
        progress=lambda done, total: live.progress("files", done, total),
    )
    return {"files": count}


def _close(live: Live, action: Action) -> None:
    scope, _, name = action.id.name.partition(":")
    live.rucio.write(f"close {action.id.name}", lambda client: client.close(scope, name))


def _replicate(live: Live, action: Action) -> Mapping[str, Any]:
    scope, _, name = action.id.name.partition(":")
    rule = {key: value for key, value in action.args["rule"].items() if value is not None}
    ids = live.rucio.write(
        f"add rule {rule['rse_expression']} × {rule['copies']}",
        lambda client: client.add_replication_rule([{"scope": scope, "name": name}], **rule),
    )
    return {"rules": list(ids)}


def _move(live: Live, action: Action) -> Mapping[str, Any]:
    rule = action.args["rule"]
    id = live.rucio.write(
        f"move rule {action.args['id']}",
        lambda client: client.move_replication_rule(action.args["id"], rule["rse_expression"], {"copies": rule["copies"]}),
    )
    return {"rules": [id]}


def _update(live: Live, action: Action) -> None:
    live.rucio.write(
        f"update rule {action.args['id']}",
        lambda client: client.update_replication_rule(action.args["id"], dict(action.args["options"])),
    )


def _remove_rule(live: Live, action: Action) -> None:
    live.rucio.write(f"remove rule {action.args['id']}", lambda client: client.delete_replication_rule(action.args["id"]))


_APPLY: dict[str, Any] = {
    "create": _create,
    "register": _register,
    "close": _close,
    "replicate": _replicate,
    "move": _move,
    "update": _update,
    "remove rule": _remove_rule,
}

KIND = RucioDatasetKind()
