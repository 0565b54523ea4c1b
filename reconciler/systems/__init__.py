"""Adapters of the live systems; no other package imports ``lsst``, ``rucio`` or ``sqlalchemy``."""
