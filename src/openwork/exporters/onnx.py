"""ONNX files."""

from collections.abc import Mapping
from pathlib import Path

import onnx_ir as ir

from openwork.files import write_whole
from openwork.passes import strip_metadata


def save_onnx(model: ir.Model, path: Path, *, metadata: Mapping[str, str] | None = None) -> None:
    """Write a model as one ONNX file: whole or not at all, and the same bytes for the same model.

    Doc strings and metadata of other tools, in which machine paths hide, are left out.

    Args:
        model: not modified.
        metadata: written into the file's metadata_props, where Netron shows it.
    Raises: ArtifactError: the file cannot be written.
    """
    clean = model.clone()
    strip_metadata(clean)
    clean.metadata_props.update(sorted((metadata or {}).items()))
    clean.producer_name, clean.producer_version = "openwork", None
    write_whole(path, ir.to_proto(clean).SerializeToString(deterministic=True))
