"""The node suite of ONNX, which nobody here wrote. onnx_nodes.yaml says which cases pass; onnx_nodes.py writes it."""

from itertools import chain

import pytest

from tests.backends.cpu.onnx_nodes import cases, listed, lowered, operator_of, run

LISTED = listed()
PASSING, SPECIALISED = LISTED["passing"], LISTED["specialised"]
NAMES = [*chain(*PASSING.values(), *SPECIALISED.values())]


def test_as_many_cases_are_collected_as_are_known(record_property):
    record_property("collected", len(cases()))
    assert len(cases()) >= LISTED["collected"] >= 1884


def test_the_list_is_long_and_names_nothing_twice():
    assert len(NAMES) >= 900
    assert len(set(NAMES)) == len(NAMES)


def test_each_case_is_listed_or_its_operator_is_excluded_with_a_reason():
    assert {operator_of(name) for name in set(cases()) - set(NAMES)} == set(LISTED["excluded"])
    assert not [operator for operator, reason in LISTED["excluded"].items() if not reason or "no reason" in reason]


@pytest.mark.parametrize("operator", sorted({*PASSING, *SPECIALISED}))
def test_passes(operator):
    several = [lowered(name) for name in PASSING.get(operator, []) + SPECIALISED.get(operator, [])]
    assert [case.name for case in several if case.specialised] == SPECIALISED.get(operator, [])
    run(several)
