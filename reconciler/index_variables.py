"""The environment variables that give the Butler its repository index."""

from __future__ import annotations

REPOSITORY_INDEXES = ("DAF_BUTLER_REPOSITORY_INDEX", "DAF_BUTLER_REPOSITORIES")
"""The URL of the index, and the index itself; only one of them may be set."""
