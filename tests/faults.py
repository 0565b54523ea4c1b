"""Faults of Rucio and the network, each with the message that an operator must see.

``python tests/faults.py``, which ``make faults`` runs, prints a table of them and of the cases of `fault_cases`: what the
operator sees, the exit code, how long it took, and what was lost.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fault_cases import CASES, SECTIONS, Case
from faultproxy import FaultProxy

RULES = r"/rules/"
META = r"/dids/bulkmeta"
FILES = r"/dids/bulkfiles"
DID = r"/dids/[^/]+/[^/]+/meta"
LONGEST = 30.0
"""Seconds in which a command must have ended, each of whose requests may wait for a second and is tried three times."""


@dataclass(frozen=True)
class Fault:
    """A fault, and how the program must respond.

    Parameters
    ----------
    name : `str`
        Title in the table.
    fault, where, method : `str`
        Arguments of `faultproxy.FaultProxy.doing`.
    message : `str`
        Text that the output must contain.
    code : `int`
        Expected exit code.
    command : `str`
        Command to run during the fault.
    times : `int`
        Number of requests that fail; -1 for all.
    prepared : `bool`
        Whether the state is applied first.
    absent : `tuple` [`str`, ...]
        Texts that the output must not contain.
    """

    name: str
    fault: str
    where: str
    message: str
    code: int = 1
    command: str = "diff"
    method: str = ""
    times: int = -1
    prepared: bool = False
    absent: tuple[str, ...] = ()


FAULTS = [
    Fault("connection reset", "reset", ".", "connection refused or lost"),
    Fault("reset once: the next try is answered", "reset", META, "to change", code=2, times=1),
    Fault("500", "status 500", META, "the server answered 500"),
    Fault("502", "status 502", META, "the server answered 502"),
    Fault("503", "status 503", META, "the server answered 503"),
    Fault("503 twice: the third try is answered", "status 503", META, "to change", code=2, times=2),
    Fault("504", "status 504", META, "the server answered 504"),
    Fault("404 of a proxy", "status 404", META, "404"),
    Fault("409 of a proxy", "status 409", META, "409"),
    Fault(
        "unknown exception in the list of rules: the database is down",
        "exception RucioException",
        RULES,
        "can't query Rucio",
        method="GET",
    ),
    Fault("429 with Retry-After", "status 429", META, "limits the request rate (429)"),
    Fault("403 of a proxy", "status 403", META, "403"),
    Fault("no answer", "hang 4", META, "no answer in time"),
    Fault("stream cut", "cut", META, "cut off"),
    Fault("list silently shorter: DIDs, which are asked for one by one", "short", META, "replicate rule", code=2),
    Fault("list silently shorter: DIDs, and none can be asked for", "short", f"{META}|{DID}", "can't query Rucio"),
    Fault("list silently shorter: files", "short", FILES, "the answer is incomplete"),
    Fault("list silently shorter: rules", "short", RULES, "the answer is incomplete", method="GET", times=1, prepared=True),
    Fault("HTML with status 200", "html", META, "the answer isn't from Rucio"),
    Fault("web page with status 200", "html", META, "it is a web page, such as a login page"),
    Fault("login page with status 200", "html", "/auth", "the answer to the login isn't from Rucio"),
    Fault(
        "a credential and a control character in the answer",
        "exception AccessDenied token=hunter2 \\u001b[31m",
        RULES,
        "the account lacks permission: ",
        command="apply",
        method="POST",
        absent=("hunter2", "\x1b[31m"),
    ),
    Fault("login answers 503", "status 503", "/auth", "could not check the credentials"),
    Fault("login refused", "exception CannotAuthenticate", "/auth", "credentials"),
    Fault("database down behind the server", "exception DatabaseException", META, "can't use its database"),
    Fault(
        "done, then 503: read again, it is done",
        "done-then 503",
        RULES,
        "done, although it reported an error",
        code=0,
        command="apply",
        method="POST",
    ),
    Fault("not done, 503", "status 503", RULES, "the server answered 503", command="apply", method="POST"),
    Fault("RSE not writeable", "exception RSEWriteBlocked", RULES, "RSEWriteBlocked", command="apply", method="POST"),
    Fault("account unknown", "exception AccountNotFound", RULES, "AccountNotFound", command="apply", method="POST"),
    Fault("schema violation", "exception InvalidObject", RULES, "InvalidObject", command="apply", method="POST"),
    Fault("not permitted", "exception AccessDenied", RULES, "the account lacks permission", command="apply", method="POST"),
    Fault("quota exhausted", "exception InsufficientAccountLimit", RULES, "quota", command="apply", method="POST"),
]


class Scene:
    """A state with a Butler part and a Rucio part, whose Rucio server is reached through a `FaultProxy`."""

    def __init__(self, folder: Path, world: Any, client: Any, repo: Path) -> None:
        facts = world.read_record()
        self.proxy = FaultProxy(facts["rucio_url"])
        self.client = client
        self.scope = f"f{uuid.uuid4().hex[:10]}"
        client.add_scope("root", self.scope)
        files = [{"scope": self.scope, "name": f"f{n}", "bytes": 7, "adler32": "00000001"} for n in range(6)]
        client.add_dataset(self.scope, "d")
        client.add_replicas("SLAC_BUTLER_DISK", files)
        client.add_files_to_dataset(self.scope, "d", files)
        client.close(self.scope, "d")
        config = folder / "rucio.cfg"
        config.write_text(
            f"[client]\nrucio_host = {self.proxy.url}\nauth_host = {self.proxy.url}\naccount = root\nauth_type = userpass\n"
            f"username = playground\npassword = {facts['password']}\nauth_token_file_path = {folder}/token\n"
        )
        self.state = folder / "s.toml"
        self.state.write_text(
            f'[reconcile]\nversion = 1\n[repository]\nuri = "{repo}"\n[rucio]\nconfig = "rucio.cfg"\nrse = "IN2P3_RAW_DISK"\n'
            f'timeout = 1\n[collection.a]\ntype = "RUN"\n[rucio_dataset."{self.scope}:d"]\n'
            'rules = [{ rse_expression = "SLAC_BUTLER_DISK" }]\n'
            f'[dataset_type.cat]\nstorage_class = "StructuredDataDict"\ndimensions = ["htm7"]\n'
            f'[expect.e]\ndataset_type = "cat"\ncollections = ["a"]\nmin = 0\ndid = "{self.scope}:d"\nfiles = "none"\n'
        )
        self.environment = {"XDG_STATE_HOME": str(folder / "xdg"), "TMPDIR": str(folder), "RUCIO_CLIENT_MODE": "1"}

    def run(self, *words: str) -> Any:
        """Run a command of the program on the state."""
        from click.testing import CliRunner

        from reconciler.cli import main

        return CliRunner().invoke(main, [words[0], str(self.state), *words[1:]], env=self.environment)

    def run_with_fault(self, fault: Fault) -> Any:
        """Run the command of a fault during the fault."""
        if fault.prepared:
            self.run("apply", "--yes")
        # With a cached token there would be no login that can fail.
        (self.state.parent / "token").unlink(missing_ok=True)
        with self.proxy.doing(fault.fault, fault.where, fault.method, fault.times):
            return self.run(fault.command, *(["--yes"] if fault.command == "apply" else []))

    def find_loss(self) -> str:
        """Apply without the fault, and describe what is missing afterwards, or return "nothing"."""
        end = self.run("apply", "--yes")
        rules = list(self.client.list_did_rules(self.scope, "d"))
        if end.exit_code or len(rules) != 1:
            return f"exit code {end.exit_code}, {len(rules)} rules"
        return "nothing"


HEAD = f"{'fault':<50} {'command':<8} {'exit':>4} {'seconds':>7}  {'lost':<8} message"


def print_row(name: str, command: str, code: int | None, seconds: float | None, lost: str, message: str) -> None:
    """Print a row of the table; what is unknown is left blank."""
    taken = "" if seconds is None else f"{seconds:.1f}"
    print(f"{name:<50} {command:<8} {'' if code is None else code:>4} {taken:>7}  {lost:<8} {message[:150]}", flush=True)


def run_faults() -> int:
    """Run every fault of Rucio against a small world, and return how many had another message or exit code, or lost something."""
    import os
    import shutil

    from lsst.daf.butler import Butler

    from reconciler.playground import catalog
    from reconciler.playground.up import down, up
    from reconciler.playground.world import Sizes, World

    place = Path(tempfile.mkdtemp(prefix="faults-"))
    place.chmod(0o755)
    world = World(place / "w")
    up(world, Sizes(1, 1, 1), mover=False, say=lambda text: None)
    os.environ.update(world.environment())
    bad = 0
    try:
        client = catalog.connect(world)
        for number, fault in enumerate(FAULTS):
            folder = place / str(number)
            folder.mkdir()
            Butler.makeRepo(str(folder / "repo"))
            scene = Scene(folder, world, client, folder / "repo")
            begun = time.monotonic()
            result = scene.run_with_fault(fault)
            seconds = time.monotonic() - begun
            lines = [line for line in result.output.splitlines() if fault.message in line]
            lost = scene.find_loss()
            shown = [text for text in fault.absent if text in result.output]
            good = result.exit_code == fault.code and lines and lost == "nothing" and not shown and seconds < LONGEST
            bad += not good
            message = lines[0].strip() if lines else f"MISSING: {fault.message}"
            print_row(fault.name, fault.command, result.exit_code, seconds, lost, message)
    finally:
        down(world)
        shutil.rmtree(place, ignore_errors=True)
    return bad


@dataclass
class Seen:
    """A run of the program in a test."""

    command: str
    code: int | None
    seconds: float
    output: str


class Recorder:
    """A plugin of pytest that records each run of the program, and prints a row when the test of a case has ended."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self.cases = {case.test: case for case in cases}
        self.runs: list[Seen] = []
        self.rows: dict[str, list[tuple[bool, Seen | None]]] = {case.test: [] for case in cases}
        self.skipped: set[str] = set()

    def pytest_collection_finish(self) -> None:
        import test_interruption
        from click.testing import CliRunner

        end_of, invoke, communicate = test_interruption.end_of, CliRunner.invoke, subprocess.Popen.communicate

        def recorded_end(process: Any) -> str:
            begun = time.monotonic()
            output = end_of(process)
            self.record(process.args, process.returncode, time.monotonic() - begun, output)
            return output

        def recorded_invoke(runner: Any, command: Any, words: Any = (), *arguments: Any, **options: Any) -> Any:
            begun = time.monotonic()
            result = invoke(runner, command, words, *arguments, **options)
            self.record(words, result.exit_code, time.monotonic() - begun, result.output)
            return result

        def recorded_communicate(process: Any, *arguments: Any, **options: Any) -> Any:
            begun = time.monotonic()
            result = communicate(process, *arguments, **options)
            if "reconciler" in process.args:
                output = "".join(text for text in result if isinstance(text, str))
                self.record(process.args, process.returncode, time.monotonic() - begun, output)
            return result

        for module in {item.module for item in self.items if hasattr(item.module, "end_of")}:  # type: ignore[attr-defined]
            module.end_of = recorded_end
        CliRunner.invoke = recorded_invoke  # type: ignore[method-assign]
        subprocess.Popen.communicate = recorded_communicate  # type: ignore[method-assign]

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        self.items = items

    def record(self, words: Sequence[str], code: int, seconds: float, output: str) -> None:
        commands = [word for word in words if word in ("diff", "apply", "drift", "validate", "log")]
        self.runs.append(Seen(commands[0] if commands else "", code, seconds, output))

    def pytest_runtest_logreport(self, report: Any) -> None:
        key = report.nodeid.removeprefix("tests/")
        key = key if key in self.rows else key.partition("[")[0]
        if report.skipped:
            self.skipped.add(key)
        if report.when == "setup":
            self.runs.clear()
        if (report.when != "call" and report.passed) or key not in self.rows or report.skipped:
            return
        case = self.cases[key]
        seen = next((run for run in self.runs if not case.message or case.message in run.output), None)
        self.rows[key].append((report.passed, seen))


