"""A formatter that keeps bytes as they are, for every storage class the stand-in names."""

from __future__ import annotations

import pickle
from typing import Any

from lsst.daf.butler import FormatterV2


class BytesFormatter(FormatterV2):
    """Write a Python object as a pickle, read any file as its bytes."""

    can_read_from_local_file = True
    default_extension = ".fits"

    def read_from_local_file(self, path: str, component: str | None = None, expected_size: int = -1) -> Any:
        with open(path, "rb") as stream:
            return stream.read()

    def write_local_file(self, in_memory_dataset: Any, uri: Any) -> None:
        with open(uri.ospath, "wb") as stream:
            pickle.dump(in_memory_dataset, stream)


class ObjectFormatter(BytesFormatter):
    """Read what was written as a pickle as the object that it was, and any other file as its bytes."""

    def read_from_local_file(self, path: str, component: str | None = None, expected_size: int = -1) -> Any:
        content = super().read_from_local_file(path, component, expected_size)
        return pickle.loads(content) if content.startswith(pickle.PROTO) else content
