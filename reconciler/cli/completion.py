"""``reconcile completion``: print the script that makes a shell complete commands, options and addresses."""

from __future__ import annotations

import click

from reconciler.cli.console import IN_SYNC, echo_document, handle_errors

VARIABLE = "_RECONCILE_COMPLETE"
"""The environment variable by which click knows that a shell asks for completions."""

# bash splits words at colons, which DIDs contain, and compares completions with the part after the last one. So the line is
# split here, and that part of each completion is returned. click's own script doesn't do this.
BASH = """\
_reconcile_completion() {
    local IFS=$' \\t\\n' line=${COMP_LINE:0:COMP_POINT} item type value words count
    read -ra words <<< "$line"
    count=${#words[@]}
    [[ $line == *[[:space:]] ]] || count=$((count - 1))
    local word=${line##*[[:space:]]}
    local response
    response=$(env COMP_WORDS="$line" COMP_CWORD="$count" _RECONCILE_COMPLETE=bash_complete "$1")
    COMPREPLY=()
    while IFS= read -r item; do
        type=${item%%,*} value=${item#*,}
        case $type in
            dir) compopt -o dirnames 2> /dev/null ;;
            file) compopt -o default 2> /dev/null ;;
            plain)
                [[ $value == */ ]] && compopt -o nospace 2> /dev/null
                if [[ $word != [\\'\\"]* ]]; then
                    [[ $COMP_WORDBREAKS == *:* && $word == *:* ]] && value=${value#"${word%"${word##*:}"}"}
                    printf -v value %q "$value"
                fi
                COMPREPLY+=("$value")
                ;;
        esac
    done <<< "$response"
}
complete -o nosort -F _reconcile_completion reconcile"""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@handle_errors
def completion(shell: str) -> int:
    """Print a script that completes commands, options and addresses in a shell.

    Save it where the shell finds it: for bash in ~/.local/share/bash-completion/completions/reconcile, for zsh as _reconcile in a
    folder of $fpath, for fish in ~/.config/fish/completions/reconcile.fish.

    Addresses and globs are those of the state files on the command line, or of state/*.toml.
    """
    echo_document(BASH if shell == "bash" else _write_script(shell))
    return IN_SYNC


def _write_script(shell: str) -> str:
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None  # click has both
    return found(click.get_current_context().find_root().command, {}, "reconcile", VARIABLE).source().strip()
