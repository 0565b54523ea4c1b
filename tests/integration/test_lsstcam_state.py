"""``state/lsstcam-raw.toml`` goes from nothing to in sync in a playground, on both databases."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.playground.up import down, up
from reconciler.playground.world import Sizes, World

STATE = Path(__file__).parents[2] / "state" / "lsstcam-raw.toml"


@pytest.fixture(params=["sqlite", "postgresql"])
def playground(request: pytest.FixtureRequest, worlds: Path) -> Iterator[World]:
    """A playground with three nights of LSSTCam; on PostgreSQL, storage is behind WebDAV."""
    inherited = dict(os.environ)
    production = request.param == "postgresql"
    sizes = Sizes(1, 1, 1, like_production=production, lsstcam_nights=3, lsstcam_exposures=4, lsstcam_detectors=3)
    world = World(worlds / f"state-{request.param}-{os.getpid()}")
    up(world, sizes, say=lambda text: None)
    yield world
    down(world)
    os.environ.clear()
    os.environ.update(inherited)


def reconcile(world: World, command: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the program on the state as an operator of the playground does."""
    return subprocess.run(
        [sys.executable, "-m", "reconciler", command, str(STATE), "--var-file", str(world.lsstcam_site), *words],
        env=os.environ | world.environment() | {"XDG_STATE_HOME": str(world.root / "xdg")},
        text=True,
        capture_output=True,
    )


@pytest.mark.slow
def test_the_state_goes_from_nothing_to_in_sync_and_a_second_apply_does_nothing(playground: World) -> None:
    plan = reconcile(playground, "diff")
    assert plan.returncode == 2, plan.stdout + plan.stderr
    applied = reconcile(playground, "apply", "--yes", "--wait", "3m", "--jobs", "2")
    assert applied.returncode == 0, applied.stdout + applied.stderr
    assert "changed 3" in applied.stdout
    again = reconcile(playground, "diff", "--deep", "--var", "verify=all")
    assert (again.returncode, "is in sync" in again.stdout) == (0, True), again.stdout + again.stderr
    second = reconcile(playground, "apply", "--yes")
    assert (second.returncode, "changed 0" in second.stdout) == (0, True), second.stdout + second.stderr
