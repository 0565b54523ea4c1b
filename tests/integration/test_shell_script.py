"""The script of ``diff --format shell``, executed by bash with the real commands, leaves nothing to do for an apply."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Bench
from inputs import make_export

from reconciler.playground import campaign
from reconciler.playground.world import Sizes

INSTRUMENT = '[instrument.LSSTComCam]\nclass = "lsst.obs.lsst.LsstComCam"\n'


def write_script(bench: Bench, state: Path, *words: str) -> str:
    return bench.run("diff", state, "--format", "shell", *words, expect=2).stdout


def execute(bench: Bench, script: str) -> None:
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, **bench.environment, "PATH": programs}
    done = subprocess.run(["bash", "-c", script], cwd=bench.folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"


def execute_and_check(bench: Bench, state: Path) -> str:
    """Execute the script of a state, check that nothing differs then, and return the script."""
    script = write_script(bench, state)
    execute(bench, script)
    assert "is in sync" in bench.diff(state, 0)
    return script


@pytest.fixture
def raws(comcam: Bench) -> Path:
    folder = comcam.folder / "raw" / "LSSTComCam"
    for exposure in campaign.list_exposures(Sizes(nights=1, exposures=4)):
        campaign.write_exposure(folder, exposure)
    return folder


def raw(folder: Path, more: str = "") -> str:
    return f'{INSTRUMENT}[raw."LSSTComCam/raw/all"]\ninstrument = "LSSTComCam"\nlocations = ["{folder}"]\n{more}'


def test_a_folder_is_named_only_if_all_raws_in_it_are_desired(comcam: Bench, raws: Path) -> None:
    some = comcam.state(raw(raws, "files = 'R22_S[12]\\d[.]fits'\n"))
    script = write_script(comcam, some)
    assert f" {raws}\n" not in script
    assert script.count(".fits") == len([path for path in raws.rglob("*.fits") if "R22_S0" not in path.name])
    assert f" {raws}\n" in write_script(comcam, comcam.state(raw(raws)))


def test_the_script_ingests_exactly_the_desired_raws_of_a_folder(
    comcam: Bench, raws: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.kinds.raw.ingest.FILES_PER_COMMAND", 13)
    desired = [path for path in raws.rglob("*.fits") if "R22_S0" not in path.name]
    assert len(desired) > 20
    script = execute_and_check(comcam, comcam.state(raw(raws, "files = 'R22_S[12]\\d[.]fits'\n")))
    assert script.count("butler ingest-raws") == -(-len(desired) // 13)
    assert len(comcam.butler.query_datasets("raw", "LSSTComCam/raw/all", limit=None)) == len(desired)


def test_only_the_listed_uuids_are_associated_and_unwanted_ones_disassociated(comcam: Bench, raws: Path) -> None:
    comcam.apply(comcam.state(raw(raws)))
    refs = comcam.butler.query_datasets("raw", "LSSTComCam/raw/all")
    listed = comcam.folder / "ids.txt"
    text = raw(raws) + f'[tagged.chosen]\ndataset_type = "raw"\nfrom = ["LSSTComCam/raw/all"]\nids = "{listed}"\ndoc = "it\'s"\n'
    listed.write_text("\n".join(str(ref.id) for ref in refs[:3]))
    execute_and_check(comcam, comcam.state(text))
    assert len(comcam.butler.query_datasets("raw", "chosen")) == 3
    assert comcam.butler.collections.get_info("chosen").doc == "it's"
    listed.write_text("\n".join(str(ref.id) for ref in refs[2:5]))
    state = comcam.state(text)
    execute(comcam, write_script(comcam, state, "--prune"))
    assert {ref.id for ref in comcam.butler.query_datasets("raw", "chosen")} == {ref.id for ref in refs[2:5]}


def test_collections_with_hostile_names_are_made_and_nothing_else_is_run(bench: Bench) -> None:
    names = [
        "x\\ntouch pwned\\n#",
        "a'b; touch pwned #",
        "`touch pwned`",
        "\\u001b[2J",
        "\\u202Ex",
        "[red]a[/]",
        "-",
        "{1..2",
    ]
    tables = "".join(f'[collection."{name}"]\ntype = "RUN"\ndoc = "{name}"\n' for name in names)
    children = ", ".join(f'"{name}"' for name in names)
    state = bench.state(f'{tables}[chain."a\\nb"]\nchildren = [{children}]\n')
    execute_and_check(bench, state)
    assert not (bench.folder / "pwned").exists()
    assert bench.butler.collections.get_info("a\nb").children[0] == "x\ntouch pwned\n#"


def test_what_no_command_does_is_a_comment(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = make_export(tmp_path_factory.mktemp("source"))
    text = f'[import.x]\nexport_file = "{folder}/export.yaml"\nroot = "{folder}/nowhere"\n'
    text += f'replace = {{ bias = "{folder}/files/bias" }}\n'
    script = write_script(bench, bench.state(text))
    assert "butler import can't replace the beginnings of paths; reconcile apply does" in script
    assert not [line for line in script.splitlines() if line.startswith("butler import")]
    assert "butler import can't replace" not in write_script(bench, bench.state(text.partition("replace")[0]))


RULES = """[rucio_dataset."{0}:d"]
rules = [
  {{ rse_expression = "IN2P3_RAW_DISK", locked = true, priority = 4, comment = "a b" }},
  {{ rse_expression = "SLAC_BUTLER_DISK", locked = true, grouping = "ALL", lifetime = 86400 }},
]
"""


def test_rules_are_added_moved_and_updated_as_apply_does(
    rucio_bench: Bench, client: Any, fresh_scope: str, add_files: Callable[..., list[str]]
) -> None:
    add_files(fresh_scope, "d", 2)
    state = rucio_bench.folder / "rucio.toml"
    head = '[reconcile]\nversion = 1\n[rucio]\nrse = "IN2P3_RAW_DISK"\naccount = "root"\n'
    state.write_text(head + RULES.format(fresh_scope))
    script = write_script(rucio_bench, state)
    assert "export RUCIO_ACCOUNT=root" in script
    execute(rucio_bench, script)
    found = {rule["rse_expression"]: rule for rule in client.list_did_rules(fresh_scope, "d")}
    assert found["IN2P3_RAW_DISK"]["locked"]
    assert found["SLAC_BUTLER_DISK"]["locked"]
    assert found["IN2P3_RAW_DISK"]["priority"] == 4
    assert str(found["SLAC_BUTLER_DISK"]["grouping"]).endswith("ALL")
    state.write_text(state.read_text().replace(", lifetime = 86400", "").replace('"a b"', '"c"'))
    script = write_script(rucio_bench, state)
    assert "--lifetime None" not in script
    execute(rucio_bench, script)
    found = {rule["rse_expression"]: rule for rule in client.list_did_rules(fresh_scope, "d")}
    assert found["SLAC_BUTLER_DISK"]["expires_at"] is None
    assert found["IN2P3_RAW_DISK"]["comments"] == "c"
