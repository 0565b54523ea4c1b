"""Whatever is broken in Rucio behind a state that was in sync, the next diff reports it, with the resource and the member."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import Bench

from reconciler.kinds.raw.files import _find_open
from reconciler.playground.world import SLAC, World

AddFiles = Callable[..., list[str]]
HEAD = '[reconcile]\nversion = 1\n[rucio]\nrse = "IN2P3_RAW_DISK"\n'
DAY = 86400


@dataclass
class Scene:
    """A scope of its own on the real Rucio server, and a source repository whose files are at SLAC."""

    bench: Bench
    client: Any
    world: World
    scope: str
    add_files: AddFiles
    template: Path

    @property
    def path(self) -> Path:
        return self.bench.folder / "rucio.toml"

    def write(self, tables: str) -> None:
        self.path.write_text(HEAD + tables.replace("SCOPE", self.scope).replace("FOLDER", str(self.bench.folder)))

    def key(self, name: str) -> list[dict[str, str]]:
        return [{"scope": self.scope, "name": name}]

    def execute(self, statement: str) -> None:
        """Change Rucio's own tables, to move its clock; %s is the scope."""
        import psycopg

        with psycopg.connect(f"host={self.world.read_record()['postgres']} user=postgres dbname=rucio") as connection:
            assert connection.execute(statement, [self.scope]).rowcount > 0

    def age(self, hours: int) -> None:
        """Make everything in the scope older."""
        older = ", ".join(f"{column} = {column} - interval '{hours} hours'" for column in ("created_at", "updated_at"))
        self.execute(f"update dev.dids set {older} where scope = %s")
        self.execute(f"update dev.rules set {older} where scope = %s")

    def rule_id(self) -> str:
        (rule,) = self.client.list_did_rules(self.scope, "d")
        return str(rule["id"])

    def attach(self, *names: str) -> None:
        """Register new files at SLAC, and attach them to the dataset; no daemon runs that would evaluate its rules."""
        files = [{"scope": self.scope, "name": name, "bytes": 7, "adler32": "00000001"} for name in names]
        self.client.add_replicas(SLAC, files)
        self.client.add_files_to_dataset(self.scope, "d", files)

    def make_source(self) -> None:
        """Make the source repository with two datasets, and the configuration to register them."""
        root = self.world.storage(SLAC)
        shutil.copytree(self.template, self.bench.folder / "source")
        self.add_to_source(131072, 131073)
        (self.bench.folder / "register.yaml").write_text(
            f"rucio_rse: {SLAC}\nscope: {self.scope}\nrse_root: {root}\ndtn_url: file://localhost{root}\n"
        )

    def add_to_source(self, *pixels: int) -> None:
        from lsst.daf.butler import Butler, DatasetRef, DatasetType, FileDataset

        folder = self.world.storage(SLAC) / self.scope / "cat"
        folder.mkdir(parents=True, exist_ok=True)
        butler = Butler.from_config(str(self.bench.folder / "source"), writeable=True)
        cat = DatasetType("cat", ["htm7"], "SimpleCatalog", universe=butler.dimensions)
        butler.registry.registerDatasetType(cat)
        butler.collections.register("run")
        for pixel in pixels:
            (folder / f"{pixel}.fits").write_text("stars")
            ref = DatasetRef(cat, butler.registry.expandDataId(htm7=pixel), run="run")
            butler.ingest(FileDataset(path=str(folder / f"{pixel}.fits"), refs=[ref]), transfer="direct")

    def reopen_and_attach(self, name: str) -> None:
        """Do what only an administrator can: add a file to a closed dataset."""
        self.client.set_status(self.scope, "d", open=True)
        self.attach(name)
        self.client.close(self.scope, "d")


OPEN = '[rucio_dataset."SCOPE:d"]\nopen = true\nrules = [{ rse_expression = "SLAC_BUTLER_DISK"MORE }]\n'
LASTING = OPEN.replace("MORE", "")
EXPIRING = OPEN.replace("MORE", f", lifetime = {40 * DAY}")
BRIEF = OPEN.replace("MORE", f", lifetime = {4 * DAY}")
REGISTERED = (
    '[rucio_dataset."SCOPE:d"]\nregister = { repo = "FOLDER/source", dataset_types = ["cat"], collections = ["run"], '
    'config = "FOLDER/register.yaml" }\n'
)
CLOSED = '[rucio_dataset."SCOPE:d"]\nfiles = 3\nrules = [{ rse_expression = "SLAC_BUTLER_DISK" }]\n'


