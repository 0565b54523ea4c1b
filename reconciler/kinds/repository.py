"""The repository itself: created once, with its seed configuration, and never changed after.

Creation writes ``butler.yaml`` before the tables, so an interrupted one leaves a yaml without a schema. That is told apart from a
repository, and completed, because nothing can be in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from reconciler.engine.model import Action, Condition, InputPath, Kind, Missing, Seen, Spec

if TYPE_CHECKING:
    from reconciler.systems.context import Live


class RepositorySpec(Spec):
    """The Butler repository that all other tables are about."""

    uri: str = Field(description="Where it is, or its label in the repository index.", examples=["${repo}"])
    seed_config: InputPath | None = Field(
        None, description="Seed configuration for its creation: datastore root and name, registry database and namespace."
    )
    override: bool = Field(False, description="Whether the seed's values hold where the location would decide.")


class RepositoryKind(Kind[RepositorySpec]):
    """The kind of ``repository`` tables."""

    name = "repository"
    spec = RepositorySpec
    single = True
    summary = "The Butler repository."
    holds = False
    rank = 10

    def provides(self, name: str, spec: RepositorySpec) -> Iterable[str]:
        yield "repository:"

    def inputs(self, spec: RepositorySpec) -> Iterable[str]:
        if spec.seed_config:
            yield spec.seed_config

    def observe(self, live: Live, desired: Mapping[str, RepositorySpec]) -> Mapping[str, Seen[RepositorySpec]]:
        (spec,) = desired.values()
        status = live.butler.status
        if status == "ready":
            return {"": Seen(spec)}
        if status == "half-made":
            return {
                "": Seen(
                    None,
                    conditions=(Condition("later", "butler.yaml is there and its tables are not"),),
                    facts={"half_made": True},
                )
            }
        return {}

    def plan(self, missing: Missing[RepositorySpec]) -> Iterable[Action]:
        if missing.seen.spec is None:
            half_made = bool(missing.seen.facts.get("half_made"))
            spec = missing.desired
            args = {"seed_config": spec.seed_config, "override": spec.override, "mend": half_made}
            yield Action(missing.id, "create", args, "its creation was interrupted" if half_made else "no such repository")

    def apply(self, live: Live, action: Action) -> None:
        from reconciler.systems.butler.write_definitions import create

        create(live.butler, action.args["seed_config"], override=action.args["override"], mend=action.args["mend"])

    def commands(self, action: Action) -> Iterable[Sequence[str]]:
        seed = ["--seed-config", action.args["seed_config"]] if action.args["seed_config"] else []
        yield ["butler", "create", *seed, *(["--override"] if action.args["override"] else []), "$REPO"]


KIND = RepositoryKind()
