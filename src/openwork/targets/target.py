"""Targets are data: each is one YAML file, read into one frozen dataclass, without behaviour of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from openwork.errors import TargetError, one_line
from openwork.files import read_regular

_DESCRIPTIONS = Path(__file__).parent
_FAMILIES = ("cpu",)
_ROUNDINGS = ("float32", "q31", "shift")
_LISTS = ("instruction_sets", "requantize")


@dataclass(frozen=True)
class Target:
    """What a backend needs to know about a chip.

    name: what `--target` takes.
    family: the backend that compiles for it.
    description: one line for people.
    instruction_sets: those the library brings kernels for, best first.
    requantize: how its kernels can round: `float32` is ONNX's own meaning, `q31` TFLite's, `shift` by powers of two.
    triple: of the C compiler: architecture, system, C library and its oldest version.
    """

    name: str
    family: str
    description: str
    instruction_sets: tuple[str, ...]
    requantize: tuple[str, ...]
    triple: str


def target_names() -> tuple[str, ...]:
    """Names of all targets, sorted."""
    return tuple(sorted(path.stem for path in _DESCRIPTIONS.glob("*.yaml")))


def load_target(name: str) -> Target:
    """Read the description of one target.

    Raises: TargetError: there is no target of that name, or its description is invalid.
    """
    if name not in target_names():
        raise TargetError(f"target {name!r} does not exist; choose one of {', '.join(target_names())}")
    return read_target(_DESCRIPTIONS / f"{name}.yaml")


def read_target(path: Path) -> Target:
    """Read one description; the file is named after the target.

    Raises: TargetError: the file is missing, is not YAML, or has missing, unknown or wrong entries.
    """
    try:
        entries = yaml.safe_load(read_regular(path))
    except (OSError, yaml.YAMLError, RecursionError, ValueError) as error:
        raise TargetError(f"{path}: cannot be read ({one_line(error)})") from error
    fault = _fault(path, entries)
    if fault:
        raise TargetError(f"{path}: {fault}; mend the description")
    return Target(**{**entries, **{name: tuple(entries[name]) for name in _LISTS}})


def _fault(path: Path, entries: Any) -> str | None:
    """Why `entries` do not describe a target; None if they do."""
    names = {field.name for field in fields(Target)}
    if not isinstance(entries, Mapping) or set(entries) != names:
        return f"must have exactly the entries {', '.join(sorted(names))}"
    for name in _LISTS:
        items = entries[name]
        if not isinstance(items, list) or not items or not all(isinstance(item, str) for item in items):
            return f"{name} must be a list of names"
    for name in sorted(names - set(_LISTS)):
        if not isinstance(entries[name], str) or not entries[name]:
            return f"{name} must be text"
    if entries["name"] != path.stem:
        return f"name is {entries['name']!r}, but the file is named {path.stem!r}"
    if entries["family"] not in _FAMILIES:
        return f"family is {entries['family']!r}, not one of {', '.join(_FAMILIES)}"
    for rounding in entries["requantize"]:
        if rounding not in _ROUNDINGS:
            return f"requantize has {rounding!r}, which is not one of {', '.join(_ROUNDINGS)}"
    return None
