"""The command line without any live system: options, help and exit codes."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from watch_data import forbid_access

from reconciler.cli import main
from reconciler.cli.console import worst_code
from reconciler.cli.parameter_types import Duration, Night
from reconciler.cli.sections import SectionedGroup


@pytest.mark.parametrize(
    ("text", "expected"), [("90", 90), ("90s", 90), ("1.5 m", 90), ("2min", 120), ("2h", 7200), ("1d", 86400), (5.0, 5)]
)
def test_a_duration_is_converted_to_seconds(text: str, expected: float) -> None:
    assert Duration().convert(text, None, None) == expected


@pytest.mark.parametrize("text", ["", "h", "1w", "-1s", "2h30"])
def test_text_that_is_not_a_duration_is_rejected(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a duration; write 90s, 30m or 2h"):
        Duration().convert(text, None, None)


@pytest.mark.parametrize("text", ["20241108", "2024-11-08", " 20241108 "])
def test_a_night_is_converted_to_its_number(text: str) -> None:
    assert Night().convert(text, None, None) == 20241108


@pytest.mark.parametrize("text", ["2024118", "2024-1-8", "202411 8", "20241308", "20240230", "today"])
def test_text_that_is_not_a_night_is_rejected(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a night; write 20241108"):
        Night().convert(text, None, None)


def test_a_wrong_duration_exits_as_a_usage_error_and_not_as_differences() -> None:
    assert CliRunner().invoke(main, ["apply", "x.toml", "--wait", "1w"]).exit_code == 64


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["apply", "s.toml", "--prune-limit", "5"], "--prune-limit limits what --prune removes; give --prune too"),
        (["apply", "s.toml", "--with-needs"], "--with-needs adds to what --only selects; give --only too"),
        (["diff", "s.toml", "--with-needs", "--except", "chain.*"], "--with-needs adds to what --only selects"),
        (["apply", "s.toml", "--deep", "--quick"], "--deep and --quick: give only one of them"),
        (["diff", "s.toml", "--out", "plans/p.json"], "--out plans/p.json: there is no folder plans"),
    ],
)
def test_an_option_that_means_nothing_by_itself_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.toml").write_text("[reconcile]\nversion = 1\n")
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 64
    assert text in result.output


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            ["apply", "--format", "shell"],
            '"shell" is not one of text, json, jsonl, markdown; only diff and plan find',
        ),
        (["log", "--format", "markdown"], '"markdown" is not one of text, json; it is for a comment or a mail'),
        (["list", "--format", "jsonl"], '"jsonl" is not one of text, json; it is for results that come one after the other'),
        (["graph", "--format", "mermiad"], '"mermiad" is not one of text, mermaid, dot, svg; did you mean "mermaid"?'),
        (["diff", "--format", "jsno"], '"jsno" is not one of text, json, jsonl, markdown, shell; did you mean "json"?'),
    ],
)
def test_a_format_that_a_command_lacks_is_explained(words: list[str], text: str) -> None:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 64
    assert text in result.output


def test_every_command_is_in_a_section_of_the_help_and_three_examples_end_it() -> None:
    output = CliRunner().invoke(main, ["--help"]).output
    assert "Commands:" not in output
    assert "Other:" not in output
    for name, command in main.commands.items():
        assert f"  {name} " in output
        assert command.get_short_help_str(100) in " ".join(output.split())
        assert main.lazy.summary(name) == command.get_short_help_str(100)
    assert output.partition("Examples:")[2].count("\n  reconcile ") == 3


def test_the_help_and_the_completion_of_a_command_name_import_no_command() -> None:
    code = (
        "import sys\nfrom reconciler.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit as end: assert end.code == 0, end.code\n"
        "import click\n"
        "assert [item.value for item in main.shell_complete(click.Context(main), 'di')] == ['diff']\n"
        "loaded = {source.target.partition(':')[0] for source in main.lazy.sources.values()} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
        "heavy = {'pydantic', 'jsonschema', 'platformdirs', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_a_command_that_another_program_adds_is_listed_last() -> None:
    group = SectionedGroup("x", sections={"One": {"diff": main.lazy.sources["diff"]}}, examples=[("x diff", "compare")])
    group.add_command(click.Command("extra", help="More. And more.", callback=lambda: None))
    output = CliRunner().invoke(group, ["--help"]).output
    assert output.index("One:") < output.index("Other:") < output.index("extra")
    assert list(group.commands) == ["diff", "extra"]
    assert len(group.commands) == 2
    del group.commands["extra"]
    assert "extra" not in group.commands


@pytest.mark.parametrize(("codes", "expected"), [([], 0), ([0, 0], 0), ([0, 2], 2), ([2, 1], 1), ([130, 2], 130), ([130, 1], 1)])
def test_an_error_outranks_differences(codes: list[int], expected: int) -> None:
    assert worst_code(codes) == expected


def test_the_variables_of_validate_fit_a_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    state = tmp_path / "s.toml"
    state.write_text(f'[reconcile]\nversion = 1\n[vars]\ndata = "{"/data" * 10}"\n')
    monkeypatch.setattr("reconciler.cli.console.screen_width", lambda *, err=False: 60)
    lines = CliRunner().invoke(main, ["validate", "-v", str(state)]).output.splitlines()[1:]
    assert lines
    assert all(len(line) <= 60 for line in lines), lines


def test_a_full_disk_below_the_output_is_not_a_bug(tmp_path: Path) -> None:
    state = tmp_path / "s.toml"
    state.write_text('[reconcile]\nversion = 1\n[repository]\nuri = "r"\n')
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "reconciler", "validate", str(state)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1
    assert done.stderr == "error: the output can't be written: No space left on device\n"


@pytest.mark.parametrize(
    "words",
    [
        ("init", "new", "--name", "new", "--title", "t", "--repository", "/r", "--rse", "-"),
        ("diff", "a.toml", "--summary", "new/state/new.toml"),
    ],
)
def test_a_folder_that_may_not_be_searched_is_no_bug_of_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.toml").write_text("[reconcile]\nversion = 1\n")
    (tmp_path / "new" / "state").mkdir(parents=True)
    forbid_access(monkeypatch, Path("new/state/new.toml"))
    done = CliRunner().invoke(main, [*words])
    assert done.exit_code in (1, 64), done.output
    assert "new/state/new.toml" in done.stderr
    assert "permission" in done.stderr.lower()
    assert "bug" not in done.stderr
    assert not isinstance(done.exception, PermissionError)
