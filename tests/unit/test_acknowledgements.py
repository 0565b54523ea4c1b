"""Acknowledgement files: reading, what is wrong with them, and writing them without losing what somebody wrote."""

import datetime
from pathlib import Path

import pytest
from watch_data import CHAIN, RAW, difference, forbid_access, unknown

from reconciler.errors import StateError
from reconciler.watch.acknowledgements import (
    Acknowledgement,
    acknowledgement_path,
    check_acknowledgements,
    find_acknowledgement,
    fingerprint_of,
    load_acknowledgements,
    parse_place,
    write_acknowledgement,
)

TODAY = datetime.date(2026, 11, 10)
ENTRY = Acknowledgement(address=RAW, field="raws", reason="lost at SLAC", ticket="DM-1", until=datetime.date(2026, 12, 24))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = tmp_path / "state" / "ccms1.toml"
    path.parent.mkdir()
    path.touch()
    return path


def write(state: Path, text: str) -> Path:
    path = acknowledgement_path(state)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def problems(state: Path) -> tuple[str, ...]:
    return check_acknowledgements(load_acknowledgements(state), [RAW, CHAIN], {CHAIN: ["children", "doc"]}, TODAY)


def test_a_state_without_a_file_has_no_acknowledgements(state: Path) -> None:
    assert load_acknowledgements(state).entries == ()
    assert problems(state) == ()


def test_no_pattern_for_states_matches_an_acknowledgement_file(state: Path) -> None:
    write_acknowledgement(state, ENTRY)
    assert [path.name for path in state.parent.glob("*.toml")] == ["ccms1.toml"]
    assert acknowledgement_path(state) == state.parent / "acks" / "ccms1.toml"


HEAD = "version = 1\n[[acknowledge]]\n"
GOOD = "address = 'chain.calib'\nreason = 'r'\nuntil = 2026-12-24\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HEAD + GOOD, []),
        (HEAD + GOOD.replace("calib", "calibs"), ['chain.calibs: no table has this address; did you mean "chain.calib"?']),
        (HEAD + GOOD + "field = 'childern'\n", ['chain.calib:childern: unknown field "childern"; did you mean "children"?']),
        (HEAD + GOOD + "reasn = 'x'\n", ['chain.calib: unknown key "reasn"; did you mean "reason"?']),
        (
            HEAD + GOOD.replace("until", "untl"),
            ['chain.calib: has no end; add "until"', 'unknown key "untl"; did you mean "until"?'],
        ),
        (HEAD + GOOD.replace("2026-12-24", "2026-11-09"), ["chain.calib: the acknowledgement ended on 2026-11-09"]),
        (HEAD + GOOD.replace("2026-12-24", "'soon'"), ["chain.calib: until: input should be a valid date"]),
        (HEAD + GOOD.replace("'r'", "''"), ["chain.calib: reason: string should have at least 1 character"]),
        (HEAD + "reason = 'r'\nuntil = 2026-12-24\n", ["acknowledgement 1: has no address"]),
        ("version = 2\n", ["version: must be 1"]),
        ("version = 1\nacknowlege = 3\n", ['unknown key "acknowlege"; did you mean "acknowledge"?']),
        ("version = 1\n[acknowledge]\naddress = 'x'\n", ["write [[acknowledge]], with two brackets"]),
        ("version = ", ["invalid TOML"]),
        ("version = 1\nacknowledge = ['x']\n", ["acknowledgement 1: input should be a valid dictionary"]),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line_for_each_mistake(state: Path, text: str, expected: list[str]) -> None:
    write(state, text)
    found = problems(state)
    assert len(found) == len(expected)
    for problem, part in zip(found, expected, strict=True):
        assert problem.startswith("acks/ccms1.toml")
        assert part in problem


def test_a_field_that_shows_only_while_it_differs_is_no_mistake_if_reconcile_ack_wrote_it(state: Path) -> None:
    write(state, HEAD + GOOD + "field = 'storage'\nfingerprint = 'f'\n")
    assert problems(state) == ()
    write(state, HEAD + GOOD + "field = 'storage'\n")
    assert 'unknown field "storage"' in problems(state)[0]
    write(state, HEAD + GOOD + "field = 'childern'\nfingerprint = 'f'\n")
    assert 'did you mean "children"?' in problems(state)[0]


def test_a_mistake_in_one_acknowledgement_does_not_end_the_others(state: Path) -> None:
    write(state, HEAD + GOOD + "[[acknowledge]]\naddress = 'x'\n")
    assert [entry.address for entry in load_acknowledgements(state).entries] == [CHAIN]


