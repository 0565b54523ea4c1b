"""Run the command line program with ``python -m reconciler``."""

from reconciler.cli import main

main()
