"""Registering the datasets of a Butler repository in a Rucio dataset: what is to be registered, what blocks that, and doing it.

Where the source can't be opened, the commands to run there are shown. `reconciler.kinds.shared.registration_check` compares what
is registered with the source.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.counts import plural
from reconciler.engine.model import Comparison, Condition, DifferenceKind, Members
from reconciler.errors import ApplyError
from reconciler.kinds.shared.delivery import match_name_suffix
from reconciler.kinds.shared.registration_check import compare_registration, describe_added, find_unregistered
from reconciler.kinds.shared.rucio_dataset_actions import Register, RegisterDatasets, close_command, register_command

if TYPE_CHECKING:
    from reconciler.systems.context import Context
    from reconciler.systems.rucio.facts import DidFacts, FileFacts, RuleFacts
    from reconciler.systems.rucio.register import RegistrationSource


@dataclass(frozen=True)
class Setup:
    """What has to be registered or closed, and what blocks that; an empty dataset to create has an empty Setup.

    Parameters
    ----------
    to_register : `int`
        Number of datasets to register from here.
    unfinished : `bool`
        Whether it is open because something has still to be registered, here or at the source, or to be closed after that.
    close : `bool`
        Whether to close it.
    conditions : `tuple` [`Condition`, ...]
        What can't be done from here, and what the source does not have yet.
    """

    to_register: int = 0
    unfinished: bool = False
    close: bool = False
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class DatasetFacts:
    """What was queried of one dataset.

    Parameters
    ----------
    did : `DidFacts` or `None`
        The DID; `None` if it doesn't exist.
    rules : `tuple` [`RuleFacts`, ...]
        Its rules, of all accounts.
    account : `str`
        The owner of rules that name no account.
    now : `datetime.datetime`
        UTC, naive.
    files : sequence of `FileFacts`, optional
        Its files, if they were listed.
    source_count : `int`, optional
        Number of datasets of its source; `None` if it exists or its source can't be opened here.
    source_paths : frozenset of `str`, optional
        Files of its source; `None` if it doesn't exist or its source can't be opened here.
    lacking : `tuple` [`str`, ...]
        Dataset types of which its source has no dataset yet.
    fileless : `int`
        Number of datasets of its source that can't be registered, because they don't have exactly one file.
    copies : `tuple` [`Condition`, ...]
        What is wrong with its copies.
    """

    did: DidFacts | None
    rules: tuple[RuleFacts, ...]
    account: str
    now: datetime.datetime
    files: Sequence[FileFacts] | None = None
    source_count: int | None = None
    source_paths: frozenset[str] | None = None
    lacking: tuple[str, ...] = ()
    fileless: int = 0
    copies: tuple[Condition, ...] = ()

    @property
    def length(self) -> int | None:
        """Number of files; `None` if it doesn't exist, or is open and its files were not listed."""
        return len(self.files) if self.files is not None else self.did.length if self.did is not None else None

    @property
    def unregistered(self) -> list[str]:
        """Paths of the source's files that are not in it; none if it doesn't exist or the source can't be opened here."""
        if self.source_paths is None or self.files is None:
            return []
        return find_unregistered(self.source_paths, [file.name for file in self.files])


def build_source(register: Register) -> RegistrationSource:
    """Return the Butler datasets that a table registers, as the library behind rucio-register is asked for them."""
    from reconciler.systems.rucio.register import RegistrationSource

    return RegistrationSource(register.repo, register.dataset_types, register.collections)


def find_registration(name: str, register: Register, facts: DatasetFacts) -> Setup:
    """Find what has to be registered in a dataset that is open or doesn't exist, and whether it can be closed afterwards."""
    if facts.source_count is None and facts.source_paths is None:
        text = f"register at the source: {register.repo} can't be opened here"
        commands = (register_command(name, register), *([] if register.keep_open else [close_command(name)]))
        return Setup(unfinished=True, conditions=(Condition(DifferenceKind.BLOCKED, text, commands=commands),))
    to_register = facts.source_count if facts.source_count is not None else len(facts.unregistered)
    if to_register and not os.path.isfile(register.config):
        what = "is a folder, not a file" if os.path.isdir(register.config) else "no such file"
        text = f"register.config: {register.config}: {what}; rucio-register needs it"
        return Setup(unfinished=True, conditions=(Condition(DifferenceKind.BLOCKED, text),))
    if facts.fileless:
        text = f"{plural(facts.fileless, 'dataset')} of {register.repo} can't be registered: each needs exactly one file"
        return Setup(to_register, unfinished=True, conditions=(Condition(DifferenceKind.BLOCKED, text, field="files"),))
    close = not facts.lacking and not register.keep_open
    if not facts.lacking:
        return Setup(to_register, unfinished=close, close=close)
    rest = "" if register.keep_open else "; it is left open until then"
    text = (
        f"waiting for the source: {', '.join(register.collections)} in {register.repo} have no {', '.join(facts.lacking)}{rest}"
    )
    waiting = Condition(DifferenceKind.WAITING, text, field="files")
    return Setup(to_register, unfinished=not register.keep_open, conditions=(waiting,))


def describe_registration(setup: Setup, facts: DatasetFacts) -> Iterator[Condition]:
    """Yield how the dataset differs from its source beyond what is to be registered; nothing if its source wasn't listed."""
    if facts.source_paths is None or facts.files is None or facts.did is None:
        return
    names = [file.name for file in facts.files]
    if not facts.did.is_open:
        yield from compare_registration(facts.source_paths, names)
        return
    yield from describe_added(facts.source_paths, names)
    if setup.close and not setup.to_register:
        yield Condition(DifferenceKind.CHANGE, "all files of the source are registered, and it is still open", field="open")


def list_members(did: DidFacts, facts: DatasetFacts) -> Iterator[Members]:
    """Yield what has to be registered, or how the files of a dataset were compared with the source."""
    if did.is_open and facts.source_paths is not None:
        missing = tuple({"file": path} for path in facts.unregistered)
        total = len(facts.source_paths)
        yield Members("files", total, total - len(missing), missing)
    elif not did.is_open and facts.length is not None:
        how = Comparison.COUNT if facts.source_paths is None else Comparison.MEMBERS
        yield Members("files", facts.length, facts.length, compared=how)


def register_missing(context: Context, action: RegisterDatasets) -> int:
    """Register the datasets of the source that are not in the dataset, and return how many files that were."""
    from reconciler.systems.rucio.register import register_datasets

    did = action.address.name
    names = {file.name for file in context.rucio.files_by_dataset([did])[did]}
    repository = context.sources.get(action.source.repo)
    if repository is None:
        raise ApplyError(f"register at the source: {action.source.repo} can't be opened here any more")
    return register_datasets(
        context.rucio,
        repository,
        build_source(action.source),
        config=action.source.config,
        dataset=did,
        chunk_size=action.source.chunk_size,
        is_registered=lambda path: match_name_suffix(path, names) is not None,
        progress=lambda done, total: context.report_progress("files", done, total),
    )
