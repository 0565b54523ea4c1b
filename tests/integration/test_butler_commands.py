"""The real cause of a failing `butler` subcommand reaches the operator."""

import logging
import multiprocessing
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy

from reconciler.errors import ApplyError
from reconciler.systems import worker_link
from reconciler.systems.butler import commands
from reconciler.systems.butler.command_failures import ItemFailure
from reconciler.systems.butler.commands import CommandReport
from reconciler.systems.butler.errors import explain
from reconciler.systems.worker_link import Steps, WorkerLink

PLUGIN = """
import logging
from types import SimpleNamespace

import click
from lsst.daf.butler.cli.utils import ButlerCommand
from lsst.daf.butler.progress import Progress
from lsst.daf.butler.registry import ConflictingDefinitionError
from lsst.resources import ResourcePath
from sqlalchemy.exc import OperationalError

log = logging.getLogger("lsst.obs.broken")
task = logging.getLogger("lsst.ingest")


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


class File:
    def __init__(self, name, detector=0):
        self.filename = ResourcePath("/raws/" + name)
        self.datasets = [SimpleNamespace(dataId={"detector": detector})]


def wrapped(error, cause):
    error.__cause__ = cause
    return error


@click.command(cls=ButlerCommand)
def ingest_some():
    # The records of obs_base's RawIngestTask, by their arguments.
    task.debug("Problem extracting metadata from %s%s: %s", ResourcePath("/raws/bad.fits"), "", OSError("not a FITS file"))
    task.debug("Extracted metadata for file %s%s", ResourcePath("/raws/a.fits"), "")
    task.warning("Instrument %s for file %s not known to registry", "DECam", ResourcePath("/raws/other.fits"))
    twice = [File("twice.fits", 3), File("again.fits", 3), File("once.fits", 4)]
    exposures = map(lambda files: SimpleNamespace(files=files), [[File("a.fits"), File("b.fits", 1)], twice])
    for exposure in Progress("obs.base.RawIngestTask").wrap(exposures, desc="Ingesting raw exposures"):
        if len(exposure.files) == 2:
            task.info("Exposure %s:%s ingested successfully", "X", "X_1")
    conflict = wrapped(RuntimeError("could not sync"), ConflictingDefinitionError("exposure_time differs"))
    task.warning("Exposure %s:%s could not be registered: %s", "X", "X_2", conflict)
    task.warning("Failed to ingest the following for reason: %s", wrapped(RuntimeError("no"), ValueError("twice in one call")))
    for file in twice:
        task.warning("- %s", file.filename)
    task.warning("Could not extract observation metadata from the following:")
    for name in ("bad.fits", "other.fits"):
        task.warning("- %s", ResourcePath("/raws/" + name))
    raise RuntimeError("Some failures encountered during ingestion")


@click.command(cls=ButlerCommand)
def lose_database():
    lost = OperationalError("INSERT", {}, RuntimeError("server closed the connection unexpectedly"))
    task.warning("Exposure %s:%s could not be registered: %s", "X", "X_2", wrapped(RuntimeError("no"), lost))
    raise RuntimeError("Some failures encountered during ingestion")


@click.command(cls=ButlerCommand)
@click.argument("reason")
def break_off(reason):
    def items():
        yield SimpleNamespace(files=[File("a.fits")])
        raise {"filter": LookupError("no such filter"), "database": ConnectionError("gone")}[reason]

    for exposure in Progress("obs.base.RawIngestTask").wrap(items()):
        pass


@click.command(cls=ButlerCommand)
@click.option("--incremental/--no-incremental", default=False)
@click.option("--where")
def with_options(incremental, where):
    pass
"""


@pytest.fixture(autouse=True)
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Offer the subcommands of a package that breaks."""
    (tmp_path / "broken_plugin.py").write_text(PLUGIN)
    names = ["break-down", "break-after-messages", "leave-with-messages", "leave-silently", "succeed"]
    names += ["ingest-some", "lose-database", "break-off", "with-options"]
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


def test_what_could_not_be_ingested_is_reported_with_the_innermost_cause() -> None:
    report = commands.run_partly(["ingest-some"])
    assert report.failures == (
        ItemFailure("ConflictingDefinitionError: exposure_time differs", (), "X_2", is_conflict=True),
        ItemFailure("ValueError: twice in one call", tuple(f"file:///raws/{name}.fits" for name in ("twice", "again", "once"))),
        ItemFailure("OSError: not a FITS file", ("file:///raws/bad.fits",)),
        ItemFailure("Instrument DECam for file file:///raws/other.fits not known to registry", ("file:///raws/other.fits",)),
    )
    assert report.duplicates == (("file:///raws/twice.fits", "file:///raws/again.fits"),)
    assert (report.error, report.stopped) == ("", False)


def test_a_database_that_is_lost_is_not_a_failure_of_an_exposure() -> None:
    (failure,) = commands.run_partly(["lose-database"]).failures
    assert failure.is_outage
    assert failure.reason == "the database can't be reached"


def test_records_of_files_are_printed_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    commands.run_partly(["ingest-some"])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("reason", "concerns_all"), [("filter", False), ("database", True)])
def test_a_subcommand_that_breaks_off_is_told_from_one_that_came_to_its_end(reason: str, concerns_all: bool) -> None:
    report = commands.run_partly(["break-off", reason])
    assert report.error.startswith("butler break-off: ")
    assert report.concerns_all is concerns_all


def test_items_are_counted_and_a_stop_ends_the_subcommand_between_two(monkeypatch: pytest.MonkeyPatch) -> None:
    link = WorkerLink(multiprocessing.get_context("forkserver"))
    monkeypatch.setattr(worker_link, "_link", link)
    commands.run_partly(["ingest-some"])
    assert link.steps == Steps(0, 5)
    link.stop_requested = True
    report = commands.run_partly(["ingest-some"])
    assert report == CommandReport(stopped=True)
    assert link.steps == Steps(0, 5)


def test_the_options_of_a_subcommand_are_listed() -> None:
    assert {"--incremental", "--no-incremental", "--where"} <= set(commands.list_options("with-options"))
    assert "--skip-conflicting" not in commands.list_options("with-options")
    assert commands.list_options("does-not-exist") == []


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