def test_a_folder_without_permission_is_a_problem_and_never_no_acknowledgements(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_access(monkeypatch, write(state, HEAD + GOOD))
    assert load_acknowledgements(state).problems == (f"{acknowledgement_path(state)}: can't be read: Permission denied",)
    with pytest.raises(StateError, match="can't be read: Permission denied"):
        write_acknowledgement(state, ENTRY)


def test_writing_keeps_comments_and_order_and_replaces_only_the_same_place(state: Path) -> None:
    other = "# the chain is being reviewed\n[[acknowledge]]\n" + GOOD + "\n# end\n"
    path = write(state, "# reviewed weekly\nversion = 1  # format\n\n" + other)
    write_acknowledgement(state, ENTRY)
    first = path.read_text()
    assert first.startswith("# reviewed weekly\nversion = 1  # format\n\n" + other.rstrip("\n"))
    renewed = ENTRY.model_copy(update={"until": datetime.date(2027, 1, 31), "ticket": ""})
    write_acknowledgement(state, renewed)
    assert path.read_text().startswith("# reviewed weekly\nversion = 1  # format\n\n" + other.rstrip("\n"))
    entries = load_acknowledgements(state).entries
    assert [(entry.address, entry.field) for entry in entries] == [(CHAIN, None), (RAW, "raws")]
    assert entries[1] == renewed


def test_a_new_file_says_what_it_is_and_is_valid(state: Path) -> None:
    path = write_acknowledgement(state, ENTRY)
    assert path.read_text().startswith("# Accepted differences of ccms1.toml.")
    found = load_acknowledgements(state)
    assert (found.entries, found.problems) == ((ENTRY,), ())


@pytest.mark.parametrize("content", ["", "# reviewed weekly\n"])
def test_a_file_without_a_version_gets_one(state: Path, content: str) -> None:
    path = write(state, content)
    write_acknowledgement(state, ENTRY)
    found = load_acknowledgements(state)
    assert (found.entries, found.problems) == ((ENTRY,), ())
    assert content in path.read_text()


def test_a_file_of_another_version_is_not_changed(state: Path) -> None:
    path = write(state, "version = 2\n")
    with pytest.raises(StateError, match=r"acks/ccms1.toml: version: must be 1"):
        write_acknowledgement(state, ENTRY)
    assert path.read_text() == "version = 2\n"


def test_a_link_to_a_file_elsewhere_stays_a_link(state: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared.toml"
    shared.write_text("version = 1\n")
    path = acknowledgement_path(state)
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(shared)
    write_acknowledgement(state, ENTRY)
    assert path.is_symlink()
    assert load_acknowledgements(state).entries == (ENTRY,)
    assert shared.read_text() != "version = 1\n"


def test_a_file_that_is_not_toml_is_not_overwritten(state: Path) -> None:
    path = write(state, "version = ")
    with pytest.raises(StateError, match="invalid TOML"):
        write_acknowledgement(state, ENTRY)
    assert path.read_text() == "version = "


@pytest.mark.parametrize("content", ["acknowledge = 3", 'acknowledge = "x"', "acknowledge = [3]", '[acknowledge]\naddress = "b"'])
def test_a_file_without_a_list_of_acknowledgements_is_not_overwritten(state: Path, content: str) -> None:
    path = write(state, content)
    before = path.read_text()
    with pytest.raises(StateError, match=r"acks/ccms1.toml: write \[\[acknowledge\]\], with two brackets"):
        write_acknowledgement(state, ENTRY)
    assert path.read_text() == before


def test_an_acknowledgement_joins_or_replaces_those_of_an_inline_list(state: Path) -> None:
    write(state, f"version = 1\nacknowledge = [{{address = '{CHAIN}', reason = \"x\", until = 2026-12-24}}]")
    for entry in (ENTRY, ENTRY.model_copy(update={"reason": "found again"})):
        write_acknowledgement(state, entry)
        found = load_acknowledgements(state)
        assert (len(found.entries), found.entries[1], found.problems) == (2, entry, ())


def test_an_acknowledgement_of_a_field_leaves_other_fields_of_the_resource() -> None:
    raws, rules = difference(), difference(field="rules", fingerprint="r")
    covered = ENTRY.model_copy(update={"fingerprint": fingerprint_of([raws, rules], RAW, "raws")})
    assert find_acknowledgement(raws, [raws, rules], [covered], TODAY)[0] is not None
    assert find_acknowledgement(rules, [raws, rules], [covered], TODAY) == (None, "")


def test_an_acknowledgement_of_a_resource_ends_when_another_difference_joins() -> None:
    raws, rules = difference(), difference(field="rules", fingerprint="r")
    whole = ENTRY.model_copy(update={"field": None, "fingerprint": fingerprint_of([raws], RAW, None)})
    assert find_acknowledgement(raws, [raws], [whole], TODAY)[0] is not None
    assert find_acknowledgement(raws, [raws, rules], [whole], TODAY) == (
        None,
        "its acknowledgement ended because the difference changed",
    )


def test_a_failed_check_of_a_resource_does_not_change_its_fingerprint() -> None:
    assert fingerprint_of([difference(), unknown()], RAW, None) == fingerprint_of([difference()], RAW, None)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (RAW, (RAW, None)),
        ("raw.LSSTComCam/raw/all", (RAW, None)),
        ("raw.LSSTComCam/raw/all:raws", (RAW, "raws")),
        ('rucio_dataset."raw:d"', ('rucio_dataset."raw:d"', None)),
        ("rucio_dataset.raw:d", ('rucio_dataset."raw:d"', None)),
        ("rucio_dataset.raw:d:rules", ('rucio_dataset."raw:d"', "rules")),
    ],
)
def test_a_place_is_an_address_with_or_without_quotes_and_perhaps_a_field(place: str, expected: tuple[str, str | None]) -> None:
    assert parse_place(place, [RAW, CHAIN, 'rucio_dataset."raw:d"']) == expected


def test_an_address_that_no_table_has_gets_a_suggestion() -> None:
    with pytest.raises(StateError, match=r'chain\.calibs: no table has this address; did you mean "chain\.calib"\?'):
        parse_place("chain.calibs", [RAW, CHAIN])