def declare_bad(scene: Scene) -> None:
    scene.client.declare_bad_file_replicas([{"scope": scene.scope, "name": "d_1.fits", "rse": SLAC}], "checksum")


def attach_long_ago(scene: Scene) -> None:
    scene.attach("late.fits")
    scene.age(hours=2)


def detach(scene: Scene, name: str) -> None:
    scene.client.detach_dids(scene.scope, "d", scene.key(name))


@dataclass(frozen=True)
class Case:
    """One thing that can break.

    Parameters
    ----------
    name : `str`
        What breaks.
    tables : `str`
        The state, which is in sync before.
    prepare : callable
        Makes what exists before the state is applied.
    break_it : callable
        Breaks it.
    member : `str`
        What the report names.
    code : `int`
        Exit code of a diff, with and without --deep.
    address : `str`
        The resource that the report names.
    """

    name: str
    tables: str
    prepare: Callable[[Scene], object]
    break_it: Callable[[Scene], object]
    member: str
    code: int = 2
    address: str = 'rucio_dataset."SCOPE:d"'


def with_files(scene: Scene) -> None:
    scene.add_files(scene.scope, "d", 3)


def with_closed_files(scene: Scene) -> None:
    scene.add_files(scene.scope, "d", 3, close=True)


CASES = [
    Case(
        "a file was attached, and its rule was not evaluated yet",
        LASTING,
        with_files,
        lambda scene: scene.attach("late.fits"),
        "waiting for Rucio to evaluate added files: rule SLAC_BUTLER_DISK × 1 has 3 of 4 file locks\n      late.fits\n",
    ),
    Case(
        "a file was attached two hours ago, and its rule was never evaluated",
        LASTING,
        with_files,
        attach_long_ago,
        "rule SLAC_BUTLER_DISK × 1 has 3 of 4 file locks, and the dataset has not changed for 2 h; does Rucio's judge-evaluator "
        "run?\n      late.fits\n",
    ),
    Case(
        "a replica was declared bad",
        CLOSED,
        with_closed_files,
        declare_bad,
        "replicas: 1 bad replica; Rucio replaces them if it has other copies\n      file=d_1.fits  rse=SLAC_BUTLER_DISK\n",
    ),
    Case(
        "a rule has less than seven days left",
        EXPIRING,
        with_files,
        lambda scene: scene.execute(
            "update dev.rules set created_at = created_at - interval '34 days', expires_at = expires_at - interval '34 days' "
            "where scope = %s"
        ),
        "expires in 6 d: rule SLAC_BUTLER_DISK × 1; to keep it, raise or remove its lifetime in the state",
    ),
    Case(
        "a rule has less than a quarter of its lifetime left",
        BRIEF,
        with_files,
        lambda scene: scene.execute(
            "update dev.rules set created_at = created_at - interval '75 hours', expires_at = expires_at - interval '75 hours' "
            "where scope = %s"
        ),
        "expires in 21 h: rule SLAC_BUTLER_DISK × 1",
    ),
    Case(
        "a rule that should stay was given a lifetime",
        LASTING,
        with_files,
        lambda scene: scene.client.update_replication_rule(scene.rule_id(), {"lifetime": 90 * DAY}),
        "update rule SLAC_BUTLER_DISK × 1: it expires",
    ),
    Case(
        "a closed dataset lost a file",
        CLOSED,
        with_closed_files,
        lambda scene: detach(scene, "d_1.fits"),
        "files   2 → 3",
    ),
    Case(
        "an open dataset lost a file",
        CLOSED.replace("files = 3", "open = true\nfiles = 3"),
        with_files,
        lambda scene: detach(scene, "d_1.fits"),
        "files   2 → 3",
    ),
    Case(
        "a registered dataset lost a file",
        REGISTERED,
        Scene.make_source,
        lambda scene: detach(scene, "cat/131073.fits"),
        "cat/131073.fits\n",
    ),
    Case(
        "a registered dataset gained a file",
        REGISTERED,
        Scene.make_source,
        lambda scene: scene.reopen_and_attach("cat/stranger.fits"),
        "files: 1 of its 3 files are not in the source; reconcile never removes them\n      cat/stranger.fits\n",
    ),
    Case(
        "a file of a registered dataset was exchanged for another",
        REGISTERED,
        Scene.make_source,
        lambda scene: (detach(scene, "cat/131072.fits"), scene.reopen_and_attach("cat/stranger.fits")),
        "cat/131072.fits\n",
    ),
    Case(
        "a product was added at the source after registration",
        REGISTERED,
        Scene.make_source,
        lambda scene: scene.add_to_source(131074),
        "files: 1 of 3 files of the source are not in it, and it is closed",
    ),
]


