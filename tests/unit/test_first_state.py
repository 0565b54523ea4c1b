"""The first state file: it validates whatever the answers are, and nothing is overwritten."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.cli import main
from reconciler.engine.graph import build_graph
from reconciler.report.first_state import FirstState, format_first_state
from reconciler.state.loader import load


def run(*words: object, answers: str | None = None) -> Result:
    return CliRunner().invoke(main, ["init", *map(str, words)], input=answers)


def test_three_questions_make_a_state_that_validates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(answers="My survey\n\n-\n")
    assert result.exit_code == 0, result.output
    file = tmp_path / "state" / "first.toml"
    assert "Edit it, then compare it with what exists: reconcile diff state/first.toml" in result.output
    assert file.read_text().startswith("#:schema state.schema.json\n")
    assert json.loads((tmp_path / "state" / "state.schema.json").read_text())["title"]
    state = load(file)
    build_graph(state)
    assert (state.title, state.rucio) == ("My survey", None)
    repository = next(spec for address, spec in state.resources.items() if address.kind == "repository")
    assert repository.model_dump(include={"uri", "create"}) == {"uri": str(tmp_path / "repo"), "create": True}


def test_options_answer_the_questions(tmp_path: Path) -> None:
    result = run(tmp_path, "--title", "x", "--repository", "davs://example.org/repo", "--rse", "MY_RSE", "--name", "second")
    assert result.exit_code == 0, result.output
    state = load(tmp_path / "state" / "second.toml")
    assert state.rucio is not None
    assert state.rucio.rse == "MY_RSE"
    assert "# create = true" in (tmp_path / "state" / "second.toml").read_text()


def test_a_state_of_rucio_alone_validates(tmp_path: Path) -> None:
    assert run(tmp_path, "--title", "x", "--repository", "-", "--rse", "MY_RSE").exit_code == 0
    assert load(tmp_path / "state" / "first.toml").resources == {}


def test_a_state_of_nothing_is_refused(tmp_path: Path) -> None:
    result = run(tmp_path, "--title", "x", "--repository", "-", "--rse", "-")
    assert (result.exit_code, result.output) == (1, "error: a state needs a Butler repository or Rucio; give one of them\n")
    assert not (tmp_path / "state").exists()


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    words = (tmp_path, "--title", "x", "--repository", "r", "--rse", "-")
    assert run(*words).exit_code == 0
    before = (tmp_path / "state" / "first.toml").read_bytes()
    result = run(*words)
    assert result.exit_code == 1
    assert "exists already\n  choose another name with --name\n" in result.output
    assert (tmp_path / "state" / "first.toml").read_bytes() == before


def test_an_existing_repository_is_not_to_be_created(tmp_path: Path) -> None:
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "butler.yaml").write_text("")
    assert run(tmp_path, "--title", "x", "--repository", tmp_path / "repo", "--rse", "-").exit_code == 0
    assert "\ncreate = true" not in (tmp_path / "state" / "first.toml").read_text()


def test_a_credential_in_an_answer_is_refused_and_does_not_stay_in_a_file(tmp_path: Path) -> None:
    result = run(tmp_path, "--title", "x", "--repository", "https://me:hunter2@example.org/repo", "--rse", "-")
    assert result.exit_code == 1
    assert "the URI contains a credential" in result.output
    assert "hunter2" not in result.output
    assert not (tmp_path / "state" / "first.toml").exists()


TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1).filter(lambda text: "://" not in text)
PLACE = TEXT.filter(lambda text: text.partition("/")[0] != "~")


@example("costs $5", "${home}/repo", 'a"b\\c', True)
@given(TEXT, PLACE, TEXT, st.booleans())
def test_any_answers_are_read_back_as_they_were_given(
    tmp_path_factory: pytest.TempPathFactory, title: str, repository: str, rse: str, create: bool
) -> None:
    file = tmp_path_factory.mktemp("state") / "a.toml"
    file.write_text(format_first_state(FirstState(title, repository, create, rse, "x.json")), encoding="utf-8")
    state = load(file)
    assert state.rucio is not None
    uri = next(getattr(spec, "uri", None) for spec in state.resources.values())
    place = repository if os.path.isabs(repository) else os.path.normpath(file.parent / repository)
    assert (state.title, uri, state.rucio.rse) == (title, place, rse)
