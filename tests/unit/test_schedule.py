"""The crontab line and the units that `reconcile timer` prints."""

from __future__ import annotations

import pytest

from reconciler.errors import ReconcileError
from reconciler.watch.schedule import InvalidInterval, select_variables, write_schedule

WORDS = ["/opt/python", "-m", "reconciler", "drift", "--history", "/data/history.sqlite", "/data/a_1.toml"]


@pytest.mark.parametrize(
    ("every", "cron", "calendar"),
    [
        (60, "*/1 * * * *", "*:0/1"),
        (900, "*/15 * * * *", "*:0/15"),
        (3600, "17 */1 * * *", "0/1:17"),
        (6 * 3600, "17 */6 * * *", "0/6:17"),
        (86400, "17 4 * * *", "*-*-* 04:17"),
    ],
)
def test_an_interval_is_written_for_cron_and_for_systemd(every: float, cron: str, calendar: str) -> None:
    lines = list(write_schedule(WORDS, {}, every))
    assert f"{cron}  {' '.join(WORDS)}" in lines
    assert f"OnCalendar={calendar}" in lines
    assert f"ExecStart={' '.join(WORDS)}" in lines


@pytest.mark.parametrize("every", [0, 1, 59, 61, 420, 5 * 3600, 90 * 60, 2 * 86400])
def test_an_interval_that_cron_cannot_do_is_an_error(every: float) -> None:
    with pytest.raises(InvalidInterval, match="cron can't run something every"):
        list(write_schedule(WORDS, {}, every))


def test_a_path_with_a_newline_is_an_error() -> None:
    with pytest.raises(ReconcileError, match="control character"):
        list(write_schedule([*WORDS, "/data/a\n* * * * * rm.toml"], {}, 900))


def test_variables_with_credentials_are_left_out_and_paths_become_absolute(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(str(tmp_path))
    found = select_variables(
        {
            "PYTHONPATH": f".:/x:{tmp_path}",
            "RUCIO_CONFIG": "/etc/rucio.cfg",
            "DAF_BUTLER_REPOSITORY_INDEX": "https://me:hunter22@host/index.yaml",
            "PGPASSWORD": "hunter22",
            "RUCIO_HOME": "",
        }
    )
    assert found == {"PYTHONPATH": f"{tmp_path}:/x:{tmp_path}", "RUCIO_CONFIG": "/etc/rucio.cfg"}