@pytest.fixture
def scene(rucio_bench: Bench, client: Any, world: World, fresh_scope: str, add_files: AddFiles, template: Path) -> Scene:
    return Scene(rucio_bench, client, world, fresh_scope, add_files, template)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_breaks_in_rucio_is_reported_with_its_resource_and_member(scene: Scene, case: Case) -> None:
    case.prepare(scene)
    scene.write(case.tables)
    scene.bench.apply_and_check(scene.path)
    case.break_it(scene)
    for words in ((), ("--deep",)):
        output = scene.bench.diff(scene.path, case.code, *words)
        assert case.address.replace("SCOPE", scene.scope) in output
        assert case.member in output


def test_apply_removes_the_lifetime_of_a_rule_only_if_that_in_the_state_has_none(scene: Scene) -> None:
    with_files(scene)
    scene.write(EXPIRING)
    scene.bench.apply_and_check(scene.path)
    older = "created_at = created_at - interval '39 days', expires_at = expires_at - interval '39 days'"
    scene.execute(f"update dev.rules set {older} where scope = %s")
    assert "changed 0" in scene.bench.apply(scene.path, 2)
    assert scene.client.get_replication_rule(scene.rule_id())["expires_at"] is not None
    scene.write(LASTING)
    scene.bench.apply_and_check(scene.path)
    assert scene.client.get_replication_rule(scene.rule_id())["expires_at"] is None


def test_a_reopened_dataset_is_completed_and_closed_by_apply(scene: Scene) -> None:
    scene.make_source()
    scene.write(REGISTERED)
    scene.bench.apply_and_check(scene.path)
    scene.add_to_source(131074)
    assert "changed 0" in scene.bench.apply(scene.path, 2), "nothing can be added to a closed dataset"
    scene.client.set_status(scene.scope, "d", open=True)
    scene.bench.apply_and_check(scene.path)
    assert len(list(scene.client.list_files(scene.scope, "d"))) == 3


def test_a_registered_dataset_whose_source_cannot_be_opened_is_reported_as_compared_by_count(scene: Scene) -> None:
    scene.make_source()
    scene.write(REGISTERED)
    scene.bench.apply_and_check(scene.path)
    assert "2 files by members" in scene.bench.diff(scene.path, 0, "-v")
    (scene.bench.folder / "source").rename(scene.bench.folder / "elsewhere")
    assert "2 files by count" in scene.bench.diff(scene.path, 0, "-v")


def test_a_bad_replica_of_a_file_in_another_dataset_or_at_another_rse_is_not_reported(scene: Scene) -> None:
    with_closed_files(scene)
    scene.write(CLOSED)
    scene.bench.apply_and_check(scene.path)
    scene.add_files(scene.scope, "other", 1)
    scene.client.declare_bad_file_replicas([{"scope": scene.scope, "name": "other_0.fits", "rse": SLAC}], "checksum")
    file = {"scope": scene.scope, "name": "d_0.fits", "bytes": 7, "adler32": "00000001"}
    scene.client.add_replicas("IN2P3_RAW_DISK", [file])
    scene.client.declare_bad_file_replicas([{"scope": scene.scope, "name": "d_0.fits", "rse": "IN2P3_RAW_DISK"}], "checksum")
    scene.bench.diff(scene.path, 0)


