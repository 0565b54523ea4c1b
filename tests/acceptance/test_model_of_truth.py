"""Random swaps of members, files, records, rules and inputs: a diff is empty only if a listing of everything agrees.

The listing is independent of the product. Days pass between two steps, so that proofs of earlier listings are used.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import shutil
import uuid
from pathlib import Path
from typing import Any

import astropy.time
import listing
import pytest
import yaml
from conftest import Bench, PostgresTemplate
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from rucio.common.exception import DuplicateRule

from reconciler.kinds.shared import proven_datasets
from reconciler.systems import policy

EXAMPLES = int(os.environ.get("RECONCILE_MODEL_EXAMPLES", "60")) // 4
PIXELS = list(range(131072, 131082))
IMPORTED = list(range(131090, 131096))
FORMATTER = "lsst.daf.butler.formatters.json.JsonFormatter"
RSE, OTHER_RSE = "IN2P3_RAW_DISK", "SLAC_BUTLER_DISK"


class Clock:
    """The time of the product and of the Butlers of this process."""

    def __init__(self) -> None:
        self.ahead = datetime.timedelta()

    def utc_now(self) -> datetime.datetime:
        return datetime.datetime.now(datetime.UTC) + self.ahead

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = astropy.time.Time.now.__func__  # type: ignore[attr-defined]
        later = classmethod(lambda cls: real(cls) + astropy.time.TimeDelta(self.ahead))
        monkeypatch.setattr(astropy.time.Time, "now", later)
        monkeypatch.setattr(proven_datasets, "utc_now", self.utc_now)


class Swaps(RuleBasedStateMachine):
    """A repository and a Rucio dataset that are in sync at first, and that people swap parts of."""

    place: Path
    template: Path
    export: Path
    postgres: PostgresTemplate | None = None
    client: Any = None
    scope: str = ""
    clock: Clock
    environment: dict[str, str]

    @initialize(
        shards=st.sets(st.sampled_from(PIXELS), min_size=1),
        tagged=st.sets(st.sampled_from(PIXELS), min_size=1),
        imported=st.sets(st.sampled_from(IMPORTED), min_size=1),
    )
    def bring_in_sync(self, shards: set[int], tagged: set[int], imported: set[int]) -> None:
        self.folder = self.place / uuid.uuid4().hex[:8]
        self.folder.mkdir()
        self.database = ""
        if self.postgres is not None:
            self.database = self.postgres.copy(self.folder / "repo")
        else:
            shutil.copytree(self.template, self.folder / "repo")
        for name in ("cat", "other"):
            (self.folder / name).mkdir()
            for pixel in PIXELS:
                (self.folder / name / f"{pixel}.json").write_text("{}")
        self.bench = Bench(self.folder, self.folder / "repo", {**self.environment, "XDG_STATE_HOME": str(self.folder / "xdg")})
        self.shards = {pixel: self.folder / "cat" / f"{pixel}.json" for pixel in sorted(shards)}
        self.tagged = tagged
        document = yaml.safe_load(self.export.read_text())
        self.ids = {record["data_id"][0]["htm7"]: str(record["dataset_id"][0]) for record in records_of(document)}
        self.imported = set(imported)
        self.rules = {(RSE, 1)}
        self.records_changed = False
        self.files: set[str] = set()
        if self.client is not None:
            self.make_rucio_dataset()
        self.write_inputs()
        self.bench.run("apply", self.state, "--yes")
        assert self.in_sync_by_listing()

    def make_rucio_dataset(self) -> None:
        self.dataset = f"Dataset/{self.folder.name}"
        self.client.add_dataset(self.scope, self.dataset)
        names = [f"{self.folder.name}_{number}" for number in range(6)]
        replicas = [{"scope": self.scope, "name": name, "bytes": 2, "adler32": "00000001"} for name in names]
        for rse in (RSE, OTHER_RSE):
            self.client.add_replicas(rse, replicas)
        self.spare = set(names[4:])
        self.files = set(names[:4])
        self.attach(self.files)

    def attach(self, names: set[str]) -> None:
        self.client.attach_dids(self.scope, self.dataset, [{"scope": self.scope, "name": name} for name in sorted(names)])

    def write_inputs(self) -> None:
        """Write the state and its inputs as the model wants them."""
        rows = "".join(f"{path.parent.name}/{path.name},{pixel}\n" for pixel, path in sorted(self.shards.items()))
        (self.folder / "t.csv").write_text("file,htm7\n" + rows)
        document = yaml.safe_load(self.export.read_text())
        for block in document["data"]:
            if block["type"] == "dataset":
                block["records"] = [
                    record | {"dataset_id": [self.ids[record["data_id"][0]["htm7"]]]}
                    for record in block["records"]
                    if record["data_id"][0]["htm7"] in self.imported
                ]
        (self.folder / "export.yaml").write_text(yaml.safe_dump(document))
        pixels = ", ".join(map(str, sorted(self.tagged)))
        text = f"""\
