"""The Butler repository itself: created once, if the state asks for that, and never changed afterwards.

Creation writes ``butler.yaml`` before the tables, so an interrupted creation leaves a ``butler.yaml`` without tables. That is
recognised and completed; it is safe because such a repository can't contain anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from reconciler.engine.commands import REPO, Command, Comment
from reconciler.engine.kind import Kind, KindTraits, Requirements
from reconciler.engine.model import Action, Change, Condition, DesiredState, DifferenceKind, Observed
from reconciler.engine.spec import InputPath, NotObserved, RepositoryLocation, Spec

if TYPE_CHECKING:
    from reconciler.systems.context import Context

DATABASE_URL = re.compile(r"(postgres(ql)?|sqlite|mysql|mariadb|oracle)(\+\w+)?:")
"""The beginning of a URL as SQLAlchemy takes it."""


class RepositorySpec(Spec):
    """The Butler repository that all other tables are about."""

    uri: RepositoryLocation = Field(
        description="Location of the repository, relative to this file, or its label in the Butler repository index.",
        examples=["${repo}"],
    )
    seed_config: Annotated[InputPath | None, NotObserved()] = Field(
        None,
        description="Butler seed configuration, used only to create the repository: datastore root and name, registry database "
        "and namespace.",
        examples=["ccms1/butler-seed_ccms1.yaml"],
    )
    create: bool = Field(
        False,
        description="Whether to create the repository if it doesn't exist, as seed_config also does. Without either, it is an "
        "error if there is no repository.",
        examples=[True],
    )
    override: Annotated[bool, NotObserved()] = Field(
        False,
        description="Use the datastore root and the registry database of the seed configuration, even where they would be "
        "derived from the location of the repository.",
        examples=[True],
    )

    @property
    def may_create(self) -> bool:
        """Whether the state asks to create the repository if it doesn't exist."""
        return self.create or self.seed_config is not None


class CreateRepository(Action):
    """Create the repository, or complete an interrupted creation."""

    verb: Literal["create"] = "create"
    seed_config: str | None
    override: bool
    resume: bool

    @property
    def risk(self) -> str:
        return "completes the interrupted creation of the repository" if self.resume else "creates a Butler repository"


@dataclass(frozen=True)
class HalfMadeRepository(Observed[RepositorySpec]):
    """A repository whose creation was interrupted."""


class RepositoryKind(Kind[RepositorySpec, CreateRepository]):
    """The kind of the ``repository`` table."""

    name = "repository"
    spec = RepositorySpec
    traits = KindTraits(summary="The Butler repository.", order=10, singleton=True, opens="butler", affects_content=False)

    def requirements(self, spec: RepositorySpec) -> Requirements:
        return Requirements(input_files=[spec.seed_config] if spec.seed_config else [])

    def validate(self, name: str, spec: RepositorySpec) -> Iterable[str]:
        if DATABASE_URL.match(spec.uri):
            yield (
                "uri: is the URL of a database; give the folder or the URL that contains butler.yaml, and the database as "
                "registry.db of seed_config"
            )

    def observe(self, context: Context, desired: Mapping[str, RepositorySpec]) -> Mapping[str, Observed[RepositorySpec]]:
        (spec,) = desired.values()
        status = context.butler.status
        if status == "ready":
            return {"": Observed(spec)}
        if status == "half-made":
            text = "butler.yaml exists, but the registry has no tables"
            return {"": HalfMadeRepository(None, conditions=(Condition(DifferenceKind.LATER, text),))}
        return {}

    def plan(self, change: Change[RepositorySpec]) -> Iterable[CreateRepository]:
        if not change.exists:
            resume = isinstance(change.observed, HalfMadeRepository)
            yield CreateRepository(
                address=change.address,
                seed_config=change.desired.seed_config,
                override=change.desired.override,
                resume=resume,
                reason="no registry tables" if resume else "no such repository",
            )

    def apply(self, context: Context, action: CreateRepository) -> None:
        from reconciler.systems.butler.write_definitions import create

        create(context.butler, action.seed_config, override=action.override, repair=action.resume)

    def commands(self, action: CreateRepository) -> Iterable[Command | Comment]:
        if action.resume:
            yield Comment("no butler command completes an interrupted creation; reconcile apply does")
            return
        seed = ["--seed-config", action.seed_config] if action.seed_config else []
        override = ["--override"] if action.override else []
        yield Command("butler", "create", *seed, *override, REPO)


def find_repository(state: DesiredState) -> RepositorySpec | None:
    """Return the [repository] table of a state; None if there is none."""
    return next((spec for spec in state.resources.values() if isinstance(spec, RepositorySpec)), None)


KIND = RepositoryKind()
