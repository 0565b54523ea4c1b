"""What is wrong with zips and with what was ingested from them, as conditions for reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.counts import plural
from reconciler.engine.commands import REPO, Command
from reconciler.engine.model import Condition, DifferenceKind, JsonObject
from reconciler.kinds.raw_zip.listing import ExposureZip
from reconciler.kinds.raw_zip.spec import RawZipSpec
from reconciler.kinds.shared.datastore_records import NO_RECORD

if TYPE_CHECKING:
    from reconciler.systems.butler.repository import DatasetRef
    from reconciler.systems.butler.zips import ZipContent
    from reconciler.systems.context import Context


@dataclass(frozen=True)
class ZipState:
    """How an ingested exposure compares with its zip.

    Parameters
    ----------
    missing : `tuple` [`str`, ...]
        Data IDs of the datasets of the zip that the repository lacks, as text.
    others : `int`
        Number of raws of the exposure that are not from this zip.
    types : frozenset
        The types of its datasets that the repository has, each with their RUN collection.
    """

    missing: tuple[str, ...]
    others: int
    types: frozenset[tuple[str, str]]

    @property
    def is_partly(self) -> bool:
        """Whether the repository has some of its datasets, and lacks others."""
        return bool(self.missing and self.types)


def find_state(content: ZipContent, raws: Set[str], everything: Set[str]) -> ZipState:
    """Compare the datasets in a zip with the raws of its exposure, and with all datasets of its night."""
    missing = tuple(
        sorted(
            f"{found.dataset_type} of detector {found.data_id.get('detector')}"
            for id, found in content.datasets.items()
            if id not in everything
        )
    )
    types = frozenset((found.dataset_type, found.run) for id, found in content.datasets.items() if id in everything)
    return ZipState(missing, len(raws - content.datasets.keys()), types)


def describe_states(present: Sequence[ExposureZip], states: Mapping[str, ZipState], instrument: str) -> Iterator[Condition]:
    """Describe the exposures that are not as in their zips."""
    partly = [z for z in present if (state := states.get(z.obs_id)) and state.missing and not state.others]
    if partly:
        its = "its zip, which can only be ingested" if len(partly) == 1 else "their zips, which can only be ingested"
        has = "exposure has" if len(partly) == 1 else "exposures have"
        text = f"{len(partly):,} {has} only some of the datasets of {its} as a whole: remove the rest of them, then apply"
        members = tuple(_describe_member(zipped, f"lacks {_shorten(states[zipped.obs_id].missing)}") for zipped in partly)
        yield Condition(DifferenceKind.BLOCKED, text, members, "exposures", tuple(_removal(partly, states, instrument)))
    others = [zipped for zipped in present if (state := states.get(zipped.obs_id)) and state.others]
    if others:
        text = f"{plural(len(others), 'exposure')} with raws that are not from the zip that Rucio has"
        members = tuple(
            _describe_member(zipped, f"{states[zipped.obs_id].others:,} of its raws have other UUIDs") for zipped in others
        )
        yield Condition(DifferenceKind.DEGRADED, text, members, "exposures")


def _removal(zips: Sequence[ExposureZip], states: Mapping[str, ZipState], instrument: str) -> Iterator[Command]:
    for zipped in zips:
        where = f"instrument='{instrument}' AND exposure.obs_id='{zipped.obs_id}'"
        for name, run in sorted(states[zipped.obs_id].types, reverse=True):
            yield Command(
                "butler", "prune-datasets", REPO, run, "--purge", run, "--datasets", name, "--where", where, "--no-confirm"
            )


def check_guiders(spec: RawZipSpec, types: Set[tuple[str, str]], guider: str) -> Iterator[Condition]:
    """Report that zips contain guiders of another RUN collection than the table names, so that a proof can't cover them."""
    runs = {run for name, run in types if name == guider} - {spec.guiders}
    if spec.guiders and runs:
        text = f"zips contain {guider} of {', '.join(sorted(runs))}, not of {spec.guiders}"
        yield Condition(DifferenceKind.DEGRADED, text, field="guiders")


def describe_unusable(here: Sequence[ExposureZip], problems: Mapping[str, str]) -> Iterator[Condition]:
    """Describe the zips that have arrived and can't be ingested."""
    members = tuple(_describe_member(zipped, problems[zipped.obs_id]) for zipped in here if zipped.obs_id in problems)
    if members:
        text = f"{plural(len(members), 'zip')} can't be ingested"
        yield Condition(DifferenceKind.BLOCKED, text, members, "exposures")


def describe_damaged(present: Sequence[ExposureZip], problems: Mapping[str, str]) -> Iterator[Condition]:
    """Describe the zips of ingested exposures that can't be read any more."""
    members = tuple(_describe_member(zipped, problems[zipped.obs_id]) for zipped in present if zipped.obs_id in problems)
    if members:
        text = f"{plural(len(members), 'zip')} of ingested exposures can't be used"
        yield Condition(DifferenceKind.DEGRADED, text, members, "exposures")


def check_places(
    context: Context,
    spec: RawZipSpec,
    present: Sequence[ExposureZip],
    raws: Mapping[str, DatasetRef],
    by_exposure: Mapping[str, Set[str]],
) -> Iterator[Condition]:
    """Describe raws without a record in the datastore, or with one of another file than their zip."""
    if not raws or not context.policy.compares_records(len(raws)):
        return
    from reconciler.systems.storage import find_container

    paths = context.butler.recorded_paths(raws.values())
    members = []
    for zipped in present:
        places = {find_container(paths.get(id, NO_RECORD)) for id in by_exposure[zipped.obs_id]}
        wrong = places - {context.butler.comparable_path(zipped.path)} if spec.transfer == "direct" else places & {NO_RECORD}
        if wrong:
            members.append({"exposure": zipped.obs_id, "day_obs": zipped.night, "existing_path": ", ".join(sorted(wrong))})
    if members:
        text = f"{plural(len(members), 'exposure')} with raws whose record in the datastore isn't of their zip"
        yield Condition(DifferenceKind.DEGRADED, text, tuple(members), "exposures")


def _describe_member(zipped: ExposureZip, problem: str) -> JsonObject:
    return {"exposure": zipped.obs_id, "day_obs": zipped.night, "problem": problem, "zip": zipped.path}


def _shorten(names: Sequence[str]) -> str:
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + rest
