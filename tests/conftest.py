"""Fixtures: real repositories on SQLite and PostgreSQL, a real Rucio server, and real files."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from filelock import FileLock
from hypothesis import HealthCheck, settings

from reconciler import startup
from reconciler.playground.world import OBSERVATORY, Sizes, World

settings.register_profile("quick", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=30)
settings.register_profile("thorough", settings.get_profile("quick"), max_examples=100)  # of make test
settings.load_profile("quick")
ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(OBSERVATORY))
# The program makes garbage collection rare. These processes run many commands, whose connections would pile up.
startup.GC_THRESHOLDS = (20_000, 10, 10)  # type: ignore[assignment]
gc.set_threshold(*startup.GC_THRESHOLDS)
# A shell's background job and nohup ignore these signals, which programs under test would inherit.
for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)

STACK = {"PYTHONPATH": str(OBSERVATORY), "DAF_BUTLER_PLUGINS": str(OBSERVATORY / "butler-plugins.yaml")}
"""Environment in which ``butler`` has the commands of the stand-in observatory."""
SMALL = Sizes(nights=1, exposures=6, shards=14)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the longest test, which can't be split, so that it doesn't run alone at the end."""
    items.sort(key=lambda item: "test_model_of_use" not in item.nodeid)
    registering = [item for item in items if item.path.stem in ("test_registering", "test_truth_of_rucio")]
    if registering:
        from lsst.resources import ResourcePath

        reason = "rucio-register can't register with this lsst-resources, which is older than it expects"
        for item in registering if not hasattr(ResourcePath, "get_info") else ():
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_sessionstart(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):
        worlds = Path(tempfile.mkdtemp(prefix="reconcile-"))
        worlds.chmod(0o755)  # PostgreSQL runs as a user of its own when the tests run as root
        os.environ["RECONCILE_TEST_WORLDS"] = str(worlds)
        os.environ["XDG_STATE_HOME"] = str(worlds / "state")  # not the journal and the history of whoever runs the tests


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):
        from reconciler.playground.up import down

        worlds = Path(os.environ["RECONCILE_TEST_WORLDS"])
        for record in worlds.glob("*/playground.json"):
            down(World(record.parent))
        # The files of hundreds of databases take minutes to remove, so the tests need not wait for that.
        subprocess.Popen(["rm", "-rf", str(worlds)], start_new_session=True)


@pytest.fixture(scope="session")
def worlds() -> Path:
    return Path(os.environ["RECONCILE_TEST_WORLDS"])


@pytest.fixture(scope="session")
def world(worlds: Path) -> World:
    """A small playground for all tests that need PostgreSQL or Rucio; its file mover is off."""
    from reconciler.playground.up import up

    shared = World(worlds / "shared")
    with FileLock(worlds / "shared.lock"):
        if not shared.read_record().get("complete"):
            up(shared, SMALL, mover=False, say=lambda text: None)
    os.environ.update(shared.environment())
    return shared


def make_repository(folder: Path, config: Any = None, *, instrument: bool | str) -> Path:
    """Make an empty repository, or one with an instrument registered: the class that is given, or ComCam."""
    from lsst.daf.butler import Butler
    from lsst.pipe.base import Instrument

    Butler.makeRepo(str(folder), config=config)
    butler = Butler.from_config(str(folder), writeable=True)
    if instrument:
        name = instrument if isinstance(instrument, str) else "lsst.obs.lsst.LsstComCam"
        Instrument.from_string(name).register(butler.registry)
    getattr(butler, "close", lambda: None)()  # lsst-daf-butler 29 has no close
    return folder


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite repository, made once and copied for each test."""
    return make_repository(tmp_path_factory.mktemp("template") / "repo", instrument=False)


@pytest.fixture(scope="session")
def comcam_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite repository with the instrument registered, made once and copied for each test."""
    return make_repository(tmp_path_factory.mktemp("template") / "repo", instrument=True)


class PostgresTemplate:
    """A repository on PostgreSQL whose database is copied for each test, in a tenth of the time of creating its tables."""

    def __init__(self, world: World, folder: Path, *, instrument: bool) -> None:
        import psycopg
        from lsst.daf.butler import Config

        self.socket = str(world.read_record()["postgres"])
        self.database = self._create("template0")  # not from lsstprod, which other workers are using
        with psycopg.connect(f"host={self.socket} user=postgres dbname={self.database}", autocommit=True) as connection:
            connection.execute("create extension if not exists btree_gist")
        config = Config()
        config["registry", "db"] = f"postgresql://postgres@/{self.database}?host={self.socket}"
        config["registry", "namespace"] = "butler"
        self.folder = make_repository(folder, config, instrument=instrument)

    def _create(self, template: str) -> str:
        import psycopg

        name = f"t{uuid.uuid4().hex[:12]}"
        with psycopg.connect(f"host={self.socket} user=postgres dbname=postgres", autocommit=True) as connection:
            # A Butler of lsst-daf-butler 29 can't be closed, and a database that is in use can't be copied.
            connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [template])
            connection.execute(f"create database {name} template {template}")
        return name

    def copy(self, folder: Path) -> str:
        """Copy the repository to a folder, and return the name of the new database."""
        database = self._create(self.database)
        shutil.copytree(self.folder, folder)
        yaml = folder / "butler.yaml"
        yaml.write_text(yaml.read_text().replace(self.database, database))
        return database

    def drop(self, database: str) -> None:
        """Drop the database of a copy."""
        import psycopg

        with psycopg.connect(f"host={self.socket} user=postgres dbname=postgres", autocommit=True) as connection:
            connection.execute(f"drop database {database} with (force)")


