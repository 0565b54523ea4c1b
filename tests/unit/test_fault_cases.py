"""The table of faults refers to tests that exist."""

import ast

import pytest
from fault_cases import CASES, TESTS, Case


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_test_of_a_case_exists(case: Case) -> None:
    path, _, function = case.test.partition("::")
    tree = ast.parse((TESTS / path).read_text())
    assert function.partition("[")[0] in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_no_case_is_listed_twice() -> None:
    assert len({case.test for case in CASES}) == len(CASES)
    assert len({case.name for case in CASES}) == len(CASES)
