"""How each step of a Program becomes calls of kernels."""

from openwork.backends.cpu.steps.dispatch import make_plan

__all__ = ["make_plan"]