@pytest.fixture(scope="session")
def postgres_template(world: World, tmp_path_factory: pytest.TempPathFactory) -> PostgresTemplate:
    return PostgresTemplate(world, tmp_path_factory.mktemp("template") / "repo", instrument=False)


@pytest.fixture(scope="session")
def postgres_comcam_template(world: World, tmp_path_factory: pytest.TempPathFactory) -> PostgresTemplate:
    return PostgresTemplate(world, tmp_path_factory.mktemp("template") / "repo", instrument=True)


@dataclass
class Bench:
    """A folder with a state file and a repository, and methods that run the program on them."""

    folder: Path
    repo: Path
    environment: dict[str, str]

    def state(self, text: str, name: str = "test.toml", rucio: bool = False) -> Path:
        head = f'[reconcile]\nversion = 1\n[repository]\nuri = "{self.repo}"\n'
        head += "" if self.repo.exists() else "create = true\n"
        if rucio:
            head += '[rucio]\nrse = "IN2P3_RAW_DISK"\n'
        path = self.folder / name
        path.write_text(head + text)
        return path

    def run(self, *words: object, expect: int | None = None, typed: str | None = None) -> Result:
        from reconciler.cli import main

        result = CliRunner().invoke(main, [str(word) for word in words], env=self.environment, input=typed)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        if expect is not None:
            assert result.exit_code == expect, result.output
        return result

    def diff(self, path: Path, expect: int, *words: str) -> str:
        return self.run("diff", path, *words, expect=expect).output

    def apply(self, path: Path, expect: int = 0, *words: str) -> str:
        return self.run("apply", path, "--yes", *words, expect=expect).output

    def apply_and_check(self, path: Path) -> str:
        """Apply a state, check that nothing differs then and that a second apply changes nothing, and return the first output."""
        output = self.apply(path)
        assert "is in sync" in self.diff(path, 0)
        assert "changed 0" in self.apply(path)
        return output

    @property
    def butler(self) -> Any:
        from lsst.daf.butler import Butler

        return Butler.from_config(str(self.repo), writeable=True)


@pytest.fixture
def empty_bench(tmp_path: Path) -> Bench:
    """A bench without a repository."""
    return Bench(tmp_path, tmp_path / "repo", {**STACK, "XDG_STATE_HOME": str(tmp_path / "xdg")})


@pytest.fixture
def sqlite_bench(empty_bench: Bench, template: Path) -> Bench:
    shutil.copytree(template, empty_bench.repo)
    return empty_bench


@pytest.fixture
def postgres_bench(empty_bench: Bench, postgres_template: PostgresTemplate) -> Bench:
    postgres_template.copy(empty_bench.repo)
    return empty_bench


@pytest.fixture(params=["sqlite", "postgres"])
def bench(request: pytest.FixtureRequest) -> Bench:
    """A bench with an empty repository; each test runs on both databases."""
    found: Bench = request.getfixturevalue(f"{request.param}_bench")
    return found


@pytest.fixture(params=["sqlite", "postgres"])
def comcam(request: pytest.FixtureRequest, empty_bench: Bench) -> Bench:
    """A bench whose repository has the instrument registered; each test runs on both databases."""
    if request.param == "sqlite":
        shutil.copytree(request.getfixturevalue("comcam_template"), empty_bench.repo)
    else:
        request.getfixturevalue("postgres_comcam_template").copy(empty_bench.repo)
    return empty_bench


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``butler`` have the commands of the stand-in observatory in this process."""
    monkeypatch.setenv("DAF_BUTLER_PLUGINS", STACK["DAF_BUTLER_PLUGINS"])


@pytest.fixture(params=["w.2025.20", "w.2026.26"])
def release(request: pytest.FixtureRequest) -> Iterator[str]:
    """A release of obs_base, which the stand-in observatory plays."""
    from observing import played_release

    with played_release(request.param):
        yield request.param


@pytest.fixture
def newest_release() -> Iterator[None]:
    """Let the stand-in observatory play the newest release of obs_base."""
    from observing import played_release

    with played_release("w.2026.26"):
        yield


@pytest.fixture
def repo(tmp_path: Path, comcam_template: Path) -> Path:
    """An SQLite repository with the instrument registered."""
    shutil.copytree(comcam_template, tmp_path / "repo")
    return tmp_path / "repo"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of an instrument's raws."""
    return tmp_path / "raw" / "LSSTComCam"


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder with a short path, because the path of a Unix socket is limited to about a hundred characters."""
    with tempfile.TemporaryDirectory(prefix="rw-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def client(world: World) -> Any:
    from reconciler.playground import catalog

    return catalog.connect(world)


@pytest.fixture
def fresh_scope(client: Any) -> str:
    """A Rucio scope that only this test uses."""
    scope = f"t{uuid.uuid4().hex[:10]}"
    client.add_scope("root", scope)
    return scope


@pytest.fixture
def rucio_bench(tmp_path: Path, world: World, fresh_scope: str) -> Iterator[Bench]:
    """A bench with Rucio and without a repository."""
    return Bench(tmp_path, tmp_path / "none", {"XDG_STATE_HOME": str(tmp_path / "xdg"), **world.environment()})


@pytest.fixture
def add_files(client: Any) -> Callable[..., list[str]]:
    """A function that registers a dataset of files at SLAC and returns their names."""

    def add(scope: str, dataset: str, count: int, *, close: bool = False) -> list[str]:
        names = [f"{dataset.replace('/', '_')}_{number}.fits" for number in range(count)]
        files = [{"scope": scope, "name": name, "bytes": 7, "adler32": "00000001"} for name in names]
        client.add_dataset(scope, dataset)
        if files:
            client.add_replicas("SLAC_BUTLER_DISK", files)
            client.add_files_to_dataset(scope, dataset, files)
        if close:
            client.close(scope, dataset)
        return names

    return add
