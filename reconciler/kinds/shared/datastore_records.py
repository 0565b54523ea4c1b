"""Compare what the datastore records of the files of datasets with the files that they should have.

A dataset that the registry has may lack a record, or its record may point at the file of another dataset. The same file under
another protocol or path is no difference here, since that depends on how each dataset was ingested.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import TYPE_CHECKING

from reconciler.engine.model import JsonObject

if TYPE_CHECKING:
    from reconciler.systems.butler.repository import DatasetRef
    from reconciler.systems.context import Context

NO_RECORD = "none in the datastore"


def find_wrong_records(
    context: Context, refs: Mapping[Hashable, DatasetRef], desired: Mapping[Hashable, JsonObject]
) -> Iterator[JsonObject]:
    """Yield the desired members, each with its ``path``, whose datasets have no record or one of another dataset's file."""
    chosen = {key: ref for key, ref in refs.items() if key in desired}
    paths = context.butler.recorded_paths(chosen.values())
    recorded = {key: paths.get(str(ref.id)) for key, ref in chosen.items()}
    yield from compare_paths(recorded, desired, context.butler.comparable_path)


def compare_paths(
    recorded: Mapping[Hashable, str | None], desired: Mapping[Hashable, JsonObject], comparable: Callable[[str], str]
) -> Iterator[JsonObject]:
    """Yield the desired members whose recorded path is missing, or is the path of another member.

    ``comparable`` returns a URI in the form of the recorded ones.
    """
    own = {key: comparable(member["path"]) for key, member in desired.items()}
    owned = set(own.values())
    users: dict[str | None, set[str]] = defaultdict(set)
    for key, path in recorded.items():
        users[path].add(own[key])
    for key, path in recorded.items():
        if path is None or (path != own[key] and (path in owned or len(users[path]) > 1)):
            yield {**desired[key], "existing_path": path or NO_RECORD}
