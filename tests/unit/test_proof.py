"""A proof holds only for an equal claim and the same members; its file is ignored unless it is this user's own."""

from __future__ import annotations

import dataclasses
import datetime
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.engine import proof_store
from reconciler.engine.proof import MARGIN, Claim, Proof, find_boundary
from reconciler.engine.proof_store import ProofStore

NOW = datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.UTC)
CLAIM = Claim("raw.x", "spec", {"t.csv": "digest"}, "sqlite:///db")
PROOF = Proof(CLAIM, find_boundary(NOW), 10, frozenset({"a", "b"}), NOW)


@pytest.fixture
def store(tmp_path: Path) -> ProofStore:
    return ProofStore(tmp_path / "state" / "proofs")


def only_file(store: ProofStore) -> Path:
    (path,) = store.folder.iterdir()
    return path


def test_the_boundary_is_a_day_before_the_listing() -> None:
    assert find_boundary(NOW) == NOW - MARGIN == NOW - datetime.timedelta(days=1)


@given(st.sets(st.text()), st.sets(st.text()), st.integers(0, 99), st.integers(0, 99))
def test_a_proof_holds_exactly_if_the_older_number_and_the_newer_members_are_the_same(
    recorded: set[str], newer: set[str], older: int, total: int
) -> None:
    proof = Proof(CLAIM, NOW, older, frozenset(recorded))
    assert proof.holds(total, newer) == (newer == recorded and total == older + len(newer))


@given(st.sets(st.text()), st.sets(st.text()), st.integers(0, 99), st.integers(0, 99))
def test_members_are_added_to_a_proof_only_if_all_of_its_own_are_there(
    recorded: set[str], newer: set[str], older: int, total: int
) -> None:
    added = Proof(CLAIM, NOW, older, frozenset(recorded)).find_added(total, newer)
    assert added == (newer - recorded if recorded <= newer and total == older + len(newer) else None)


def test_a_recorded_proof_is_found_again_and_only_its_owner_can_read_it(store: ProofStore) -> None:
    store.record(PROOF)
    assert store.find(CLAIM) == PROOF
    assert only_file(store).stat().st_mode & 0o777 == 0o600
    assert store.folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "change",
    [
        {"address": "raw.y"},
        {"spec": "edited"},
        {"inputs": {"t.csv": "edited"}},
        {"inputs": {}},
        {"inputs": {"t.csv": "digest", "more": "x"}},
        {"identity": "sqlite:///other"},
        {"version": "0"},
    ],
)
def test_a_proof_of_another_claim_is_not_found(store: ProofStore, change: dict[str, object]) -> None:
    store.record(PROOF)
    assert store.find(dataclasses.replace(CLAIM, **change)) is None  # type: ignore[arg-type]


def test_a_resource_may_be_proven_if_a_file_of_this_user_begins_with_its_address(store: ProofStore) -> None:
    odd = dataclasses.replace(CLAIM, address='raw."a \\ \u00e9"')
    assert not store.may_have(odd.address)
    store.record(PROOF)
    assert not store.may_have(odd.address)
    store.record(dataclasses.replace(PROOF, claim=odd, newer=frozenset(map(str, range(10_000)))))
    assert store.may_have(odd.address)
    assert store.may_have(CLAIM.address)
    assert not store.may_have("raw")
    for path in store.folder.iterdir():
        path.chmod(0o622)
    os.mkfifo(store.folder / "0.json")
    assert not store.may_have(CLAIM.address)


def test_an_earlier_proof_differs_only_in_its_inputs(store: ProofStore) -> None:
    store.record(PROOF)
    grown = dataclasses.replace(CLAIM, inputs={"t.csv": "digest", "more": "x"})
    assert store.find_earlier(grown) == PROOF
    assert store.find(grown) is None
    assert store.find_earlier(dataclasses.replace(grown, version="0")) is None


def test_a_new_proof_replaces_the_one_of_an_earlier_input(store: ProofStore) -> None:
    store.record(PROOF)
    edited = dataclasses.replace(CLAIM, inputs={"t.csv": "edited"})
    store.record(dataclasses.replace(PROOF, claim=edited))
    assert store.find(CLAIM) is None
    assert store.find(edited) is not None
    assert only_file(store)


@given(content=st.binary(max_size=99) | st.sampled_from([b"[" * 99_999, b"{}", b'{"format": 1, "claim": 3}']))
def test_arbitrary_bytes_are_not_a_proof(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    store = ProofStore(tmp_path_factory.mktemp("proofs"))
    store.record(PROOF)
    only_file(store).write_bytes(content)
    assert store.find(CLAIM) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"older": 10', '"older": -1'),
        ('"older": 10', '"older": true'),
        ('"older": 10', '"older": 1.5'),
        ("21T12:00:00+00:00", "21T12:00:00"),
        ("22T12:00:00+00:00", "22T12:00:00"),
        ('"listed": "', '"listed": "x'),
        ('"listed": "', '"listed": 1, "x": "'),
        ('["a", "b"]', '"ab"'),
        ('["a", "b"]', "[1]"),
    ],
)
def test_a_proof_with_an_impossible_value_is_ignored(store: ProofStore, old: str, new: str) -> None:
    store.record(PROOF)
    path = only_file(store)
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert store.find(CLAIM) is None


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_proof_that_others_may_write_to_is_ignored(store: ProofStore, mode: int) -> None:
    store.record(PROOF)
    only_file(store).chmod(mode)
    assert store.find(CLAIM) is None


def test_a_proof_of_another_user_is_ignored(store: ProofStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.record(PROOF)
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    assert store.find(CLAIM) is None


def test_a_link_or_a_folder_in_place_of_a_proof_is_ignored(store: ProofStore, tmp_path: Path) -> None:
    store.record(PROOF)
    path = only_file(store)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert store.find(CLAIM) is None
    path.unlink()
    path.mkdir()
    assert store.find(CLAIM) is None
    store.record(PROOF)  # can't replace a folder, which is no error


def test_a_folder_that_cannot_be_made_means_no_proof(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = ProofStore(tmp_path / "file" / "proofs")
    store.record(PROOF)
    assert store.find(CLAIM) is None


def test_the_oldest_proofs_are_deleted(store: ProofStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof_store, "MOST_PROOFS", 3)
    for number in range(5):
        store.record(dataclasses.replace(PROOF, claim=dataclasses.replace(CLAIM, address=str(number))))
    assert len(list(store.folder.iterdir())) == 3
    assert store.find(dataclasses.replace(CLAIM, address="4")) is not None
