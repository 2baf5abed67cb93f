"""The main job on real data, from training to a report. Imports torch."""

from openwork.demo.pipeline import run_demo

__all__ = ["run_demo"]