def test_many_bad_replicas_are_found_by_listing_the_files_of_the_datasets(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.kinds.shared.copy_check.MOST_PARENTS_QUERIED", 0)
    with_closed_files(scene)
    scene.write(CLOSED)
    scene.bench.apply_and_check(scene.path)
    declare_bad(scene)
    assert "file=d_1.fits" in scene.bench.diff(scene.path, 2)


RAW = 'raw."LSSTComCam/raw/all"'


@dataclass
class Raws:
    """Raws of two nights that Rucio has delivered and that are ingested."""

    bench: Bench
    client: Any
    scope: str
    names: dict[int, list[str]]

    def find(self, night: int, ending: str) -> str:
        return next(name for name in self.names[night] if name.endswith(ending))

    def remove(self, night: int, sequence: int, detector: int) -> None:
        butler = self.bench.butler
        exposure = f"exposure.day_obs = {night} AND exposure.seq_num = {sequence}"
        where = f"instrument = 'LSSTComCam' AND {exposure} AND detector = {detector}"
        refs = butler.query_datasets("raw", "LSSTComCam/raw/all", where=where)
        butler.pruneDatasets(refs, disassociate=True, unstore=True, purge=True)

    def detach(self, night: int, ending: str) -> None:
        file = {"scope": self.scope, "name": self.find(night, ending)}
        self.client.detach_dids(self.scope, f"Dataset/{night}", [file])

    def add_stray_exposure(self, night: int) -> None:
        butler = self.bench.butler
        (record, *_) = butler.query_dimension_records(
            "exposure", where=f"instrument = 'LSSTComCam' AND exposure.day_obs = {night}", limit=None
        )
        values = record.toDict() | {"id": night * 100_000 + 999, "obs_id": f"CC_O_{night}_000999", "seq_num": 999}
        butler.registry.insertDimensionData("exposure", values)


@pytest.fixture
def raws(comcam: Bench, world: World, fresh_scope: str, client: Any) -> tuple[Raws, Path]:
    from reconciler.playground import campaign
    from reconciler.playground.world import IN2P3, Sizes

    folder = world.storage(IN2P3) / fresh_scope / "LSSTComCam"
    names: dict[int, list[str]] = {}
    for exposure in campaign.list_exposures(Sizes(nights=2, exposures=2)):
        written = campaign.write_exposure(folder, exposure)
        names.setdefault(exposure.night, []).extend(str(path.relative_to(folder.parent)) for path in written)
    for night, its in names.items():
        files = [
            {"scope": fresh_scope, "name": name, "bytes": (folder.parent / name).stat().st_size, "adler32": "00000001"}
            for name in its
        ]
        client.add_dataset(fresh_scope, f"Dataset/{night}")
        client.add_replicas(IN2P3, files)
        client.add_files_to_dataset(fresh_scope, f"Dataset/{night}", files)
        client.close(fresh_scope, f"Dataset/{night}")
    comcam.environment |= world.environment()
    state = comcam.state(
        f'[{RAW}]\ninstrument = "LSSTComCam"\nlocations = ["{folder}"]\nsidecars = 1\n'
        f'delivered_by = ["{fresh_scope}:Dataset/*"]\n'
        "data_id = '(?P<obs_id>CC_O_\\d{8}_\\d{6})_(?P<full_name>R\\d\\d_S\\d\\d)\\.fits'\n",
        rucio=True,
    )
    comcam.apply_and_check(state)
    return Raws(comcam, client, fresh_scope, names), state


def remove_raw_and_index(raws: Raws, night: int) -> None:
    raws.remove(night, 2, 4)
    raws.detach(night, "_index.json")


def remove_raw_and_add_exposure(raws: Raws, night: int) -> None:
    raws.remove(night, 2, 4)
    raws.add_stray_exposure(night)


def detach_raw(raws: Raws, night: int) -> None:
    raws.detach(night, f"{night}_000002_R22_S11.fits")


@pytest.mark.parametrize(
    ("break_it", "named"),
    [
        (remove_raw_and_index, ("raws: 1 of 36 missing", "_000002   detector R22_S11")),
        (remove_raw_and_add_exposure, ("raws: 1 of 36 missing", "_000002   detector R22_S11")),
        (detach_raw, ("reconcile never removes them", "_000002   detector R22_S11")),
    ],
    ids=["raw and index are missing", "raw is missing and an exposure is stray", "Rucio no longer lists a raw"],
)
def test_what_breaks_of_raws_in_rucio_and_the_butler_is_reported(
    raws: tuple[Raws, Path], break_it: Callable[[Raws, int], None], named: tuple[str, ...]
) -> None:
    scene, state = raws
    night = sorted(scene.names)[0]
    break_it(scene, night)
    for words in ((), ("--deep",)):
        output = scene.bench.diff(state, 2, *words)
        assert all(text in output for text in (RAW, *named)), output
    scene.bench.apply(state, 2 if break_it is detach_raw else 0, "--prune")
    assert len(scene.bench.butler.query_datasets("raw", "LSSTComCam/raw/all", limit=None)) == 36


def test_a_pattern_that_matches_nothing_is_reported_on_an_empty_repository(comcam: Bench, world: World, fresh_scope: str) -> None:
    comcam.environment |= world.environment()
    state = comcam.state(
        f'[{RAW}]\ninstrument = "LSSTComCam"\nlocations = ["{comcam.folder}"]\ndelivered_by = ["{fresh_scope}:Datset/*"]\n',
        rucio=True,
    )
    assert f"waiting for {fresh_scope}:Datset/*, not registered in Rucio yet" in comcam.diff(state, 2)


def test_the_files_of_a_dataset_are_the_same_listed_alone_or_with_others(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    from reconciler.systems.rucio import dids
    from reconciler.systems.rucio.connection import RucioConnectionSettings
    from reconciler.systems.rucio.server import RucioServer

    scene.add_files(scope=scene.scope, dataset="a/b.c-d_e", count=5, close=True)
    scene.add_files(scope=scene.scope, dataset="small", count=2, close=True)
    scene.add_files(scope=scene.scope, dataset="open", count=4)
    asked = [f"{scene.scope}:{name}" for name in ("a/b.c-d_e", "small", "open", "absent")]
    paths: list[str] = []
    get_rows = dids.get_rows
    monkeypatch.setattr(dids, "get_rows", lambda client, path: (paths.append(path), get_rows(client, path))[1])
    together = RucioServer(RucioConnectionSettings()).files_by_dataset(asked)
    assert paths == []
    monkeypatch.setattr(dids, "LISTED_ALONE", 3)
    alone = RucioServer(RucioConnectionSettings()).files_by_dataset(asked)
    assert paths == [f"dids/{scene.scope}/a%2Fb.c-d_e/files"]
    assert [len(together[did]) for did in asked] == [5, 2, 4, 0]
    assert {did: sorted(files) for did, files in together.items()} == {did: sorted(files) for did, files in alone.items()}


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([], "0 files listed, 2 recorded"),
        ([{"scope": "s", "name": "a", "bytes": 1, "adler32": None}], "1 file listed, 2 recorded"),
        ([{"scope": "s", "name": "a", "bytes": 1, "adler32": None}] * 2, "1 file listed, 2 recorded"),
        (["<html>"], "the answer isn't from Rucio"),
        ([{"name": "a"}], "the answer isn't from Rucio"),
    ],
)
def test_a_wrong_list_of_one_dataset_is_not_believed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, rows: list[Any], text: str
) -> None:
    from reconciler.errors import ObserveError
    from reconciler.systems.rucio import dids
    from reconciler.systems.rucio.connection import RucioConnectionSettings
    from reconciler.systems.rucio.server import RucioServer

    scene.add_files(scope=scene.scope, dataset="d", count=2, close=True)
    monkeypatch.setattr(dids, "LISTED_ALONE", 2)
    monkeypatch.setattr(dids, "get_rows", lambda client, path: iter(rows))
    with pytest.raises(ObserveError, match=text):
        RucioServer(RucioConnectionSettings()).files_by_dataset([f"{scene.scope}:d"])