[dataset_type.cat]
storage_class = "StructuredDataDict"
dimensions = ["htm7"]
[file_ingest.shards]
dataset_type = "cat"
table = "t.csv"
prefix = "{self.folder}"
formatter = "{FORMATTER}"
[import.more]
export_file = "export.yaml"
root = "{self.export.parent}/files"
[tagged.chosen]
dataset_type = "cat"
from = ["shards"]
where = "htm7 IN ({pixels})"
[chain.all]
children = ["chosen", "shards", "imported"]
"""
        if self.client is not None:
            rules = ", ".join(f'{{ rse_expression = "{rse}", copies = {copies} }}' for rse, copies in sorted(self.rules))
            text += f'[rucio_dataset."{self.scope}:{self.dataset}"]\nfiles = {len(self.files)}\nrules = [{rules}]\n'
        self.state = self.bench.state(text, rucio=self.client is not None)

    @property
    def butler(self) -> Any:
        return self.bench.butler

    def refs(self, run: str) -> list[Any]:
        return sorted(self.butler.query_datasets("cat", run, find_first=False, explain=False))

    def in_sync_by_listing(self) -> bool:
        butler = self.butler
        shards, tagged = (listing.list_datasets(butler, "cat", name) for name in ("shards", "chosen"))
        agreed = (
            listing.has_files(shards, self.shards)
            and tagged == {pixel: shards[pixel] for pixel in self.tagged & set(shards)}
            and listing.has_ids(listing.list_datasets(butler, "cat", "imported"), {n: self.ids[n] for n in self.imported})
            and listing.list_children(butler, "all") == ("chosen", "shards", "imported")
        )
        if self.client is None or not agreed:
            return agreed
        files = listing.list_files(self.client, self.scope, self.dataset)
        return len(files) == len(self.files) and listing.list_rules(self.client, self.scope, self.dataset) >= self.rules

    # What people do

    @rule(days=st.sampled_from([0.1, 1.5, 3, 30]))
    def time_passes(self, days: float) -> None:
        self.clock.ahead += datetime.timedelta(days=days)

    @rule()
    def somebody_applies(self) -> None:
        self.bench.run("apply", self.state, "--yes")

    @rule()
    def somebody_looks(self) -> None:
        self.bench.run("diff", self.state)

    @rule(data=st.data())
    def somebody_replaces_a_shard_by_another_pixel(self, data: st.DataObject) -> None:
        refs = self.refs("shards")
        free = sorted(set(PIXELS) - {ref.dataId["htm7"] for ref in refs})
        if refs and free:
            self.remove(data.draw(st.sampled_from(refs)))
            self.ingest("shards", data.draw(st.sampled_from(free)))

    @rule(data=st.data())
    def somebody_removes_a_dataset(self, data: st.DataObject) -> None:
        refs = self.refs(data.draw(st.sampled_from(["shards", "imported"])))
        if refs:
            self.remove(data.draw(st.sampled_from(refs)))

    @rule(data=st.data())
    def somebody_replaces_the_uuid_of_an_imported_dataset(self, data: st.DataObject) -> None:
        refs = self.refs("imported")
        if refs:
            ref = data.draw(st.sampled_from(refs))
            self.remove(ref)
            self.ingest("imported", ref.dataId["htm7"])

    @rule(data=st.data())
    def somebody_swaps_tags(self, data: st.DataObject) -> None:
        tagged, every = self.refs("chosen"), self.refs("shards")
        free = [ref for ref in every if ref not in tagged]
        if tagged:
            self.butler.registry.disassociate("chosen", [data.draw(st.sampled_from(tagged))])
        if free:
            self.butler.registry.associate("chosen", [data.draw(st.sampled_from(free))])

    @rule(data=st.data(), again=st.booleans())
    def somebody_loses_or_redirects_a_record(self, data: st.DataObject, again: bool) -> None:
        from lsst.daf.butler import FileDataset

        refs = self.refs("shards")
        if refs:
            ref, butler = data.draw(st.sampled_from(refs)), self.butler
            self.records_changed = True
            butler._datastore.forget([ref])
            if again:
                path = self.folder / "other" / f"{data.draw(st.sampled_from(PIXELS))}.json"
                butler._datastore.ingest(FileDataset(path=str(path), refs=[ref]), transfer="direct")

    @rule(data=st.data())
    def somebody_reverses_the_chain(self, data: st.DataObject) -> None:
        self.butler.collections.redefine_chain("all", data.draw(st.permutations(["chosen", "shards", "imported"])))

    @rule(data=st.data())
    def somebody_edits_the_table(self, data: st.DataObject) -> None:
        pixel = data.draw(st.sampled_from(sorted(self.shards)))
        other = data.draw(st.sampled_from(PIXELS))
        if other not in self.shards:
            del self.shards[pixel]
            self.shards[other] = self.folder / "cat" / f"{other}.json"
        self.write_inputs()

    @rule(data=st.data())
    def somebody_edits_the_export_file(self, data: st.DataObject) -> None:
        pixel = data.draw(st.sampled_from(sorted(self.imported)))
        other = data.draw(st.sampled_from(IMPORTED))
        self.imported = self.imported - {pixel} | {other}
        self.write_inputs()

    @rule(data=st.data())
    def somebody_edits_the_tags_of_the_state(self, data: st.DataObject) -> None:
        self.tagged = self.tagged - {data.draw(st.sampled_from(sorted(self.tagged)))} | {data.draw(st.sampled_from(PIXELS))}
        self.write_inputs()

    @precondition(lambda self: self.client is not None)
    @rule(data=st.data())
    def somebody_attaches_or_detaches_a_file(self, data: st.DataObject) -> None:
        present = listing.list_files(self.client, self.scope, self.dataset)
        free = sorted((self.files | self.spare) - present)
        if free and data.draw(st.booleans()):
            self.attach({data.draw(st.sampled_from(free))})
        elif len(present) > 1:
            name = data.draw(st.sampled_from(sorted(present)))
            self.client.detach_dids(self.scope, self.dataset, [{"scope": self.scope, "name": name}])

    @precondition(lambda self: self.client is not None)
    @rule(data=st.data())
    def somebody_swaps_rules(self, data: st.DataObject) -> None:
        rules = [rule for rule in self.client.list_did_rules(self.scope, self.dataset) if rule["expires_at"] is None]
        if rules:
            self.client.delete_replication_rule(data.draw(st.sampled_from(sorted(rules, key=lambda rule: rule["id"])))["id"])
        elif OTHER_RSE not in {expression for expression, _ in listing.list_rules(self.client, self.scope, self.dataset)}:
            did = [{"scope": self.scope, "name": self.dataset}]
            with contextlib.suppress(DuplicateRule):  # one that was deleted stays listed for an hour
                self.client.add_replication_rule(did, 1, OTHER_RSE)

    def remove(self, ref: Any) -> None:
        self.butler.pruneDatasets([ref], disassociate=True, unstore=True, purge=True)
        (self.folder / "cat" / f"{ref.dataId['htm7']}.json").write_text("{}")

    def ingest(self, run: str, pixel: int) -> None:
        from lsst.daf.butler import DatasetRef, FileDataset

        butler = self.butler
        definition = butler.get_dataset_type("cat")
        path = self.folder / "cat" / f"{pixel}.json"
        path.write_text("{}")
        ref = DatasetRef(definition, butler.registry.expandDataId(htm7=pixel), run=run)
        butler.ingest(FileDataset(path=str(path), refs=[ref], formatter=FORMATTER), transfer="direct")

    @invariant()
    def a_diff_is_empty_only_if_a_listing_agrees(self) -> None:
        if hasattr(self, "state"):
            # Of more members than are always listed, only --deep compares the datastore's records.
            result = self.bench.run("diff", self.state, *(["--deep"] if self.records_changed else []))
            assert result.exit_code in (0, 1, 2), result.output
            if result.exit_code == 0:
                assert self.in_sync_by_listing(), result.output

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder, ignore_errors=True)
            if self.database and self.postgres is not None:
                self.postgres.drop(self.database)


def records_of(document: Any) -> list[Any]:
    return [record for block in document["data"] if block["type"] == "dataset" for record in block["records"]]


@pytest.fixture(scope="session")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export file of some datasets of a repository like the one under test."""
    from lsst.daf.butler import Butler, DatasetRef, DatasetType, FileDataset

    root = tmp_path_factory.mktemp("export")
    (root / "files").mkdir()
    Butler.makeRepo(str(root / "repo"))
    butler = Butler.from_config(str(root / "repo"), writeable=True)
    cat = DatasetType("cat", ["htm7"], "StructuredDataDict", universe=butler.dimensions)
    butler.registry.registerDatasetType(cat)
    butler.collections.register("imported")
    refs = []
    for pixel in IMPORTED:
        path = root / "files" / f"{pixel}.json"
        path.write_text("{}")
        refs.append(DatasetRef(cat, butler.registry.expandDataId(htm7=pixel), run="imported"))
        butler.ingest(FileDataset(path=str(path), refs=[refs[-1]], formatter=FORMATTER), transfer="direct")

    def relative(dataset: Any) -> Any:
        dataset.path = Path(str(dataset.path).removeprefix("file://")).name
        return dataset

    with butler.export(filename=str(root / "export.yaml"), transfer=None) as written:
        written.saveDatasets(refs, rewrite=relative)
    return root / "export.yaml"


