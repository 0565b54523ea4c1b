"""The Butler repository."""
