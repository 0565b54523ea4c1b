"""Proofs for datasets in RUN collections: two counts and a short list show that nothing changed since all were listed.

Only datasets in RUN collections have a date. Members of TAGGED collections and certifications have none, so they are listed.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.engine.diff import canonical
from reconciler.engine.journal import digest
from reconciler.engine.proof import Claim, Proof, find_boundary
from reconciler.engine.proof_store import ProofStore
from reconciler.engine.spec import Spec
from reconciler.files.text import digest_file

if TYPE_CHECKING:
    from reconciler.systems.butler.repository import DatasetRef
    from reconciler.systems.context import Context

MOST_NEWER = 10_000
"""If more members than these are newer than the boundary, all are listed: that takes no longer."""
RENEWED_AFTER = datetime.timedelta(hours=1)
"""How old a proof is that is recorded again with a later boundary, if members are newer than its own."""


@dataclass(frozen=True)
class Growth:
    """What came to datasets since an earlier proof, whose datasets are all there still.

    Parameters
    ----------
    inputs : `Mapping` [`str`, `str`]
        Digest of each input then.
    added : `tuple` [`DatasetRef`, ...]
        The datasets that were not there then.
    listed : `datetime.datetime` or `None`
        Each of the others was listed at this time or later; see `reconciler.engine.proof.Proof`.
    """

    inputs: Mapping[str, str]
    added: tuple[DatasetRef, ...]
    listed: datetime.datetime | None


@dataclass(frozen=True)
class ProvenDatasets:
    """The datasets of one type in some RUN collections, as a table, or several, define them.

    Parameters
    ----------
    context : `reconciler.systems.context.Context`
        The live systems.
    claim : `Claim`
        What a proof depends on.
    dataset_type : `str`
        Their type.
    runs : `tuple` [`str`, ...]
        Their collections.
    begun : `datetime.datetime`
        UTC; since when the answers about them, some of which may be cached, were given.
    """

    context: Context
    claim: Claim
    dataset_type: str
    runs: tuple[str, ...]
    begun: datetime.datetime

    @classmethod
    def prepare(
        cls, context: Context, address: str, spec: str, inputs: Mapping[str, str], dataset_type: str, runs: Sequence[str]
    ) -> ProvenDatasets:
        """Prepare a claim about datasets; ``spec`` and the values of ``inputs`` are digests."""
        claim = Claim(address, spec, inputs, context.butler.identity)
        return cls(context, claim, dataset_type, tuple(runs), context.butler.asked_since(utc_now))

    def find_proof(self, desired: int) -> Proof | None:
        """Return a proof that these datasets, of which so many are desired, are as when they were listed; None without one.

        If members are newer than its boundary and it is older than `RENEWED_AFTER`, it is recorded again with a later boundary.
        """
        if not self.context.policy.reads_proofs(desired):
            return None
        store = ProofStore()
        proof = store.find(self.claim)
        if proof is None or proof.boundary > find_boundary(self.begun):
            return None
        total = self.context.butler.count(self.dataset_type, self.runs)
        newer = self._list_newer(proof.boundary)
        if newer is None or not proof.holds(total, newer):
            return None
        if newer and find_boundary(self.begun) - proof.boundary > RENEWED_AFTER:
            self._record(store, total, proof.listed)  # with a later boundary, fewer have to be listed next time
        return proof

    def find_growth(self, desired: int) -> Growth | None:
        """Return what came to these datasets since they were listed with earlier inputs; None if something else has changed."""
        if not self.context.policy.reads_proofs(desired):
            return None
        proof = ProofStore().find_earlier(self.claim)
        if proof is None or proof.boundary > find_boundary(self.begun):
            return None
        newer = self._list_newer(proof.boundary)
        if newer is None:
            return None
        added = proof.find_added(self.context.butler.count(self.dataset_type, self.runs), newer)
        if added is None:
            return None
        return Growth(proof.claim.inputs, tuple(newer[dataset_id] for dataset_id in sorted(added)), proof.listed)

    def record(self, desired: int, total: int, growth: Growth | None = None) -> None:
        """Record that all desired datasets are here, among ``total`` datasets in the collections.

        Nothing is recorded if ``desired`` are few, with --quick, or if more than `MOST_NEWER` were registered lately.
        All of them were listed since this was prepared or, with ``growth``, only those that it is about.
        """
        if self.context.policy.writes_proofs(desired):
            self._record(ProofStore(), total, self.begun if growth is None else growth.listed)

    def _record(self, store: ProofStore, total: int, listed: datetime.datetime | None) -> None:
        boundary = find_boundary(self.begun)
        newer = self._list_newer(boundary)
        if newer is not None:
            store.record(Proof(self.claim, boundary, total - len(newer), frozenset(newer), listed))

    def _list_newer(self, boundary: datetime.datetime) -> Mapping[str, DatasetRef] | None:
        """Return the datasets registered after a time by UUID; None if there are too many to list them."""
        return self.context.butler.registered_after(self.dataset_type, self.runs, boundary, MOST_NEWER)


def utc_now() -> datetime.datetime:
    """Return the current time."""
    return datetime.datetime.now(datetime.UTC)


def may_be_proven(address: str) -> bool:
    """Return True if there seems to be a proof of a resource, whether or not it still holds."""
    return ProofStore().may_have(address)


def digest_spec(spec: Spec) -> str:
    """Return a digest of the keys of a table that define a resource."""
    return digest(canonical(spec))


def digest_inputs(paths: Sequence[str]) -> dict[str, str]:
    """Return the digest of the content of each input file; raises `reconciler.errors.StateError` if one can't be read."""
    return {path: digest_file(Path(path)) for path in paths}
