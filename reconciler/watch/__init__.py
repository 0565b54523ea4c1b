"""Drift detection from cron: check states without changing anything, remember what was found, and name its cause and age.

Data flows one way: `observation` (one state, in a process of its own) → `evaluation` (with the memory of `history`, the journal
and the acknowledgements) → `model.StateReport`, which the history stores and every output reads.
"""
