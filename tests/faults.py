"""Faults of Rucio and the network, each with the message that an operator must see; ``python tests/faults.py`` prints a table."""

from __future__ import annotations

import sys
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faultproxy import FaultProxy

RULES = r"/rules/"
META = r"/dids/bulkmeta"
FILES = r"/dids/bulkfiles"
DID = r"/dids/[^/]+/[^/]+/meta"


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


def main() -> int:
    """Run every fault against a small world, print the table, and return 1 if any message was missing or anything was lost."""
    import os
    import shutil

    sys.path.insert(0, str(Path(__file__).parent))
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
        print(f"{'fault':<42} {'command':<8} {'exit':<5} {'lost':<9} message")
        for number, fault in enumerate(FAULTS):
            folder = place / str(number)
            folder.mkdir()
            Butler.makeRepo(str(folder / "repo"))
            scene = Scene(folder, world, client, folder / "repo")
            result = scene.run_with_fault(fault)
            lines = [line for line in result.output.splitlines() if fault.message in line]
            lost = scene.find_loss()
            shown = [text for text in fault.absent if text in result.output]
            good = result.exit_code == fault.code and lines and lost == "nothing" and not shown
            bad += not good
            message = lines[0].strip() if lines else f"MISSING: {fault.message}"
            print(f"{fault.name:<42} {fault.command:<8} {result.exit_code:<5} {lost:<9} {message[:160]}", flush=True)
    finally:
        down(world)
        shutil.rmtree(place, ignore_errors=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
