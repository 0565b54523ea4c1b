"""Cases of hostile worlds, each with its test and the words that an operator must see; ``python tests/faults.py`` prints them.

The tests run with all others, so a case has no code of its own here: the table shows what its test made the program print.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    """A case of the table.

    Parameters
    ----------
    name : `str`
        Title in the table.
    test : `str`
        File and function of its test; ``[id]`` selects one of its parameters.
    message : `str`
        Text that an output of the program must contain; empty if the test calls no command.
    limit : `float`
        Seconds in which the program must have ended, counted from the signal or the first wait if the test sends or makes one.
    """

    name: str
    test: str
    message: str = ""
    limit: float = 60.0


HANGING = "integration/test_hanging_database.py::test_"
SIGNALS = "integration/test_interruption.py::test_"
TRUST = "integration/test_trust.py::test_"
LOCK = "integration/test_lock.py::test_"
RUCIO = "integration/test_rucio.py::test_"
CREATION = "integration/test_creating_a_repository.py::test_"
REGISTERING = "integration/test_registering.py::test_"
SCRIPT = "integration/test_shell_script.py::test_"
SECRETS = "integration/test_secrets.py::test_"
DEFINITIONS = "integration/test_kinds_of_definitions.py::test_"
DATABASE = "integration/test_faults_of_the_butler.py::test_"
NAMES = "unit/test_hostile_names.py::test_"

SECTIONS: dict[str, list[Case]] = {
    "Nothing is taken that was not confirmed": [
        Case(
            "a removal grows between question and answer",
            f"{TRUST}members_that_became_unwanted_after_the_question_are_not_removed",
            "was not confirmed for removal",
        ),
        Case(
            "a plan saved by relative paths",
            f"{TRUST}a_plan_that_was_saved_by_relative_paths_is_executed",
            "Plan for the state file",
        ),
        Case(
            "a saved plan that is stale",
            f"{TRUST}stale_entries_of_a_saved_plan_are_refused_and_the_others_are_executed",
            "it changed since the plan was made",
        ),
        Case(
            "a forged plan", f"{TRUST}a_forged_plan_cannot_do_anything_that_its_state_does_not_require", "Plan for the state file"
        ),
        Case(
            "a removal beyond its limit",
            f"{TRUST}removals_beyond_the_default_limit_are_refused_without_prune_limit",
            "members would be removed, more than",
        ),
        Case("a rule at another site", f"{RUCIO}a_rule_elsewhere_is_kept_when_another_one_is_wanted", "no such rule"),
        Case(
            "a rule that the state replaces", f"{RUCIO}a_rule_that_the_state_replaces_counts_as_a_removal", "1 member to remove"
        ),
        Case(
            "a saved plan without the replacement",
            f"{RUCIO}a_saved_plan_without_the_replacement_does_not_replace",
            "Refused",
        ),
        Case(
            "a rule of a protected dataset",
            f"{RUCIO}a_protected_dataset_loses_no_rule",
            "the rules of a protected dataset are not replaced",
        ),
        Case(
            "a dataset that would be closed",
            f"{REGISTERING}a_dataset_is_registered_and_closed_and_the_plan_says_that_only_an_administrator_can_reopen_it",
            "which only an administrator of the Rucio server can reopen",
        ),
        Case(
            "an unknown type to register",
            f"{REGISTERING}an_unknown_dataset_type_is_an_error_before_anything_is_done",
            "has no dataset type",
        ),
        Case(
            "a location without repository",
            f"{CREATION}a_location_without_a_repository_is_an_error_and_nothing_is_created",
            "no repository at",
        ),
        Case("a mistyped label", f"{CREATION}a_mistyped_label_is_an_error_that_suggests_the_right_one", "did you mean"),
        Case(
            "a lost SQLite database",
            f"{DATABASE}a_repository_whose_database_is_lost_is_not_created_again",
            "its datastore contains files",
        ),
        Case(
            "an unlisted child in front of a chain",
            f"{DEFINITIONS}a_plan_shows_every_unlisted_child_of_a_chain_that_an_apply_moves_or_removes",
            "children",
        ),
        Case(
            "a folder of which a part is desired",
            f"{SCRIPT}the_script_ingests_exactly_the_desired_raws_of_a_folder",
            "ingest-raws",
        ),
    ],
    "One at a time, and it can be stopped": [
        Case("a second apply", f"{TRUST}a_second_apply_reports_who_holds_the_lock_and_a_diff_needs_no_lock", "is locked"),
        Case(
            "a second apply during the creation",
            f"{LOCK}a_second_apply_finds_the_lock_held_by_the_one_that_has_just_created_the_repository",
            "is locked",
        ),
        Case(
            "two users create one repository",
            f"{LOCK}of_two_users_who_confirm_the_creation_of_a_repository_one_finds_the_lock_held",
            "is locked",
        ),
        Case(
            "a lost lock on PostgreSQL",
            f"{LOCK}a_run_whose_lock_is_lost_stops_before_its_next_action_and_does_not_acquire_it_again",
            "the lock on the registry was lost",
        ),
        Case("a removed lock file", f"{LOCK}a_removed_lock_file_is_a_lost_lock", "was removed"),
        Case("idle limits of PostgreSQL", f"{LOCK}the_lock_outlasts_the_limits_of_idle_transactions", "changed 2"),
        Case("a lock file of another user", f"{LOCK}a_lock_file_of_another_user_is_reported_with_its_owner"),
        *(
            Case(
                f"PostgreSQL hangs: {name}",
                f"{HANGING}a_command_ends_within_its_limit_when_the_database_stops_answering[{name}]",
                "the database did not answer",
                20,
            )
            for name in ("diff", "apply", "apply at its lock", "apply at a write", "apply at a commit", "drift")
        ),
        *(
            Case(
                f"PostgreSQL hangs, Ctrl-C: {name}",
                f"{HANGING}ctrl_c_ends_a_command_that_waits_for_the_database[{name}]",
                limit=2.0,
            )
            for name in ("diff", "apply", "drift")
        ),
        Case(
            "another session blocks a table",
            f"{HANGING}a_statement_that_another_session_blocks_fails_alone_and_the_rest_is_done",
            "the database did not answer within 2 s",
        ),
        Case(
            "another session blocks what all resources need",
            f"{HANGING}statements_that_another_session_blocks_are_not_waited_for_once_for_each_resource",
            "the database did not answer",
            20,
        ),
        Case("PostgreSQL restarts", f"{DATABASE}an_apply_interrupted_by_a_restart_of_postgresql_can_be_completed", limit=60),
        *(
            Case(f"Rucio hangs, {name}: diff", f"{SIGNALS}a_signal_ends_a_diff_that_waits_for_rucio[{name}]", "interrupted", 2.0)
            for name in ("SIGINT", "SIGTERM", "SIGHUP")
        ),
        *(
            Case(
                f"Rucio hangs, {name}: apply",
                f"{SIGNALS}a_signal_ends_an_apply_whose_change_rucio_does_not_answer[{name}]",
                "Interrupted: what is done stays",
                2.0,
            )
            for name in ("SIGINT", "SIGTERM", "SIGHUP")
        ),
        Case(
            "Ctrl-C at the question",
            f"{SIGNALS}ctrl_c_at_the_question_ends_an_apply_that_has_changed_nothing",
            "interrupted",
            2.0,
        ),
        Case("Ctrl-C while waiting for the lock", f"{SIGNALS}ctrl_c_ends_the_wait_for_the_lock", "inter", 2.0),
        Case(
            "Ctrl-C while workers start",
            f"{SIGNALS}ctrl_c_of_a_terminal_while_workers_start_ends_an_apply_without_a_traceback",
            "Interrupted",
            2.0,
        ),
        Case(
            "Ctrl-C while workers import for a minute",
            f"{SIGNALS}ctrl_c_ends_an_apply_while_workers_import_what_they_need",
            "Interrupted",
            2.0,
        ),
        Case("Ctrl-C while the program starts", f"{SIGNALS}a_signal_while_the_program_starts_ends_it_silently", limit=2.0),
        Case("a wrong command line", f"{SIGNALS}a_wrong_command_line_does_not_exit_with_the_code_of_differences", "Usage"),
        *(
            Case(
                f"the journal is a {kind}",
                f"{SIGNALS}a_journal_that_is_no_writable_file_is_refused_before_anything_is_asked[{kind}]",
                "can't be written",
            )
            for kind in ("fifo", "read fifo", "socket", "file below a file")
        ),
        Case("a full disk", f"{TRUST}a_full_disk_is_reported_and_the_next_apply_completes_the_work", "the disk is full"),
    ],
    "Hostile text, secrets": [
        Case("names on the terminal", f"{NAMES}reports_on_the_terminal_have_no_control_character_but_newline"),
        Case("names in a shell script", f"{NAMES}a_script_calls_exactly_the_words_of_its_commands"),
        Case("names in plan and journal", f"{NAMES}plan_file_journal_progress_and_summary_of_an_apply_are_printable"),
        Case(
            "collections with commands in their names",
            f"{SCRIPT}collections_with_hostile_names_are_made_and_nothing_else_is_run",
            "butler",
        ),
        Case(
            "a credential in a state",
            f"{SECRETS}a_state_with_a_credential_in_a_uri_is_refused_and_the_error_names_where_credentials_belong",
            "the URI contains a credential",
        ),
        Case("a credential in an answer", f"{SECRETS}a_credential_in_the_answer_of_a_server_is_masked", "***"),
        Case(
            "credentials of the environment",
            f"{SECRETS}credentials_of_the_environment_and_of_the_configuration_are_masked_whatever_surrounds_them",
            "I got <***>",
        ),
        Case("a credential in butler.yaml", f"{SECRETS}a_credential_in_the_configuration_of_a_repository_is_masked", "error"),
        Case(
            "a login page instead of a login",
            f"{SECRETS}a_login_page_in_answer_to_the_login_is_reported_as_one",
            "the answer to the login isn't from Rucio",
        ),
        Case(
            "a cache that others can write",
            "integration/test_inputs.py::test_a_cache_entry_that_another_user_could_have_written_is_not_read",
        ),
        Case("a plan for another state", f"{TRUST}another_state_file_is_used_for_a_plan_only_if_it_is_named", "no such file"),
    ],
}
CASES = [case for cases in SECTIONS.values() for case in cases]
