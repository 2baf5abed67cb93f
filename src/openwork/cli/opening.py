"""How commands open models."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import onnx_ir as ir

from openwork.errors import ModelError, UnsupportedError
from openwork.frontends import input_specs, load_model, replace_weights
from openwork.passes import canonicalise

if TYPE_CHECKING:  # they bring backends and interpreter along, which looking at a model does without
    from openwork.deploy.networks import CompiledNetwork, OnnxNetwork


@dataclass(frozen=True)
class Opening:
    """How model files are opened.

    shapes: of inputs, by name. batch: size of a first dimension that is open even so.
    trust: take files of torch, as `load_model` does.
    """

    shapes: Mapping[str, tuple[int, ...]]
    batch: int
    trust: bool

    def load(self, path: Path) -> ir.Model:
        """The model of a file, as it is there. Raises: ModelError: it is an artifact; and as `load_model`."""
        if path.is_dir() and _is_artifact(path):
            raise ModelError(
                f"{path}: is an artifact, a model that is compiled already; give the model's own file here,"
                " and the artifact to run, verify, bench, compare or evaluate"
            )
        return load_model(path, trust=self.trust, shapes=dict(self.shapes))

    def canonicalise(self, model: ir.Model) -> None:
        canonicalise(model, shapes=dict(self.shapes), batch=self.batch)

    def canonicalise_to_lower(self, model: ir.Model) -> None:
        """`canonicalise`, for what is to be compiled: no shape helps a model that has operators openwork does not have.

        Raises: UnsupportedError: it has some, and is wrong in another way too. ModelError: an input is no tensor of
            numbers; and as `canonicalise`.
        """
        try:
            self.canonicalise(model)
            input_specs(model)
        except ModelError:
            from openwork.lowering import unknown_operators

            unknown = unknown_operators(model)
            if unknown:
                raise UnsupportedError(unknown) from None
            raise

    def canonical(self, path: Path, params: Path | None = None) -> ir.Model:
        """The model of a file, canonical; params: a file of arrays that replace its weights."""
        model = self.load(path)
        if params is not None:
            replace_weights(model, params)
        self.canonicalise(model)
        return model

    def network(self, path: Path, params: Path | None = None) -> "CompiledNetwork | OnnxNetwork":
        """An artifact, or what `canonical` gives."""
        from openwork.deploy.networks import CompiledNetwork, OnnxNetwork
        from openwork.deploy.session import InferenceSession

        if path.is_dir():
            return CompiledNetwork(path, InferenceSession(path))
        return OnnxNetwork(path, self.canonical(path, params))


def _is_artifact(path: Path) -> bool:
    from openwork.deploy.artifact import MANIFEST

    return (path / MANIFEST).is_file()
