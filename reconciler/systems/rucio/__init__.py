"""The Rucio server."""
