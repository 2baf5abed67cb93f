"""A hand-written artifact, for tests of everything that does not depend on how a library is made.

y[2, 3] = a[2, 3] * weights[3] + b[2, 3] in float32; z[2, 1] = the largest of each row of b, uint8.
"""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from openwork.backends.cpu.compiler import Source, compile_executable, find_compiler
from openwork.backends.cpu.kernels import CSRC
from openwork.deploy.artifact import Artifact, Reference, canonical, write_manifest
from openwork.deploy.proof.difference import Difference
from openwork.deploy.tensors import TensorFile, write_tensor
from openwork.targets import load_target

WEIGHTS = np.array([2, -1, 0.5], np.float32)
INPUTS = (TensorFile("a", (2, 3), "float32", "input0.bin"), TensorFile("b", (2, 3), "uint8", "input1.bin"))
OUTPUTS = (
    TensorFile("y", (2, 3), "float32", "ref_result_0.bin"),
    TensorFile("z", (2, 1), "uint8", "ref_result_1.bin"),
)

SOURCE = r"""
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "openwork.h"

struct openwork_session { float weights[3], y[6]; int running, process; };

static const int64_t wide[] = {2, 3}, narrow[] = {2, 1};
static const openwork_tensor in[] = {{OPENWORK_FLOAT32, 2, wide, 24}, {OPENWORK_UINT8, 2, wide, 6}};
static const openwork_tensor out[] = {{OPENWORK_FLOAT32, 2, wide, 24}, {OPENWORK_UINT8, 2, narrow, 2}};

int32_t openwork_abi(void) { return OPENWORK_ABI; }
int32_t openwork_input_count(void) { return 2; }
int32_t openwork_output_count(void) { return 2; }
const openwork_tensor *openwork_input(int32_t i) { return i >= 0 && i < 2 ? &in[i] : NULL; }
const openwork_tensor *openwork_output(int32_t i) { return i >= 0 && i < 2 ? &out[i] : NULL; }
const char *openwork_isa(const openwork_session *session) { (void)session; return "portable"; }
void openwork_close(openwork_session *session) { free(session); }

openwork_session *openwork_open(const char *params, int32_t threads, char *error, size_t size) {
  openwork_session *session = calloc(1, sizeof *session);
  FILE *file = fopen(params, "rb");
  if (threads < 1 || threads > 64) snprintf(error, size, "%d threads; choose 1 to 64", threads);
  else if (file && fread(session->weights, 4, 3, file) == 3) {
    fclose(file);
    session->process = getpid();
    return session;
  }
  else snprintf(error, size, "%s: truncated", params);
  return NULL;
}

void openwork_run_tapped(openwork_session *session, const void *const *inputs, void *const *outputs,
                         openwork_tap tap, void *user) {
  const float *a = inputs[0];
  const uint8_t *b = inputs[1];
  float *y = outputs[0];
  if (session->process != getpid()) abort(); /* worker threads do not follow into a fork */
  if (session->running++) abort();           /* two threads at once */
  for (int i = 0; i < 6; i++) session->y[i] = y[i] = a[i] * session->weights[i % 3] + b[i];
  if (tap) tap(user, 0, session->y);
  for (int i = 0; i < 2; i++) {
    uint8_t largest = 0;
    for (int k = 0; k < 3; k++) largest = b[3 * i + k] > largest ? b[3 * i + k] : largest;
    ((uint8_t *)outputs[1])[i] = largest;
  }
  session->running--;
}

void openwork_run(openwork_session *session, const void *const *inputs, void *const *outputs) {
  openwork_run_tapped(session, inputs, outputs, NULL, NULL);
}
"""


def inputs(batches: int = 1, seed: int = 0) -> dict[str, NDArray[np.generic]]:
    generator = np.random.default_rng(seed)
    return {
        "a": generator.standard_normal((2 * batches, 3), np.float32),
        "b": generator.integers(0, 256, (2 * batches, 3), np.uint8),
    }


def expected(values: dict[str, NDArray[np.generic]]) -> list[NDArray[np.generic]]:
    a, b = values["a"], values["b"]
    return [a * WEIGHTS + b.astype(np.float32), b.max(axis=1, keepdims=True)]


@cache
def library(source: str = SOURCE) -> bytes:
    """deploy.so, compiled once for each source."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "deploy.c"
        path.write_text(source)
        code = Source(path, ("-shared", "-fPIC", "-ffp-contract=off"), (CSRC / "include",))
        compile_executable(find_compiler(load_target("cpu").triple), code, path.with_suffix(".so"))
        return path.with_suffix(".so").read_bytes()


def write_artifact(directory: Path) -> Artifact:
    """A complete artifact, except that `inference` is no program."""
    directory.mkdir(exist_ok=True)
    proof = tuple(Difference(tensor.name, 0.0, 0.0, 1.0, 0.0, 1e-6) for tensor in OUTPUTS)
    artifact = Artifact(
        directory, "cpu", INPUTS, OUTPUTS, 2, "nchw", 1, 0, proof, "none", ("portable",), Reference("none", "")
    )
    values = inputs()
    for tensor, value in zip(INPUTS + OUTPUTS, [*values.values(), *expected(values)], strict=True):
        write_tensor(directory, tensor, value)
    (directory / "deploy.so").write_bytes(library())
    (directory / "deploy.params").write_bytes(WEIGHTS.tobytes())
    (directory / "deploy.c").write_text(SOURCE)
    description = {"threads": 1, "tolerance": [1e-6, 0.0], "steps": [], "proof": []}
    (directory / "deploy.json").write_text(canonical(description))
    (directory / "openwork.h").write_bytes((CSRC / "include" / "openwork.h").read_bytes())
    for name in ("inference.cpp", "CMakeLists.txt"):
        (directory / name).write_bytes((CSRC / "inference" / name).read_bytes())
    (directory / "inference").write_bytes(b"none")
    (directory / "steps.bin").write_bytes(b"none")
    write_manifest(artifact)
    return artifact
