"""The node suite of ONNX, which nobody here wrote. onnx_nodes.yaml says which cases pass; onnx_nodes.py writes it."""

import pytest

from tests.backends.cpu.onnx_nodes import cases, listed, operator_of, run_case

LISTED = listed()


def test_as_many_cases_are_collected_as_are_known(record_property):
    record_property("collected", len(cases()))
    assert len(cases()) >= LISTED["collected"] >= 1884


def test_the_list_is_long_and_names_nothing_twice():
    names = LISTED["passing"] + LISTED["specialised"]
    assert len(names) >= 300
    assert len(set(names)) == len(names)


def test_each_case_is_listed_or_its_operator_is_excluded_with_a_reason():
    rest = set(cases()) - {*LISTED["passing"], *LISTED["specialised"]}
    assert {operator_of(name) for name in rest} == set(LISTED["excluded"])
    assert not [operator for operator, reason in LISTED["excluded"].items() if "no reason" in reason]


@pytest.mark.parametrize("name", LISTED["passing"])
def test_passes(name):
    assert not run_case(name)


@pytest.mark.parametrize("name", LISTED["specialised"])
def test_passes_with_its_shapes_known(name):
    assert run_case(name)
