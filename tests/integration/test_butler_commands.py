"""The real cause of a failing `butler` subcommand reaches the operator."""

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy

from reconciler.errors import ApplyError
from reconciler.systems.butler import commands
from reconciler.systems.butler.errors import explain

PLUGIN = """
import logging

import click
from lsst.daf.butler.cli.utils import ButlerCommand

log = logging.getLogger("lsst.obs.broken")


def chain():
    try:
        try:
            {}["camera"]
        except KeyError as error:
            raise ValueError("no such calibration") from error
    except ValueError as error:
        raise RuntimeError("could not write calibrations") from error


@click.command(cls=ButlerCommand)
def break_down():
    chain()


@click.command(cls=ButlerCommand)
def break_after_messages():
    for number in range(7):
        log.error("file %d is no FITS file", number)
    chain()


@click.command(cls=ButlerCommand)
def leave_with_messages():
    log.error("1 of 3 exposures could not be ingested")
    raise click.exceptions.Exit(1)


@click.command(cls=ButlerCommand)
def leave_silently():
    raise click.exceptions.Exit(3)


@click.command(cls=ButlerCommand)
def succeed():
    log.error("not as bad as it sounds")
"""


@pytest.fixture(autouse=True)
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Offer the subcommands of a package that breaks."""
    (tmp_path / "broken_plugin.py").write_text(PLUGIN)
    names = ["break-down", "break-after-messages", "leave-with-messages", "leave-silently", "succeed"]
    listed = "".join(f"    - {name}\n" for name in names)
    (tmp_path / "plugin.yaml").write_text(f"cmd:\n  import: broken_plugin\n  commands:\n{listed}")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("DAF_BUTLER_PLUGINS", str(tmp_path / "plugin.yaml"))
    yield
    sys.modules.pop("broken_plugin", None)


def fail(name: str) -> ApplyError:
    with pytest.raises(ApplyError) as caught:
        commands.run([name])
    return caught.value


def test_the_innermost_cause_comes_first_and_what_it_ended_with_second() -> None:
    error = fail("break-down")
    assert str(error) == "butler break-down: KeyError: 'camera'"
    assert error.hints == ("it ended with: RuntimeError: could not write calibrations",)


def test_a_later_subcommand_in_the_same_process_tells_as_much_as_the_first(capfd: pytest.CaptureFixture[str]) -> None:
    commands.run(["succeed"])
    assert [str(fail("break-down")) for _ in range(3)] == ["butler break-down: KeyError: 'camera'"] * 3
    assert "closed file" not in capfd.readouterr().err


def test_logged_errors_are_passed_on_up_to_a_limit() -> None:
    hints = fail("break-after-messages").hints
    assert hints[1:] == (*(f"it logged: file {number} is no FITS file" for number in range(5)), "and 2 more errors")


def test_a_subcommand_that_only_logs_is_explained_by_its_log() -> None:
    error = fail("leave-with-messages")
    assert "1 of 3 exposures could not be ingested" in str(error)


def test_a_subcommand_that_says_nothing_is_reported_as_such() -> None:
    assert str(fail("leave-silently")) == "butler leave-silently: it ended with exit code 3 and no message"


def test_an_unknown_subcommand_asks_for_the_pipelines() -> None:
    error = fail("does-not-exist")
    assert "No such command" in str(error)
    assert "Science Pipelines" in error.hints[0]


def test_a_subcommand_leaves_the_handlers_of_the_process_as_they_were() -> None:
    before = list(logging.getLogger().handlers)
    fail("break-down")
    assert logging.getLogger().handlers == before


def database_error(message: str) -> sqlalchemy.exc.DBAPIError:
    """Return what SQLAlchemy raises for an error of the driver."""
    cause = RuntimeError(message)
    error = sqlalchemy.exc.OperationalError("SELECT 1", {}, cause)
    error.__cause__ = cause
    return error


def test_no_message_is_only_a_link_of_sqlalchemy() -> None:
    assert "sqlalche.me" in str(database_error(""))  # otherwise this test shows nothing
    assert explain(database_error(""))[0] == "OperationalError without a message"
    silent = RuntimeError("")
    silent.__cause__ = OSError("the socket was closed")
    error = sqlalchemy.exc.OperationalError("SELECT 1", {}, silent)
    error.__cause__ = silent
    assert explain(error)[0] == "OperationalError: the socket was closed"


def test_the_statement_and_the_link_are_left_out() -> None:
    assert explain(database_error("value too long"))[0] == "OperationalError: (builtins.RuntimeError) value too long"
