"""Keep a Butler repository and its Rucio datasets in the state that a TOML file describes."""

__version__ = "0.1.0"
