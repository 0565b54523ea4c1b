"""Random repositories, states and manual changes: after each apply only differences that apply must not remove are left.

Unmanaged collections are never changed, and a second apply has nothing to do.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from pathlib import Path
from typing import Any

import pytest
from conftest import PostgresTemplate
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from reconciler.engine.executor import Executor
from reconciler.engine.graph import build_graph
from reconciler.engine.observe import observe
from reconciler.engine.outcome_counts import exit_code
from reconciler.engine.plan import plan
from reconciler.state.loader import load
from reconciler.systems.butler.repository import Repository
from reconciler.systems.context import Context

EXAMPLES = int(os.environ.get("RECONCILE_MODEL_EXAMPLES", "60"))
"""Number of examples on both databases; one in ten is on PostgreSQL, where an example takes three times as long."""
RUNS = [f"run{n}" for n in range(4)]
CHAINS = [f"chain{n}" for n in range(3)]
TAGS = [f"tag{n}" for n in range(2)]
PIXELS = list(range(131072, 131080))


class Quiet:
    """A listener that ignores all events."""

    def started(self, action: Any) -> None: ...
    def ended(self, *args: Any) -> None: ...
    def settled(self, outcome: Any) -> None: ...
    def waiting(self, *args: Any) -> None: ...


class Use(RuleBasedStateMachine):
    """A repository that other people and `reconcile` change in turns."""

    template: Path
    place: Path
    postgres: PostgresTemplate | None

    @initialize(data=st.data())
    def make(self, data: st.DataObject) -> None:
        self.folder = self.place / uuid.uuid4().hex[:8]
        self.folder.mkdir()
        self.database = self.clone()
        (self.folder / "cat").mkdir()
        for pixel in PIXELS:
            (self.folder / "cat" / f"{pixel}.fits").write_text("stars")
        self.repository = Repository(str(self.folder / "repo"))
        self.tables = {name: data.draw(st.lists(st.sampled_from(PIXELS), unique=True, max_size=6)) for name in RUNS[:2]}
        text = f'[reconcile]\nversion = 1\n[repository]\nuri = "{self.folder}/repo"\n'
        text += '[dataset_type.cat]\nstorage_class = "SimpleCatalog"\ndimensions = ["htm7"]\n'
        for name, pixels in self.tables.items():
            rows = "".join(f"{pixel}.fits,{pixel}\n" for pixel in pixels)
            (self.folder / f"{name}.csv").write_text("file,htm7\n" + rows)
            text += f'[file_ingest.{name}]\ndataset_type = "cat"\ntable = "{name}.csv"\nprefix = "{self.folder}/cat"\n'
        text += "".join(f'[collection.{name}]\ntype = "RUN"\n' for name in RUNS[2:])
        tags = data.draw(st.lists(st.sampled_from(TAGS), unique=True))
        for name in tags:
            chosen = data.draw(st.lists(st.sampled_from(PIXELS), min_size=1, unique=True))
            pixels_text = ", ".join(map(str, chosen))
            source = data.draw(st.sampled_from(RUNS[:2]))
            text += f'[tagged.{name}]\ndataset_type = "cat"\nfrom = ["{source}"]\nwhere = "htm7 IN ({pixels_text})"\n'
        below = RUNS + tags
        for name in CHAINS:
            if data.draw(st.booleans()):
                children = data.draw(st.lists(st.sampled_from(below), unique=True, max_size=4))
                mode = data.draw(st.sampled_from(["exact", "contains"]))
                text += f'[chain.{name}]\nchildren = {children}\nmode = "{mode}"\n'
                below = [*below, name]
        (self.folder / "s.toml").write_text(text)
        self.state = load(self.folder / "s.toml")
        self.graph = build_graph(self.state)
        self.butler.collections.register("unmanaged")
        self.butler.collections.register("unmanaged-chain", self.types.CHAINED)
        self.butler.collections.redefine_chain("unmanaged-chain", ["unmanaged"])

    def clone(self) -> str:
        """Make an empty repository, and return the name of its database."""
        if self.postgres is not None:
            return self.postgres.copy(self.folder / "repo")
        shutil.copytree(self.template, self.folder / "repo")
        return ""

    @property
    def butler(self) -> Any:
        return self.repository.open(writeable=True)

    @property
    def types(self) -> Any:
        from lsst.daf.butler import CollectionType

        return CollectionType

    def make_plan(self, prune: bool = False) -> Any:
        self.repository.forget()
        owners = {token: str(address) for token, address in self.graph.owners.items()}
        self.context = Context(self.repository, owners=owners)
        observation = observe(self.state, self.context, set(self.state.resources))
        assert not observation.unknown
        return plan(self.state, self.graph, observation, prune=prune)

    @rule(prune=st.booleans())
    def apply(self, prune: bool) -> None:
        found = self.make_plan(prune)
        run = Executor(found, self.context, Quiet())
        code = exit_code(run.run())
        assert code in (0, 2), run.outcomes
        again = self.make_plan(prune)
        assert not again.actions, again.actions
        left = {difference.kind for entry in again.entries for difference in entry.differences}
        assert left <= {"remove", "degraded"}, again.entries
        if prune:
            assert "remove" not in left
        assert (code == 0) == (not left)

    @rule(limit=st.integers(1, 6))
    def apply_and_stop_early(self, limit: int) -> None:
        """Stop an apply between two actions, as a signal does."""
        from reconciler.errors import Interrupted

        found = self.make_plan()
        asked = iter(range(10_000))
        run = Executor(found, self.context, Quiet(), stop=lambda: next(asked) > 3 * limit)
        with contextlib.suppress(Interrupted):
            run.run()

    @rule(data=st.data())
    def another_person_redefines_a_chain(self, data: st.DataObject) -> None:
        chains = [name for name in CHAINS if name in self.names()]
        if chains:
            name = data.draw(st.sampled_from(chains))
            others = [n for n in self.names() if not n.startswith(("chain", "unmanaged-chain"))]
            children = data.draw(st.lists(st.sampled_from(others), unique=True, max_size=5))
            self.butler.collections.redefine_chain(name, children)

    @rule(data=st.data())
    def another_person_removes_datasets(self, data: st.DataObject) -> None:
        refs = self.refs(data.draw(st.sampled_from(RUNS[:2])))
        if refs:
            some = data.draw(st.lists(st.sampled_from(refs), min_size=1, unique=True))
            self.butler.pruneDatasets(some, disassociate=True, unstore=True, purge=True)

    @rule(data=st.data())
    def another_person_tags_and_untags(self, data: st.DataObject) -> None:
        tags = [name for name in TAGS if name in self.names()]
        refs = self.refs(RUNS[0])
        if tags and refs:
            some = data.draw(st.lists(st.sampled_from(refs), min_size=1, unique=True))
            act = data.draw(st.sampled_from(["associate", "disassociate"]))
            from lsst.daf.butler.registry import ConflictingDefinitionError

            with contextlib.suppress(ConflictingDefinitionError):
                getattr(self.butler.registry, act)(data.draw(st.sampled_from(tags)), some)

    @rule(data=st.data())
    def another_person_removes_a_chain(self, data: st.DataObject) -> None:
        infos = self.butler.collections.query_info("*", include_parents=True)
        free = [info.name for info in infos if info.name in CHAINS and not info.parents]
        if free:
            self.butler.registry.removeCollection(data.draw(st.sampled_from(free)))

    def names(self) -> list[str]:
        self.butler.registry.refresh()
        return sorted(self.butler.collections.query("*"))

    def refs(self, run: str) -> list[Any]:
        names = {t.name for t in self.butler.registry.queryDatasetTypes("*")}
        if "cat" not in names or run not in self.names():
            return []
        return sorted(self.butler.query_datasets("cat", run, explain=False))

    @invariant()
    def unmanaged_collections_are_unchanged(self) -> None:
        if hasattr(self, "state"):
            assert tuple(self.butler.collections.get_info("unmanaged-chain").children) == ("unmanaged",)

    def teardown(self) -> None:
        if hasattr(self, "repository"):
            self.repository.close()
            shutil.rmtree(self.folder, ignore_errors=True)
            if self.postgres is not None:
                self.postgres.drop(self.database)


@pytest.mark.slow
class TestOnSqlite:
    def test_random_use_of_a_random_repository_always_ends_as_the_state_describes(self, template: Path, tmp_path: Path) -> None:
        Use.template, Use.place, Use.postgres = template, tmp_path, None
        use(EXAMPLES * 9 // 20)


class TestOnSqliteToo(TestOnSqlite):
    """The second half of the examples, for another worker."""


@pytest.mark.slow
class TestOnPostgresql:
    def test_random_use_of_a_random_repository_always_ends_as_the_state_describes(
        self, template: Path, postgres_template: PostgresTemplate, tmp_path: Path
    ) -> None:
        Use.template, Use.place, Use.postgres = template, tmp_path, postgres_template
        use(EXAMPLES - 2 * (EXAMPLES * 9 // 20))


def use(examples: int) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    chosen = settings(max_examples=examples, stateful_step_count=6, deadline=None, suppress_health_check=checks)
    run_state_machine_as_test(Use, settings=chosen)
