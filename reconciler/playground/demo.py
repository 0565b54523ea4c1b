"""The product tour: ``make demo``.

Every line that begins with ``$`` is a command that was really run in the playground's environment; it can be typed by hand.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

from reconciler.playground.up import down
from reconciler.playground.world import World

STATE = Path("state/ccms1.toml")


class TourError(Exception):
    """A command of the tour exited with an unexpected code."""


class Tour:
    """Prints and runs the commands of the tour."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.environment = dict(os.environ)

    def say(self, text: str) -> None:
        """Print what the next commands show."""
        print(f"\n\033[1m# {text}\033[0m" if sys.stdout.isatty() else f"\n# {text}", flush=True)

    def run(self, command: str, expect: int = 0, *, quiet: bool = False) -> str:
        """Print and run a command, and return its output.

        The command is split as a shell would split it, but no shell runs it. With ``quiet`` the output is printed only on
        failure.

        Raises
        ------
        TourError
            If its exit code isn't `expect`.
        """
        print(f"$ {command}", flush=True)
        words = [os.path.expandvars(word) for word in shlex.split(command)]
        program = Path(sys.executable).with_name(words[0])
        words[0] = str(program) if program.exists() else words[0]
        done = subprocess.run(words, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if not quiet or done.returncode != expect:
            print(done.stdout, end="", flush=True)
        if done.returncode != expect:
            raise TourError(f"{command}: exit code {done.returncode}, not {expect}")
        if expect:
            print(f"(exit code {expect})", flush=True)
        return done.stdout


def tour(folder: Path) -> None:
    """Run the tour in a new playground; an earlier one in the folder is removed."""
    started = time.monotonic()
    world = World(folder.resolve())
    if world.record.exists():
        down(world)
    shutil.rmtree(world.root, ignore_errors=True)
    guide = Tour(world)
    guide.say("Create a playground: a real Rucio server, USDF's repository, three nights of raws, a mover.")
    guide.run(f"reconcile playground up {folder}")
    guide.environment |= world.environment() | {"REPO": str(world.repository)}
    os.environ |= {"REPO": str(world.repository)}
    arguments = f"{STATE} --var-file {world.site}"
    guide.say("The whole procedure is one file. Is it valid?")
    guide.run(f"reconcile validate {arguments}")
    guide.say("What differs? Everything is missing. Scripts see that from exit code 2.")
    guide.run(f"reconcile diff {arguments}", expect=2)
    guide.say("The missing work as butler commands, in order.")
    script = guide.run(f"reconcile diff {arguments} --only chain.* --format shell", expect=2, quiet=True)
    print("".join(line for line in script.splitlines(keepends=True) if line.startswith("butler")), end="")
    guide.say("Apply it. What Rucio has to deliver first is waited for.")
    guide.run(f"reconcile apply {arguments} --yes --wait 5m")
    guide.say("Now it is in sync, and a second apply does nothing.")
    guide.run(f"reconcile diff {arguments}")
    guide.run(f"reconcile apply {arguments} --yes")
    guide.say("The tree of collections that users search, as in the procedure.")
    guide.run("butler query-collections --chains=tree $REPO LSSTComCam/DP1/defaults")
    guide.say("Somebody breaks a few things by hand.")
    break_things(guide)
    guide.say("The diff shows each difference and its reason.")
    guide.run(f"reconcile diff {arguments}", expect=2)
    guide.say("Apply repairs exactly that.")
    guide.run(f"reconcile apply {arguments} --yes --wait 5m")
    guide.run(f"reconcile diff {arguments}")
    watch(guide, arguments)
    guide.say("The end. Stop the playground.")
    guide.run(f"reconcile playground down {folder}")
    print(f"\nThe tour took {time.monotonic() - started:.0f} s. The watch wrote its page to {page_folder(world) / 'index.html'}.")


def watch(guide: Tour, arguments: str) -> None:
    """Run the watch, break a chain, and run it again: it reports only what is new, and writes its page."""
    history = guide.world.root / "history.sqlite"
    guide.say("From cron, a watch remembers what it found. It is quiet while nothing changes.")
    guide.run(f"reconcile drift {arguments} --history {history} -v")
    guide.say("Somebody breaks a chain. The watch knows that it was in sync, and what repairs it. It writes a page, too.")
    guide.run("butler collection-chain --mode=remove $REPO LSSTComCam/calib LSSTComCam/calib/DM-48650", quiet=True)
    guide.run(f"reconcile drift {arguments} --history {history} --ledger --html {page_folder(guide.world)}", expect=2)
    guide.run(f"reconcile status {STATE} --history {history}", expect=2)


def page_folder(world: World) -> Path:
    """Return the folder of the page that the watch writes."""
    return world.root / "page"


def break_things(guide: Tour) -> None:
    """Remove a chain child, tags, raws and a rule with ordinary butler and rucio commands."""
    guide.run("butler collection-chain --mode=remove $REPO LSSTComCam/calib LSSTComCam/calib/DM-48650", quiet=True)
    guide.run(
        "butler prune-datasets $REPO LSSTComCam/raw/DP1-RC3/DM-49594 --datasets raw"
        " --disassociate LSSTComCam/raw/DP1-RC3/DM-49594"
        " --where \"instrument='LSSTComCam' AND exposure.seq_num = 3\" --no-confirm",
        quiet=True,
    )
    guide.run(
        "butler prune-datasets $REPO LSSTComCam/raw/all --datasets raw --purge LSSTComCam/raw/all"
        " --where \"instrument='LSSTComCam' AND exposure.seq_num = 4 AND detector IN (4, 7)\" --no-confirm",
        quiet=True,
    )
    did = "raw:Dataset/refcats/the_monster_20240904"
    listed = guide.run(f"rucio rule list --did {did} --csv", quiet=True)
    rules = [line.partition(",")[0] for line in listed.splitlines() if did in line]
    guide.run(f"rucio rule remove {rules[0]}", quiet=True)


if __name__ == "__main__":
    place = Path(sys.argv[1])
    try:
        tour(place)
    except TourError as error:
        down(World(place.resolve()))
        sys.exit(f"the tour ended early: {error}")
