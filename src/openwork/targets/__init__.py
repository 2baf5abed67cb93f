"""Chip descriptions: YAML files and the dataclass they are read into."""

from openwork.targets.target import Target, load_target, read_target, target_names

__all__ = ["Target", "load_target", "read_target", "target_names"]
