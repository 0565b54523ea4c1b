"""The command line program, also as ``python -m reconciler``."""

from reconciler.early_signals import end_on_signals
from reconciler.quick_end import run_and_end


def run() -> None:
    """Run the program."""
    end_on_signals()
    run_and_end(_run)


def _run() -> None:
    from reconciler.cli import main  # most of the time until the program reacts to signals by itself is spent here

    main()


if __name__ == "__main__":
    run()
