"""Lists of members in reports, as their kind describes them."""

from __future__ import annotations

from fakes import GivenKind

from reconciler.engine.kind import MemberText
from reconciler.kinds.tagged.kind import TaggedKind
from reconciler.report.members import MOST_LINES, list_members


def kind_of(texts: dict[str, MemberText]) -> GivenKind:
    kind = GivenKind()
    kind.texts = texts
    return kind


def members(*ids: str) -> list[dict[str, str]]:
    return [{"id": its} for its in ids]


def test_no_members_are_no_lines() -> None:
    assert list(list_members(GivenKind(), [])) == []


def test_members_without_a_group_have_a_line_each_in_their_order() -> None:
    assert list(list_members(GivenKind(), members("b", "a"))) == ["b", "a"]


def test_members_of_a_tag_show_their_dataset_type_unless_they_are_raws() -> None:
    detectors = [{"exposure": 7, "detector": number, "dataset_type": name} for name in ("raw", "calexp") for number in (0, 1)]
    assert list(list_members(TaggedKind(), detectors)) == [
        "           7   detectors 0, 1",
        "           7  calexp   detectors 0, 1",
    ]


def test_members_of_a_group_share_a_line_in_the_order_of_their_positions() -> None:
    texts = {
        "x": MemberText("10", group="20241203   two", noun="detector", position=10),
        "y": MemberText("9", group="20241203   two", noun="detector", position=9),
        "z": MemberText("4", group="20241108   one", noun="detector", position=4),
    }
    assert list(list_members(kind_of(texts), members("x", "y", "z"))) == [
        "20241108   one   detector 4",
        "20241203   two   detectors 9, 10",
    ]


def test_one_member_without_a_group_gives_each_member_a_line() -> None:
    texts = {"a": MemberText("one", group="first", noun="part"), "b": MemberText("two")}
    assert list(list_members(kind_of(texts), members("a", "b"))) == ["one", "two"]


def test_a_list_that_is_as_long_as_allowed_is_not_cut() -> None:
    ids = [f"m{number}" for number in range(MOST_LINES)]
    assert list(list_members(GivenKind(), members(*ids))) == ids


def test_a_list_that_is_cut_ends_with_how_many_more_there_are() -> None:
    ids = [f"m{number}" for number in range(MOST_LINES + 1)]
    assert list(list_members(GivenKind(), members(*ids))) == [*ids[:-1], "… and 1 more member"]
    assert list(list_members(GivenKind(), members(*(str(n) for n in range(2000))), most=1)) == ["0", "… and 1,999 more members"]


def test_a_list_of_groups_that_is_cut_counts_groups() -> None:
    texts = {name: MemberText("0", group=f"exposure {name}", noun="detector") for name in "abc"}
    lines = list(list_members(kind_of(texts), members("a", "b", "c"), most=1))
    assert lines == ["exposure a   detector 0", "… and 2 more groups"]
