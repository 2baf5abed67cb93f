"""Transposes that undo one another."""

from openwork.passes.transposes.cancel_transposes import cancel_transposes

__all__ = ["cancel_transposes"]