def test_a_closed_container_has_each_file_once_and_those_that_came_since(scene: Scene) -> None:
    from reconciler.systems.rucio.connection import RucioConnectionSettings
    from reconciler.systems.rucio.server import RucioServer

    shared = [
        {"scope": scene.scope, "name": name} for name in scene.add_files(scope=scene.scope, dataset="one", count=3, close=True)
    ]
    scene.client.add_dataset(scene.scope, "two")
    scene.client.add_files_to_dataset(scene.scope, "two", shared)
    for container, contents in (("first", ["one"]), ("second", ["two"]), ("all", ["first", "second"])):
        scene.client.add_container(scene.scope, container)
        scene.client.attach_dids(scene.scope, container, [key for name in contents for key in scene.key(name)])
        scene.client.close(scene.scope, container)
    did = f"{scene.scope}:all"
    assert len(RucioServer(RucioConnectionSettings()).files([did])) == 3
    (late,) = scene.add_files(scope=scene.scope, dataset="late", count=1)
    scene.client.add_files_to_dataset(scene.scope, "two", [{"scope": scene.scope, "name": late}])
    server = RucioServer(RucioConnectionSettings())
    assert late in {file.name for file in server.files([did])}
    assert _find_open(server.dids([did])) == [did]


@pytest.mark.parametrize("times", [1, 9])
def test_a_list_of_a_container_that_is_cut_is_asked_for_again_and_not_believed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    from reconciler.errors import ObserveError
    from reconciler.systems.rucio.connection import RucioConnectionSettings
    from reconciler.systems.rucio.dids import DidCatalog
    from reconciler.systems.rucio.server import RucioServer

    for name in ("one", "two"):
        scene.add_files(scope=scene.scope, dataset=name, count=2)
    scene.client.add_container(scene.scope, "all")
    scene.client.attach_dids(scene.scope, "all", [key for name in ("one", "two") for key in scene.key(name)])
    read, cut = DidCatalog._read_contents, iter(range(times))

    def read_cut(catalog: DidCatalog, did: str) -> set[str]:
        found = read(catalog, did)
        return set(sorted(found)[:1]) if next(cut, None) is not None else found

    monkeypatch.setattr(DidCatalog, "_read_contents", read_cut)
    server = RucioServer(RucioConnectionSettings())
    if times == 1:
        assert len(server.files([f"{scene.scope}:all"])) == 4
    else:
        with pytest.raises(ObserveError, match="2 files listed, 4 recorded"):
            server.files([f"{scene.scope}:all"])