@pytest.fixture
def swaps(tmp_path: Path, template: Path, export: Path, monkeypatch: pytest.MonkeyPatch) -> type[Swaps]:
    """The machine, with proofs for any number of members, and a clock that it moves."""
    clock = Clock()
    clock.install(monkeypatch)
    monkeypatch.setattr(policy, "LISTED", 2)
    fields = {"place": tmp_path, "template": template, "export": export, "clock": clock, "environment": {}}
    return type("TheSwaps", (Swaps,), fields)


def use(machine: type[Swaps], examples: int) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    chosen = settings(max_examples=max(examples, 1), stateful_step_count=8, deadline=None, suppress_health_check=checks)
    run_state_machine_as_test(machine, settings=chosen)


@pytest.mark.slow
class TestOnSqlite:
    def test_after_random_swaps_a_diff_is_empty_only_if_a_listing_of_the_butler_agrees(self, swaps: type[Swaps]) -> None:
        use(swaps, EXAMPLES)


@pytest.mark.slow
class TestOnPostgresqlAndRucio:
    def test_after_random_swaps_a_diff_is_empty_only_if_a_listing_of_butler_and_rucio_agrees(
        self, swaps: type[Swaps], postgres_template: PostgresTemplate, client: Any, fresh_scope: str, world: Any
    ) -> None:
        swaps.postgres, swaps.client, swaps.scope = postgres_template, client, fresh_scope
        swaps.environment = world.environment()
        use(swaps, EXAMPLES // 3)
