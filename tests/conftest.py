"""What every test run says about the machine it ran on, and how whatever failed at random is repeated."""

import sys

import pytest
from hypothesis import settings

from tests.backends.cpu.programs import instruction_sets_here

# A failure prints a line of code that repeats it anywhere.
settings.register_profile("openwork", print_blob=True)
settings.load_profile("openwork")


@pytest.fixture(autouse=True)
def same_torch_numbers():
    """Torch's random numbers are the same in every run; the generators of NumPy are seeded where they are made."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


def pytest_report_header():
    return f"kernels are tested on: {', '.join(instruction_sets_here())}"
