"""Artifacts: run, verify and measure compiled networks.

Loading and running needs NumPy alone. What needs more is imported from its own module, so that a session
opens fast: `deploy.compile.compile_model` writes an artifact, `deploy.networks.open_networks` opens two models
or artifacts, and `deploy.proof.compare.compare` holds them against each other.
"""

from openwork.deploy.artifact import Artifact, open_artifact
from openwork.deploy.bench import Latency, measure
from openwork.deploy.processor import processor
from openwork.deploy.proof.difference import Difference, cosine_distance
from openwork.deploy.proof.verify import Verification, verify
from openwork.deploy.session import InferenceSession
from openwork.deploy.tensors import read_tensor

__all__ = [
    "Artifact",
    "Difference",
    "InferenceSession",
    "Latency",
    "Verification",
    "cosine_distance",
    "measure",
    "open_artifact",
    "processor",
    "read_tensor",
    "verify",
]