def print_case(case: Case, rows: list[tuple[bool, Seen | None]], *, skipped: bool) -> bool:
    """Print the row of a case, whose test may have several parameters, and return whether it is as it must be."""
    if skipped and not rows:
        print_row(case.name, "", None, None, "", "not run here: its test was skipped")
        return True
    passed = bool(rows) and all(good for good, _ in rows)
    runs = [seen for _, seen in rows if seen is not None]
    if not runs:
        missing = f"MISSING: {case.message}" if case.message else f"as its test says ({len(rows)} parameters)"
        print_row(case.name, "", None, None, "nothing" if passed else "FAILED", missing)
        return passed and not case.message
    slowest = max(runs, key=lambda run: run.seconds)
    lines = [line.strip() for line in slowest.output.splitlines() if case.message in line and line.strip()]
    late = slowest.seconds > case.limit
    message = f"TOO LATE, at most {case.limit:g} s: " if late else ""
    message += lines[0] if lines else "(no line)"
    print_row(case.name, slowest.command, slowest.code, slowest.seconds, "nothing" if passed else "FAILED", message)
    return passed and not late


def run_cases() -> int:
    """Run the tests of all cases, and return how many were not as they must be."""
    import contextlib
    import io

    import pytest

    here = Path(__file__).parent
    recorder = Recorder(CASES)
    log = io.StringIO()
    words = ["-q", "-p", "no:cacheprovider", "--rootdir", str(here.parent), *(str(here / case.test) for case in CASES)]
    with contextlib.redirect_stdout(log):
        pytest.main(list(dict.fromkeys(words)), plugins=[recorder])
    bad = 0
    for title, cases in SECTIONS.items():
        print(f"\n{title}")
        bad += sum(not print_case(case, recorder.rows[case.test], skipped=case.test in recorder.skipped) for case in cases)
    if bad:
        print(log.getvalue())
    return bad


def main() -> int:
    """Print the table, and return 1 if any row is not as it must be."""
    from reconciler.playground.world import OBSERVATORY

    sys.path.insert(0, str(OBSERVATORY))  # before lsst is imported, which looks for its parts then
    print(HEAD)
    print("\nRucio and the network")
    bad = run_faults() + run_cases()
    print(f"\n{len(FAULTS) + len(CASES)} cases, {bad} not as they must be")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
