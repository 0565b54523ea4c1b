"""The ledger of raws and of products on real repositories, a real Rucio server and real files."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import truth
from conftest import Bench
from inputs import make_export, register_nights
from truth import Broken

from reconciler.engine.model import Address
from reconciler.errors import ObserveError
from reconciler.opening import open_session
from reconciler.playground.world import IN2P3, SLAC, Sizes, World
from reconciler.watch.json_schema import drift_schema, ledger_schema
from reconciler.watch.ledger_reading import LedgerOptions, read_ledger

NIGHT = 20241108
RAW = 'raw."LSSTComCam/raw/all"'


def write_state(bench: Bench, folder: Path, scope: str, *, data_id: bool = True, more: str = "") -> Path:
    pattern = f"data_id = '{truth.DATA_ID}'\n" if data_id else ""
    return bench.state(
        f'[raw."LSSTComCam/raw/all"]\ninstrument = "LSSTComCam"\nlocations = ["{folder}"]\nsidecars = 1\n'
        f'delivered_by = ["{scope}:Dataset/*"]\n{pattern}{more}',
        rucio=True,
    )


@pytest.fixture
def raws(comcam: Bench, world: World, client: Any, fresh_scope: str) -> Path:
    """A state of two nights of raws that Rucio has delivered and that are ingested."""
    comcam.environment |= world.environment()
    state = write_state(comcam, register_nights(world, client, fresh_scope, Sizes(nights=2, exposures=2)), fresh_scope)
    comcam.apply(state)
    return state


def path_of(world: World, scope: str, exposure: int, detector: int) -> Path:
    return world.storage(IN2P3) / scope / name_of(exposure, detector)


def name_of(exposure: int, detector: int) -> str:
    name = f"CC_O_{NIGHT}_{exposure:06d}"
    return f"LSSTComCam/{NIGHT}/{name}/{name}_R22_S{detector // 3}{detector % 3}.fits"


def read(bench: Bench, state: Path, expect: int, *words: object) -> dict[str, Any]:
    document = json.loads(bench.run("ledger", state, RAW, "--format", "json", *words, expect=expect).output)
    jsonschema.validate(document, ledger_schema())
    (found,) = document["ledgers"]
    return dict(found)


def problems(found: dict[str, Any]) -> dict[tuple[int, str], str]:
    """The problem of each file that the mismatches name, by detector and exposure."""
    return {
        (mismatch["detector"], exposure): mismatch["problem"]
        for mismatch in found["mismatches"]
        for exposure in mismatch["files"]
    }


def test_three_answers_that_agree_are_one_line_and_exit_0(comcam: Bench, raws: Path) -> None:
    output = comcam.run("ledger", raws, expect=0).output
    assert output == f"{RAW}: agree: 36 in Rucio at {IN2P3}, 36 in the Butler, 36 of 36 checked are on storage\n"
    assert "storage not checked" in comcam.run("ledger", raws, "--verify", "none", expect=0).output
    found = read(comcam, raws, 0, "--verify", "sample:5")
    assert (found["checked"], found["on_storage"], len(found["rows"])) == (5, 5, 18)


def test_every_mismatch_of_raws_is_named(comcam: Bench, raws: Path, world: World, client: Any, fresh_scope: str) -> None:
    broken = Broken(comcam.folder, comcam.repo, comcam.folder)
    broken.remove(broken.find_raw(NIGHT, 1, 0))
    for detector in (1, 2):  # one that was never ingested, and one that was
        file = {"scope": fresh_scope, "name": name_of(1, detector), "state": "U"}
        client.update_replicas_states(IN2P3, [file])
    broken.remove(broken.find_raw(NIGHT, 1, 1))
    client.detach_dids(fresh_scope, f"Dataset/{NIGHT}", [{"scope": fresh_scope, "name": name_of(1, 3)}])
    path_of(world, fresh_scope, 1, 4).unlink()
    path_of(world, fresh_scope, 1, 5).write_text("cut")
    found = read(comcam, raws, 2, "--verify", "all")
    exposure = f"CC_O_{NIGHT}_000001"
    assert problems(found) == {
        (0, exposure): "delivered but not ingested",
        (1, exposure): "not delivered",
        (2, exposure): "ingested but gone from Rucio",
        (3, exposure): "ingested but gone from Rucio",
        (4, exposure): "registered in the Butler but not on storage",
        (5, exposure): "size differs",
    }
    rows = {(row["night"], row["detector"]): row for row in found["rows"]}
    assert (rows[NIGHT, 0]["in_rucio"], rows[NIGHT, 0]["in_butler"], rows[NIGHT, 0]["on_storage"]) == (2, 1, 1)
    assert (rows[NIGHT, 4]["in_rucio"], rows[NIGHT, 4]["in_butler"], rows[NIGHT, 4]["on_storage"]) == (2, 2, 1)
    assert rows[NIGHT, 6]["problem"] == ""
    assert found["waiting_bytes"] > 0
    text = comcam.run("ledger", raws, "--verify", "all", expect=2).output
    assert f"$ reconcile apply {raws} --only '{RAW}'" in text
    assert f"$ rucio rule add --rse-exp {IN2P3} --copies 1 {fresh_scope}:Dataset/{NIGHT}" in text
    rows = {(row["night"], row["detector"]): row for row in csv.DictReader(io.StringIO(
        comcam.run("ledger", raws, "--format", "csv", "--verify", "all", expect=2).output
    ))}  # fmt: skip
    assert rows[str(NIGHT), "5"]["problem"] == "size differs"
    assert len(rows) == 18


def test_the_command_for_a_lost_file_makes_rucio_deliver_it_again(
    comcam: Bench, raws: Path, world: World, client: Any, fresh_scope: str
) -> None:
    path_of(world, fresh_scope, 1, 4).unlink()
    found = read(comcam, raws, 2, "--verify", "all")
    (command,) = found["repairs"][0]["commands"]
    call = command.partition("Client().")[2].rstrip("\"'").replace("'\"'\"'", "'")
    eval(f"client.{call}", {"client": client})
    bad = {(row["name"], row["rse"]) for row in client.list_replicas([{"scope": fresh_scope, "name": name_of(1, 4)}]) for row in [
        {"name": row["name"], "rse": rse} for rse, state in row["states"].items() if state == "AVAILABLE"
    ]}  # fmt: skip
    assert bad == {(name_of(1, 4), SLAC)}, "the replica at the source is not touched"


def test_a_ledger_of_one_night_lists_all_its_detectors(comcam: Bench, raws: Path) -> None:
    found = read(comcam, raws, 0, "--night", NIGHT)
    assert {row["night"] for row in found["rows"]} == {NIGHT}
    assert comcam.run("ledger", raws, "--night", NIGHT, expect=0).output.count(f"  {NIGHT}") == 9
    output = comcam.run("ledger", raws, "--night", "20250101", expect=1).output
    assert f"error: {RAW}: neither Rucio nor the Butler has raws of night 20250101" in output
    assert '"20241399" is not a night' in comcam.run("ledger", raws, "--night", "20241399", expect=64).output


def test_raws_without_a_pattern_are_compared_by_path(comcam: Bench, raws: Path, world: World, fresh_scope: str) -> None:
    state = write_state(comcam, world.storage(IN2P3) / fresh_scope / "LSSTComCam", fresh_scope, data_id=False)
    assert read(comcam, state, 0, "--verify", "all")["checked"] == 36
    broken = Broken(comcam.folder, comcam.repo, comcam.folder)
    broken.remove(broken.find_raw(NIGHT, 1, 0))
    found = read(comcam, state, 2)
    assert problems(found) == {(-1, name_of(1, 0)): "delivered but not ingested"}, "only the Butler knows the detector"


def test_files_whose_data_id_is_unknown_are_a_mismatch(comcam: Bench, raws: Path) -> None:
    raws.write_text(raws.read_text().replace("R\\d\\d_S\\d\\d", "R\\d\\d_S0\\d"))
    found = read(comcam, raws, 2)
    assert {mismatch["problem"] for mismatch in found["mismatches"]} == {"no data ID of its own", "ingested but gone from Rucio"}


def test_two_files_for_one_raw_are_a_mismatch_that_apply_does_not_repair(
    comcam: Bench, raws: Path, client: Any, fresh_scope: str
) -> None:
    rival = {
        "scope": fresh_scope,
        "name": "LSSTComCam/again/" + name_of(1, 0).rpartition("/")[2],
        "bytes": 1,
        "adler32": "00000001",
    }
    client.add_dataset(fresh_scope, "Dataset/again")
    client.add_replicas(IN2P3, [rival])
    client.add_files_to_dataset(fresh_scope, "Dataset/again", [rival])
    found = read(comcam, raws, 2)
    assert problems(found) == {(-1, rival["name"]): "no data ID of its own"}
    assert [command[0] for repair in found["repairs"] for command in repair["commands"]] == ["#"]


def test_a_ledger_takes_as_many_queries_for_six_nights_as_for_two(
    comcam: Bench, raws: Path, world: World, client: Any, fresh_scope: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def count(state: Path) -> tuple[int, int]:
        with open_session(state, counted=True) as session:
            read_ledger(session, Address("raw", "LSSTComCam/raw/all"), LedgerOptions("all"))
            return session.context.stats.statements, session.context.stats.calls

    for name, value in comcam.environment.items():
        monkeypatch.setenv(name, value)
    statements, calls = count(raws)
    scope = f"{fresh_scope}more"
    client.add_scope("root", scope)
    folder = register_nights(world, client, scope, Sizes(nights=6, exposures=2))
    assert count(write_state(comcam, folder, scope)) == (statements, calls), "one more list of rules, if any"
    assert calls <= 10


def test_a_ledger_needs_something_that_rucio_delivers(comcam: Bench, raws: Path) -> None:
    assert "did you mean" in comcam.run("ledger", raws, 'raw."LSSTComCam/raw/al"', expect=1).output
    assert "not one of all, sample:N and none" in comcam.run("ledger", raws, "--verify", "some", expect=64).output
    state = comcam.state('[collection."u/run"]\ntype = "RUN"\n')
    assert "no table has delivered_by" in comcam.run("ledger", state, expect=1).output
    output = comcam.run("ledger", state, "collection.*", expect=1).output
    assert 'error: test.toml: collection."u/run": not delivered by Rucio, since it has no delivered_by' in output


@pytest.fixture
def products(bench: Bench, world: World, client: Any, fresh_scope: str) -> Path:
    """A state that imports an export file, whose six files are in a Rucio dataset and are here, but for the last."""
    bench.environment |= world.environment()
    root = make_export(bench.folder / "source")
    storage = world.storage(IN2P3) / fresh_scope / "products"
    storage.parent.mkdir(parents=True, exist_ok=True)
    (root / "files").rename(storage)
    files = [
        {"scope": fresh_scope, "name": f"products/{path.name}", "bytes": path.stat().st_size, "adler32": "00000001"}
        for path in sorted(storage.iterdir())
    ]
    client.add_dataset(fresh_scope, "Dataset/products")
    client.add_replicas(SLAC, files)
    client.add_replicas(IN2P3, files[:-1])
    client.add_files_to_dataset(fresh_scope, "Dataset/products", files)
    return bench.state(
        f'[instrument.LSSTComCam]\nclass = "lsst.obs.lsst.LsstComCam"\n'
        f'[import.bias]\nexport_file = "{root}/export.yaml"\nroot = "{storage}"\n'
        f'delivered_by = ["{fresh_scope}:Dataset/products"]\n',
        rucio=True,
    )


def test_the_files_of_an_export_are_counted_by_rucio_dataset(
    bench: Bench, products: Path, client: Any, world: World, fresh_scope: str
) -> None:
    def mismatches(expect: int) -> dict[str, str]:
        (found,) = json.loads(bench.run("ledger", products, "--format", "json", "--verify", "all", expect=expect).output)[
            "ledgers"
        ]
        (row,) = found["rows"]
        assert row["dataset"] == f"{fresh_scope}:Dataset/products"
        return {name: mismatch["problem"] for mismatch in found["mismatches"] for name in mismatch["files"]}

    def name(detector: int) -> str:
        return f"products/bias_{detector}.fits"

    expected = {name(detector): "delivered but not ingested" for detector in range(5)} | {name(5): "not delivered"}
    assert mismatches(2) == expected
    bench.apply(products, 2)
    assert mismatches(2) == {name(5): "not delivered"}
    client.add_replicas(IN2P3, [{"scope": fresh_scope, "name": name(5), "bytes": 4, "adler32": "00000001"}])
    bench.apply(products)
    assert mismatches(0) == {}
    client.detach_dids(fresh_scope, "Dataset/products", [{"scope": fresh_scope, "name": name(0)}])
    (found,) = json.loads(bench.run("ledger", products, "--format", "json", expect=2).output)["ledgers"]
    ((gone,),) = [mismatch["files"] for mismatch in found["mismatches"]]
    assert gone.endswith(name(0))
    assert found["mismatches"][0]["problem"] == "ingested but gone from Rucio"
    assert "--night" in bench.run("ledger", products, "import.bias", "--night", NIGHT, expect=1).output


def test_a_file_that_no_dataset_contains_is_not_registered(bench: Bench, products: Path, client: Any, fresh_scope: str) -> None:
    client.detach_dids(fresh_scope, "Dataset/products", [{"scope": fresh_scope, "name": "products/bias_2.fits"}])
    output = bench.run("ledger", products, expect=2).output
    assert "not registered: 1 file" in output
    assert f"# register these files in {fresh_scope}:Dataset/products at their source" in output


def test_the_files_of_a_table_are_compared_by_data_id(bench: Bench, world: World, client: Any, fresh_scope: str) -> None:
    bench.environment |= world.environment()
    storage = world.storage(IN2P3) / fresh_scope / "cat"
    storage.mkdir(parents=True)
    pixels = range(131072, 131076)
    for pixel in pixels:
        (storage / f"{pixel}.fits").write_text("stars")
    files = [{"scope": fresh_scope, "name": f"cat/{p}.fits", "bytes": 5, "adler32": "00000001"} for p in pixels]
    client.add_dataset(fresh_scope, "Dataset/cat")
    for rse in (SLAC, IN2P3):
        client.add_replicas(rse, files)
    client.add_files_to_dataset(fresh_scope, "Dataset/cat", files)
    (bench.folder / "t.csv").write_text("file,htm7\n" + "".join(f"{pixel}.fits,{pixel}\n" for pixel in pixels))
    state = bench.state(
        '[dataset_type.cat]\nstorage_class = "SimpleCatalog"\ndimensions = ["htm7"]\n'
        f'[file_ingest.refcat]\ndataset_type = "cat"\ntable = "t.csv"\nprefix = "{storage}"\n'
        f'delivered_by = ["{fresh_scope}:Dataset/cat"]\n',
        rucio=True,
    )
    assert "delivered but not ingested: 4 files" in bench.run("ledger", state, "file_ingest.*", expect=2).output
    bench.apply(state)
    assert "agree: 4 in Rucio" in bench.run("ledger", state, expect=0).output
    (storage / "131073.fits").write_text("sta")
    output = bench.run("ledger", state, expect=2).output
    assert "size differs: 1 file" in output
    assert "cat/131073.fits" in output


def test_a_server_that_is_down_is_exit_1_and_not_agreement(comcam: Bench, raws: Path, tmp_path: Path) -> None:
    config = tmp_path / "down.cfg"
    config.write_text("[client]\nrucio_host = http://127.0.0.1:9\nauth_host = http://127.0.0.1:9\nauth_type = userpass\n"
                      "username = x\npassword = hush-no-secret\naccount = root\n")  # fmt: skip
    raws.write_text(raws.read_text().replace("[rucio]\n", f'[rucio]\nconfig = "{config}"\n'))
    output = comcam.run("ledger", raws, expect=1).output
    assert f"error: {RAW}: " in output
    assert "agree" not in output
    assert "hush" not in output


def test_drift_counts_the_ledger_and_what_is_waited_for_in_its_metrics(
    bench: Bench, products: Path, client: Any, world: World, fresh_scope: str
) -> None:
    from test_drift import metrics

    file = bench.folder / "reconcile.prom"
    rules = f'[rucio_dataset."{fresh_scope}:Dataset/products"]\nrules = [{{rse_expression = "{IN2P3}"}}]\n'
    products.write_text(products.read_text() + rules)
    bench.apply(products, 2)
    for words in ((), ("--ledger",)):
        bench.run("drift", products, "--metrics", file, *words)
        assert metrics(file)["reconcile_state_waiting_bytes"] == 4, "the last file of the export"
    found = metrics(file)
    assert found["reconcile_state_ledger_files rucio"] == found["reconcile_state_ledger_files butler"] == 5
    assert found["reconcile_state_ledger_files storage"] == 5
    assert found["reconcile_state_ledger_mismatched_files not_delivered"] == 1
    assert found["reconcile_state_rules REPLICATING"] + found["reconcile_state_rules STUCK"] == 1


def test_a_ledger_that_cannot_be_made_is_unknown_everywhere_and_the_drift_check_is_done(
    bench: Bench, products: Path, client: Any, world: World, fresh_scope: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from test_drift import metrics

    def fail(*arguments: Any) -> None:
        raise ObserveError("the storage does not answer")

    last = {"scope": fresh_scope, "name": "products/bias_5.fits", "bytes": 4, "adler32": "00000001"}
    client.add_replicas(IN2P3, [last])
    bench.apply(products)
    file, pages = bench.folder / "reconcile.prom", bench.folder / "html"
    words = ("drift", products, "--history", bench.folder / "history.sqlite", "--ledger")
    assert "is in sync" in bench.run(*words, "-v", "--metrics", file, expect=0).output
    success = "reconcile_state_last_success_timestamp_seconds"
    before = metrics(file)[success]
    monkeypatch.setattr("reconciler.watch.ledger_reading.check_refs", fail)
    reason = "ledger: could not be made: the storage does not answer"
    output = bench.run(*words, "--metrics", file, "--html", pages, expect=1).output
    assert output.count("the storage does not answer") == 1
    assert f"  ? import.bias: {reason} (1 ledger unknown)" in output
    assert "test could not be checked completely: 1 unknown" in output, "the check is done and reported"
    assert metrics(file)[success] == pytest.approx(before, abs=0.01, rel=0), "the history has milliseconds"
    (page,) = pages.glob("test-*.html")
    assert page.read_text().count(reason) == 1
    assert "Nothing differs" not in page.read_text()
    assert "1 unknown" in bench.run("status", "--history", bench.folder / "history.sqlite", expect=1).output
    document = json.loads(bench.run(*words, "--format", "json", expect=1).output)
    jsonschema.validate(document, drift_schema())
    (report,) = document["states"]
    assert (report["verdict"], report["problems"]) == ("unknown", [])
    assert [(found["kind"], found["field"], found["text"]) for found in report["differences"]] == [("unknown", "ledger", reason)]


def test_a_mismatch_that_no_difference_covers_is_drift(comcam: Bench, raws: Path, world: World, fresh_scope: str) -> None:
    """The check itself doesn't look at storage unless the table has verify, and the ledger does."""
    words = ("drift", raws, "--history", comcam.folder / "history.sqlite")
    assert "is in sync" in comcam.run(*words, "--ledger", "-v", expect=0).output
    path = path_of(world, fresh_scope, 1, 4)
    moved = path.rename(path.with_suffix(".gone"))
    comcam.run(*words, expect=0)
    output = comcam.run(*words, "--ledger", expect=2).output
    assert f"{RAW}: ledger: 1 file registered in the Butler but not on storage" in output
    assert "degraded" in output
    assert "rucio" in output, "the command that repairs it"
    assert "resolved" not in comcam.run(*words, "-v", expect=0).output, "this check made no ledger"
    moved.rename(path)
    assert "resolved" in comcam.run(*words, "--ledger", expect=0).output


def test_a_mismatch_that_a_difference_reports_is_reported_once(comcam: Bench, raws: Path) -> None:
    broken = Broken(comcam.folder, comcam.repo, comcam.folder)
    broken.remove(broken.find_raw(NIGHT, 1, 0))
    output = comcam.run("drift", raws, "--ledger", "--format", "json", "--history", comcam.folder / "history.sqlite", expect=2)
    document = json.loads(output.output)
    jsonschema.validate(document, drift_schema())
    (report,) = document["states"]
    assert [difference["field"] for difference in report["differences"]] == ["raws"]
    assert not report["ledgers"][0]["agrees"]
