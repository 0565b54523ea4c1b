"""Keep a Butler repository and its Rucio datasets as one file says they are."""

__version__ = "0.1.0"
