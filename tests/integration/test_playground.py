"""The services of the playground can be started and stopped."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from reconciler.playground import services
from reconciler.playground.up import down
from reconciler.playground.world import World


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """An empty playground."""
    for variable in ("XDG_RUNTIME_DIR", "TMPDIR"):
        monkeypatch.setenv(variable, os.environ.get(variable, str(tmp_path)))
    tmp_path.chmod(0o755)
    world = World(tmp_path / "w")
    for folder in (world.root, world.logs, world.root / "tmp"):
        folder.mkdir()
    yield world
    down(world)


def test_a_stopped_playground_service_can_be_started_again_by_the_same_process(bare: World) -> None:
    for _ in range(2):
        socket = services.start_postgres(bare)
        with psycopg.connect(f"host={socket} user=postgres dbname=lsstprod") as connection:
            assert connection.execute("select 1").fetchone() == (1,)
        assert down(bare) == ["postgres"]
        assert down(bare) == []
