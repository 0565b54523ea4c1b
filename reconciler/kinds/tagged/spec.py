"""The keys of a ``tagged`` table, and the list that it may name."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import Field

from reconciler.engine.spec import InputPath, Spec
from reconciler.errors import StateError
from reconciler.files import visit_list
from reconciler.files.text import read_text

UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class TaggedSpec(Spec):
    """A TAGGED collection; the key is its name."""

    dataset_type: str | tuple[str, ...] = Field(
        description="Dataset type of the members, or a list of several.", examples=["raw"]
    )
    sources: tuple[str, ...] = Field(
        alias="from",
        min_length=1,
        description="Collections that contain the members; may have wildcards.",
        examples=[["LSSTComCam/raw/all"]],
    )
    where: str = Field(
        "", description="Butler query expression that the members satisfy.", examples=["instrument = 'LSSTComCam'"]
    )
    instrument: str | None = Field(None, description="Instrument of the listed visits or exposures.", examples=["LSSTComCam"])
    visits: InputPath | None = Field(
        None, description="File that lists the visits of the members, one number per line.", examples=["good_visits.txt"]
    )
    exposures: InputPath | None = Field(
        None, description="File that lists the exposures of the members, one number per line.", examples=["good_exposures.txt"]
    )
    ids: InputPath | None = Field(
        None, description="File that lists the UUIDs of the members, one per line.", examples=["members.txt"]
    )
    doc: str | None = Field(None, description="Documentation of the collection.", examples=["Raws of the good visits"])

    @property
    def dataset_types(self) -> tuple[str, ...]:
        """The dataset types of the members, also if the table names a single one."""
        return (self.dataset_type,) if isinstance(self.dataset_type, str) else self.dataset_type

    @property
    def listed_dimension(self) -> str:
        """The dimension whose values a file lists: visit or exposure; empty without such a list."""
        return "visit" if self.visits else "exposure" if self.exposures else ""

    def read_numbers(self) -> list[int]:
        """Read the listed visits or exposures, each once; call it only if `listed_dimension` is not empty.

        Raises
        ------
        reconciler.errors.StateError
            If the file can't be read or a line isn't a number.
        """
        return visit_list.read(self.visits or self.exposures or "")

    def read_ids(self) -> set[str]:
        """Read the listed UUIDs, in lower case; call it only if ``ids`` is not empty.

        Raises
        ------
        reconciler.errors.StateError
            If the file can't be read or a line isn't a UUID.
        """
        ids = set()
        for number, line in enumerate(read_text(Path(self.ids or "")).splitlines(), 1):
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            if not UUID.fullmatch(text):
                raise StateError(f'{self.ids}:{number}: "{text[:40]}" is not a UUID')
            ids.add(text.lower())
        return ids

    def check_list(self) -> None:
        """Read the list of the table, which is not used before its datasets exist.

        Raises
        ------
        reconciler.errors.StateError
            If it can't be read or a line of it is wrong.
        """
        if self.listed_dimension:
            self.read_numbers()
        if self.ids:
            self.read_ids()
