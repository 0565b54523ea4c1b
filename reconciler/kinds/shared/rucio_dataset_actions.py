"""What can be done about a Rucio dataset, and the command that an operator would type for each action."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from reconciler.engine.commands import Command
from reconciler.engine.model import Action
from reconciler.engine.spec import InputPath, RepositoryLocation
from reconciler.kinds.shared.python_calls import rucio_call
from reconciler.kinds.shared.rucio_rules import Rule


class Register(BaseModel):
    """Datasets of a Butler repository to register in a Rucio dataset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    repo: RepositoryLocation = Field(
        description="The source repository: its location, relative to this file, or its label in the Butler repository index.",
        examples=["/repo/main"],
    )
    dataset_types: tuple[str, ...] = Field(
        min_length=1, description="Dataset types; wildcards are allowed.", examples=[["flat", "bias"]]
    )
    collections: tuple[str, ...] = Field(
        min_length=1, description="Collections to search.", examples=[["LSSTComCam/calib/DM-48520"]]
    )
    config: InputPath = Field(
        description="Configuration file of rucio-register: RSE, its root and URL, and the scope.",
        examples=["main-calib-config.yaml"],
    )
    chunk_size: int = Field(30, ge=1, le=1000, description="Number of files in one request.", examples=[10])
    keep_open: bool = Field(
        False,
        description="Whether to leave the Rucio dataset open, and register what is new at the source each time. By default it is "
        "closed when each dataset type has matched; only an administrator of the Rucio server can reopen it.",
        examples=[True],
    )


class CreateDataset(Action):
    """Create an empty, open dataset."""

    is_single_call = True

    verb: Literal["create"] = "create"


class RegisterDatasets(Action):
    """Register datasets of a Butler repository in a Rucio dataset, which is created if necessary.

    Parameters
    ----------
    source : `Register`
        What is registered.
    new : `bool`
        Whether the Rucio dataset doesn't exist yet.
    """

    verb: Literal["register"] = "register"
    source: Register
    new: bool


class CloseDataset(Action):
    """Close a dataset."""

    is_single_call = True

    verb: Literal["close"] = "close"

    @property
    def risk(self) -> str:
        return "closes the dataset, which only an administrator of the Rucio server can reopen"


class RuleAction(Action):
    """An action on a rule that the table lists; `RemoveRule`, for a rule that it doesn't list, is not one."""

    is_single_call = True
    changes_field = "rules"

    rule: Rule

    @property
    def subject(self) -> str:
        return f"rule {self.rule}"


class AddRule(RuleAction):
    """Add a rule."""

    adds = "rule"

    verb: Literal["replicate"] = "replicate"


class MoveRule(RuleAction):
    """Replace an existing rule; Rucio deletes it when the new one is OK."""

    removes_by_key = True

    verb: Literal["move"] = "move"
    rule_id: str

    @property
    def risk(self) -> str:
        return f"moves a rule to {self.rule}: {self.reason}"


class UpdateRule(RuleAction):
    """Change the properties of an existing rule that Rucio can change.

    Parameters
    ----------
    rule : `Rule`
        The rule as the table has it.
    rule_id : `str`
        ID of the existing rule.
    options : `dict`
        New values by Rucio's names, as ``update_replication_rule`` takes them.
    """

    verb: Literal["update"] = "update"
    rule_id: str
    options: dict[str, str | int | bool | None]


class RemoveRule(Action):
    """Remove a rule that the table doesn't list."""

    is_single_call = True

    verb: Literal["remove rule"] = "remove rule"
    rule_id: str


DEFAULT_GROUPING = "DATASET"
"""The grouping of a rule for which a server is given none."""

RucioDatasetAction = CreateDataset | RegisterDatasets | CloseDataset | AddRule | MoveRule | UpdateRule | RemoveRule


def list_commands(action: RucioDatasetAction) -> Iterator[Command]:
    """Yield the command that an operator would type for an action."""
    did = action.address.name
    match action:
        case CreateDataset():
            yield Command("rucio", "did", "add", "--type", "dataset", did)
        case RegisterDatasets():
            yield register_command(did, action.source)
        case CloseDataset():
            yield close_command(did)
        case AddRule():
            yield _add_rule_command(did, action.rule)
        case MoveRule():  # `rucio rule move` keeps the number of copies that the old rule has
            copies = {"copies": action.rule.copies}
            yield rucio_call(f"move_replication_rule({action.rule_id!r}, {action.rule.rse_expression!r}, {copies!r})")
        case UpdateRule():
            yield _update_rule_command(action)
        case RemoveRule():
            yield Command("rucio", "rule", "remove", action.rule_id)


def register_command(did: str, register: Register) -> Command:
    """Return the command that registers datasets of a Butler repository in a Rucio dataset; it is run where the repository is."""
    types = [word for name in register.dataset_types for word in ("--dataset-type", name)]
    return Command(
        "rucio-register", "data-products", "--chunk-size", str(register.chunk_size),
        "--rucio-register-config", register.config, "--repo", register.repo, *types,
        "--collections", ",".join(register.collections), "--rucio-dataset", did.partition(":")[2],
    )  # fmt: skip


def close_command(did: str) -> Command:
    """Return the command that closes a Rucio dataset."""
    return Command("rucio", "did", "update", "--close", did)


def _add_rule_command(did: str, rule: Rule) -> Command:
    options = {key: value for key, value in rule.model_dump(exclude={"replaces"}).items() if value is not None}
    if rule.priority is not None:  # `rucio rule add` has no option for it
        scope, _, name = did.partition(":")
        return rucio_call(f"add_replication_rule({[{'scope': scope, 'name': name}]!r}, **{options!r})")
    shown = {key: value for key, value in options.items() if key not in ("rse_expression", "copies")}
    if shown["grouping"] == DEFAULT_GROUPING:
        del shown["grouping"]
    words = [word for key, value in shown.items() for word in (f"--{key}", str(value))]
    return Command("rucio", "rule", "add", "--rse-exp", rule.rse_expression, "--copies", str(rule.copies), *words, did)


def _update_rule_command(action: UpdateRule) -> Command:
    if any(value in (None, "") for value in action.options.values()):  # `rucio rule update` ignores or rejects these
        return rucio_call(f"update_replication_rule({action.rule_id!r}, {action.options!r})")
    words = [word for key, value in action.options.items() for word in (f"--{key}", str(value))]
    return Command("rucio", "rule", "update", action.rule_id, *words)
