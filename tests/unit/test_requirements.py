"""What isn't installed here is known before anything runs."""

from fakes import FakeContext, FakeSpec, address, make_state

from reconciler.engine.requirements import find_unmet_requirements

TABLES = {
    "box.a": FakeSpec(butler_commands=("ingest-raws", "define-visits"), classes=("x.Task",)),
    "box.b": FakeSpec(butler_commands=("define-visits",), classes=("x.Task", "a.Other")),
    "box.c": FakeSpec(butler_commands=("never",), classes=("x.Never",)),
}
STATE = make_state(TABLES)
CHOSEN = [address("box.a"), address("box.b")]


def test_what_is_missing_is_named_by_address() -> None:
    context = FakeContext(missing_commands={"define-visits"}, missing_classes={"a.Other"})
    assert find_unmet_requirements(STATE, context, CHOSEN) == {
        address("box.a"): "needs the Science Pipelines, set up in this shell, for butler define-visits",
        address("box.b"): "needs the Science Pipelines, set up in this shell, for butler define-visits, a.Other",
    }


def test_each_name_is_checked_once_and_only_for_the_selected_resources() -> None:
    context = FakeContext()
    assert find_unmet_requirements(STATE, context, CHOSEN) == {}
    assert context.asked_commands == [["define-visits", "ingest-raws"]]
    assert context.asked_classes == [["a.Other", "x.Task"]]


def test_a_missing_class_alone_is_named() -> None:
    context = FakeContext(missing_classes={"x.Task"})
    unmet = find_unmet_requirements(STATE, context, CHOSEN)
    assert unmet[address("box.a")].endswith("for x.Task")


def test_a_missing_default_formatter_is_named_with_its_dataset_type() -> None:
    state = make_state({"box.a": FakeSpec(default_formatters=("refcat", "bias"))})
    unmet = find_unmet_requirements(state, FakeContext(missing_formatters={"refcat"}), [address("box.a")])
    assert unmet == {address("box.a"): "needs the Science Pipelines, set up in this shell, for the default formatter of refcat"}
