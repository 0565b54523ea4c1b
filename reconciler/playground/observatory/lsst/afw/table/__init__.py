"""Catalogs."""


class BaseCatalog:
    """A catalog."""


class SimpleCatalog(BaseCatalog):
    """A catalog of reference objects."""
