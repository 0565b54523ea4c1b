"""Start two applies of one state at the same time, and check the result; ``make race`` repeats this 20 times.

The repository doesn't exist before, so both want to create it. In every second pair of races the second apply is that of another
user, whose folder of locks is another one.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from kill import Trial, make_inputs

from reconciler.playground.world import OBSERVATORY, Sizes, World


def race(trial: Trial, *, two_users: bool) -> bool:
    """Start two applies, and return whether both succeeded or one found the lock held, and the state is in sync then."""
    processes = [trial.start()]
    if two_users:
        trial.environment["XDG_STATE_HOME"] += "-of-another-user"
    processes.append(trial.start())
    outputs = [process.communicate()[0] for process in processes]
    codes = sorted(process.returncode for process in processes)
    refused = any("is locked" in output for output in outputs)
    check = trial.start("diff")
    check.communicate()
    return (codes == [0, 0] or (codes == [0, 75] and refused)) and check.returncode == 0


def main() -> int:
    """Start a small playground, and run the races on both databases in turn."""
    from reconciler.playground import catalog
    from reconciler.playground.up import down, up

    times = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    place = Path(tempfile.mkdtemp(prefix="race-"))
    place.chmod(0o755)
    world = World(place / "w")
    sys.path.insert(0, str(OBSERVATORY))  # before anything below lsst is imported
    up(world, Sizes(1, 1, 1), mover=False, say=lambda text: None)
    os.environ.update(world.environment())
    right = 0
    try:
        client = catalog.connect(world)
        inputs = place / "inputs"
        inputs.mkdir()
        make_inputs(inputs)
        expected = None
        for number in range(times):
            trial = Trial(place / str(number), inputs, world, client, bool(number % 2))
            good = race(trial, two_users=number % 4 > 1)
            expected = expected or trial.content()
            right += good and trial.content() == expected
            shutil.rmtree(trial.folder)
    finally:
        down(world)
        shutil.rmtree(place, ignore_errors=True)
    print(f"{right} of {times} correct, half of them on PostgreSQL")
    return 0 if right == times else 1


if __name__ == "__main__":
    sys.exit(main())
