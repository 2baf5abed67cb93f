"""Objects, which are compiled once, and what a failing compiler says."""

import random
import subprocess

import pytest

from openwork.backends.cpu.compiler import (
    Source,
    cache_directory,
    compile_executable,
    compile_objects,
    find_compiler,
    link_library,
)
from openwork.backends.cpu.compiler import call as calling
from openwork.backends.cpu.compiler import compile as compiling
from openwork.errors import BuildError
from openwork.targets import load_target

TRIPLE = load_target("cpu").triple


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENWORK_CACHE", str(tmp_path / "cache"))
    return cache_directory()


def compiled(folder, *sources, triple=TRIPLE):
    return [path.read_bytes() for path in compile_objects(find_compiler(triple), sources, folder)]


def test_objects_are_compiled_once_and_again_when_a_header_changes(tmp_path, monkeypatch):
    include = tmp_path / "include"
    include.mkdir()
    (include / "answer.h").write_text("#define ANSWER 42\n")
    code = tmp_path / "answer.c"
    code.write_text('#include "answer.h"\nint answer(void) { return ANSWER; }\n')
    source = Source(code, (), (include,))
    first = compiled(tmp_path, source)
    with monkeypatch.context() as patch:
        patch.setattr(compiling, "call", None)  # is not called
        assert compiled(tmp_path, source) == first
    (include / "answer.h").write_text("#define ANSWER 43\n")
    assert compiled(tmp_path, source) != first


def test_another_target_has_objects_of_its_own(tmp_path):
    code = tmp_path / "answer.c"
    code.write_text("int answer(void) { return 42; }\n")
    triples = (TRIPLE, "aarch64-linux-gnu")
    assert len({compiled(tmp_path, Source(code), triple=triple)[0] for triple in triples}) == 2


def test_a_damaged_object_in_the_cache_is_compiled_again(tmp_path, cache):
    codes = [tmp_path / "one.c", tmp_path / "two.c"]
    for code in codes:
        code.write_text(f"int {code.stem}(void) {{ return 42; }}\n")
    sources = [Source(code) for code in codes]
    objects = compiled(tmp_path, *sources)
    file, other = sorted((cache / "kept").iterdir())
    sound = file.read_bytes()
    seed = random.randrange(1 << 30)
    print("seed", seed)
    flipped = bytearray(sound)
    flipped[random.Random(seed).randrange(len(sound))] ^= 1 << seed % 8
    for damaged in (bytes(flipped), b"", sound[:-1], sound + b"\0", other.read_bytes()):
        file.write_bytes(damaged)
        assert compiled(tmp_path, *sources) == objects
        assert file.read_bytes() == sound


def test_a_library_and_a_program_are_linked_once_and_can_be_run(tmp_path, monkeypatch):
    code = tmp_path / "one.c"
    compiler = tmp_path / "cc"
    compiler.write_text('#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done; echo "#!/bin/sh\nexit 7" > "$2"\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("OPENWORK_CC", str(compiler))
    for text in ("one", "two"):
        code.write_text(text)
        for _ in range(2):
            link_library(find_compiler(TRIPLE), [code], tmp_path / "one.so")
            compile_executable(find_compiler(TRIPLE), Source(code), tmp_path / "one")
            assert subprocess.run([tmp_path / "one.so"]).returncode == 7
            assert subprocess.run([tmp_path / "one"]).returncode == 7
            (tmp_path / "one").unlink()
            monkeypatch.setattr(compiling, "call", None)
        monkeypatch.setattr(compiling, "call", calling.call)


def test_an_error_names_the_file_and_the_first_cause(tmp_path, cache):
    code = tmp_path / "broken.c"
    code.write_text("int broken(void) { return undeclared; }\n")
    with pytest.raises(BuildError, match=r"C compiler failed on broken\.c: .*undeclared") as caught:
        compiled(tmp_path, Source(code))
    assert "\n" not in str(caught.value)
    assert not list(cache.iterdir())


def test_a_compiler_that_writes_nothing_has_failed(tmp_path, monkeypatch):
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexit 0\n")
    silent.chmod(0o755)
    (tmp_path / "any.c").touch()
    monkeypatch.setenv("OPENWORK_CC", str(silent))
    with pytest.raises(BuildError, match="C compiler failed on program"):
        compile_executable(find_compiler(TRIPLE), Source(tmp_path / "any.c"), tmp_path / "program")
