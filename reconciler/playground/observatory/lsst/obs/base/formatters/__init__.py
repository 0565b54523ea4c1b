"""Formatters of obs_base."""
