"""What every test run says about the machine it ran on."""

from tests.backends.cpu.programs import instruction_sets_here


def pytest_report_header():
    return f"kernels are tested on: {', '.join(instruction_sets_here())}"
