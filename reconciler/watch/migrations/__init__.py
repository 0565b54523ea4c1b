"""Versions of the history's tables; alembic applies them when a history of an older version is opened."""

HEAD = "0003"
"""The newest version. A history that has it needs no alembic, whose import takes longer than the rest of opening it."""