def test_a_container_that_is_listed_again_takes_nothing_from_another_one(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    from reconciler.systems.rucio.connection import RucioConnectionSettings
    from reconciler.systems.rucio.dids import DidCatalog
    from reconciler.systems.rucio.server import RucioServer

    for name in ("one", "two"):
        scene.add_files(scope=scene.scope, dataset=name, count=2)
    for container, contents in (("first", ("one",)), ("second", ("one", "two"))):
        scene.client.add_container(scene.scope, container)
        scene.client.attach_dids(scene.scope, container, [key for name in contents for key in scene.key(name)])
    read, cut = DidCatalog._read_contents, iter([True])

    def read_cut(catalog: DidCatalog, did: str) -> set[str]:
        found = read(catalog, did)
        return set(sorted(found)[:1]) if did.endswith("second") and next(cut, False) else found

    monkeypatch.setattr(DidCatalog, "_read_contents", read_cut)
    dids = [f"{scene.scope}:{name}" for name in ("first", "one", "second")]
    found = RucioServer(RucioConnectionSettings()).files_by_dataset(dids)
    assert [len(found[did]) for did in dids] == [2, 2, 4]


def test_a_rule_that_is_another_one_for_the_account_that_acts_is_blocked(scene: Scene) -> None:
    scene.add_files(scope=scene.scope, dataset="d", count=1)
    scene.write(LASTING.replace("}]", '}, { rse_expression = "SLAC_BUTLER_DISK", account = "root" }]'))
    output = scene.bench.diff(scene.path, 2)
    assert "rules[1] is the same rule as rules[0], because root is the account that acts" in output
    assert "failed 0" in scene.bench.apply(scene.path, 2)
    (rule,) = scene.client.list_did_rules(scene.scope, "d")
    assert rule["account"] == "root"
