"""The child process: answers one request after the other with what onnx's own code says, until nobody asks any more.

Run as a script, with three arguments: the directory of the package `onnx`, and the limits of one request: bytes of
memory for the whole process, and seconds of the processor. A request and an answer are eight bytes that tell a length,
and a tuple in the form of `marshal`, which holds no code. Started for a command of a second, it loads the C++ alone,
without the packages around it: some 60 ms instead of 400.
"""

import marshal
import os
import resource
import sys
import types
from contextlib import suppress
from typing import Any


def main() -> None:
    folder, memory, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    source, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    _limit(resource.RLIMIT_AS, memory)
    _limit(resource.RLIMIT_CORE, 0)
    rules = _load_rules(folder)
    while (request := read(source)) is not None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + 1 + seconds)
        write(answers, _answer(rules, request))
    os._exit(0)


def read(stream: Any) -> tuple[Any, ...] | None:
    """What `write` wrote; None at the end of the stream."""
    length = stream.read(8)
    if len(length) < 8:
        return None
    content = stream.read(int.from_bytes(length, "little"))
    return None if len(content) < int.from_bytes(length, "little") else marshal.loads(content)


def write(stream: Any, message: tuple[Any, ...]) -> None:
    content = marshal.dumps(message)
    stream.write(len(content).to_bytes(8, "little"))
    stream.write(content)
    stream.flush()


def _answer(rules: Any, request: tuple[Any, ...]) -> tuple[Any, ...]:
    """ok and the result, or refused and the reason, or memory."""
    kind, *arguments = request
    try:
        match kind:
            case "infer":
                return "ok", _infer(rules, *arguments)
            case "convert":
                return "ok", rules.version_converter.convert_version(*arguments)
            case _:
                return "ok", _compute(*arguments)
    except MemoryError:
        return ("memory",)
    except Exception as error:  # the C++ has many kinds, and quotes names that may be no text
        return "refused", str(error) or type(error).__name__


def _infer(
    rules: Any,
    operator: tuple[str, int, str],
    node: bytes,
    types: dict[str, bytes],
    data: dict[str, bytes],
    versions: dict[str, int],
) -> dict[str, bytes]:
    if not rules.defs.has_schema(*operator):
        return {}
    schema = rules.defs.get_schema(*operator)
    answer: dict[str, bytes] = schema._infer_node_outputs(node, types, data, {}, versions)
    return answer


def _compute(search: list[str], *arguments: Any) -> list[bytes]:
    if not hasattr(sys.modules["onnx"], "__version__"):
        sys.path[:] = search
        del sys.modules["onnx"]
    from openwork.guarded.reference import compute_serialized  # brings NumPy and all of onnx along

    return compute_serialized(*arguments)


def _load_rules(folder: str) -> Any:
    """onnx's C++, without the package around it."""
    package = types.ModuleType("onnx")
    package.__path__ = [folder]
    sys.modules["onnx"] = package
    from onnx import onnx_cpp2py_export

    return onnx_cpp2py_export


def _limit(kind: int, value: int) -> None:
    """Set a limit, unless a lower one stands already."""
    hard = resource.getrlimit(kind)[1]
    with suppress(ValueError, OSError):  # some systems do not have all
        resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


if __name__ == "__main__":
    main()
