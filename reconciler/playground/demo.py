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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from reconciler.playground.up import down
from reconciler.playground.world import World

STATE = Path("state/ccms1.toml")
SHOWN = '[rucio_dataset."raw:Dataset/refcats/the_monster_20240904"]'
"""The first of the lines of the state file that are shown."""
N_SHOWN = 10
TICKET = "LSSTComCam/calib/DM-48650"


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

    def export(self, name: str, value: str) -> None:
        """Set an environment variable for the commands that follow."""
        print(f"$ export {name}={value}", flush=True)
        self.environment[name] = os.environ[name] = value

    def run(self, command: str, expect: int = 0, *, quiet: bool = False, typed: str = "") -> str:
        """Print and run a command, and return its output.

        The command is split as a shell would split it, but no shell runs it. With ``quiet`` the output is printed only on
        failure. ``typed`` is what an operator types.

        Raises
        ------
        TourError
            If its exit code isn't `expect`.
        """
        print(f"$ {command}\n", end="", flush=True)  # one write: two commands may run at the same time
        words = [os.path.expandvars(word) for word in shlex.split(command)]
        program = Path(sys.executable).with_name(words[0])
        words[0] = str(program) if program.exists() else words[0]
        done = subprocess.run(
            words, env=self.environment, text=True, input=typed, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        if not quiet or done.returncode != expect:
            shown = done.stdout.replace("[y/N]: ", f"[y/N]: {typed}", 1) if typed else done.stdout
            print(shown, end="", flush=True)
        if done.returncode != expect:
            raise TourError(f"{command}: exit code {done.returncode}, not {expect}")
        if expect:
            print(f"(exit code {expect})", flush=True)
        return done.stdout


def tour(folder: Path) -> None:
    """Run the tour in a new playground, which stays up; an earlier one in the folder is removed."""
    started = time.monotonic()
    world = World(folder.resolve())
    if world.record.exists():
        down(world)
    shutil.rmtree(world.root, ignore_errors=True)
    guide = Tour(world)
    guide.say("Create a playground: a real Rucio server, USDF's repository, three nights of raws, a mover.")
    guide.run(f"reconcile playground up {folder}")
    guide.environment |= world.environment()
    guide.export("REPO", str(world.repository))
    guide.export("RECONCILE_VAR_FILE", str(world.site))
    guide.export("RECONCILE_JOURNAL", str(world.root / "journal.jsonl"))
    guide.export("RECONCILE_HISTORY", str(world.root / "history.sqlite"))
    show_the_file(guide)
    build(guide)
    guide.say("From cron, a watch compares it each night. It prints something only if something changed.")
    guide.run(f"reconcile drift {STATE}")
    break_things(guide)
    guide.say("The next night, the watch reports what drifted and how to repair it, and writes a page.")
    guide.run(f"reconcile drift {STATE} --ledger --html {world.root / 'page'}", expect=2)
    guide.say("Everything about one of them.")
    guide.run(f"reconcile explain {STATE} rucio_dataset.raw:Dataset/refcats/the_monster_20240904")
    guide.say("Apply repairs exactly that. Then the state is in sync again.")
    guide.run(f"reconcile apply -q --yes --wait 5m {STATE}")
    guide.run(f"reconcile drift -q {STATE}")
    guide.say("What was done, when and by whom.")
    guide.run("reconcile log")
    say_goodbye(folder, world, time.monotonic() - started)


def show_the_file(guide: Tour) -> None:
    """Show ten lines of the state file, and the message for a mistake in it."""
    guide.say("The whole procedure is one file. Ten lines of it:")
    lines = STATE.read_text().splitlines()
    first = lines.index(SHOWN)
    print("\n".join(f"    {line}" for line in lines[first : first + N_SHOWN]))
    guide.say("A mistake is found before anything is done.")
    wrong = STATE.with_name("wrong.toml")
    wrong.write_text(STATE.read_text().replace("children = ", "childern = ", 1))
    try:
        guide.run(f"reconcile validate {wrong}", expect=1)
    finally:
        wrong.unlink()
    guide.run(f"reconcile validate {STATE}")


def build(guide: Tour) -> None:
    """Plan, confirm and apply, and do nothing the second time."""
    plan = guide.world.root / "plan.json"
    guide.say("The plan: everything is missing. Scripts see that from exit code 2.")
    guide.run(f"reconcile plan {STATE} --out {plan}", expect=2)
    guide.say("Apply the saved plan. What Rucio has to deliver first is waited for.")
    guide.run(f"reconcile apply {plan} --wait 5m", typed="y\n")
    guide.say("A second apply does nothing.")
    guide.run(f"reconcile apply -q --yes {STATE}")


def break_things(guide: Tour) -> None:
    """Remove a chain child, raws and a rule with ordinary butler and rucio commands, at the same time as two people might."""
    guide.say("Somebody breaks a few things by hand.")
    butler = [
        f"butler collection-chain --mode=remove $REPO LSSTComCam/calib {TICKET}",
        "butler prune-datasets $REPO LSSTComCam/raw/all --datasets raw --purge LSSTComCam/raw/all"
        " --where \"instrument='LSSTComCam' AND exposure.seq_num = 4 AND detector IN (4, 7)\" --no-confirm",
    ]
    with ThreadPoolExecutor() as side_by_side:
        running = [side_by_side.submit(guide.run, command, quiet=True) for command in butler]
        did = "raw:Dataset/refcats/the_monster_20240904"
        listed = guide.run(f"rucio rule list --did {did} --csv", quiet=True)
        rules = [line.partition(",")[0] for line in listed.splitlines() if did in line]
        guide.run(f"rucio rule remove {rules[0]}", quiet=True)
        for command in running:
            command.result()


def say_goodbye(folder: Path, world: World, seconds: float) -> None:
    """Print how long it took, and three things to try in the playground, which stays up."""
    place = os.path.relpath(folder)
    print(f"""
The tour took {seconds:.0f} s. The page of the watch: {world.root / "page" / "index.html"}
The playground is still up. To try it yourself:
    . {os.path.relpath(Path(sys.executable).with_name("activate"))}; . {place}/env.sh; export RECONCILE_VAR_FILE={place}/site.toml
    reconcile list {STATE} 'chain.*'
    reconcile graph {STATE}
    reconcile help raw.delivered_by
To stop it:
    make demo-down""")


if __name__ == "__main__":
    place = Path(sys.argv[1])
    try:
        tour(place)
    except TourError as error:
        down(World(place.resolve()))
        sys.exit(f"the tour ended early: {error}")
