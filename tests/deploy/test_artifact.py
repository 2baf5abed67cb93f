import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from openwork.deploy.artifact import MANIFEST, open_artifact, write_manifest
from openwork.deploy.proof.verify import verify
from openwork.deploy.session import InferenceSession
from openwork.errors import ArtifactError
from tests.deploy import tiny


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    tiny.write_artifact(tmp_path / "deploy")
    return tmp_path / "deploy"


def reseal(directory: Path, **changes: object) -> None:
    """Write a manifest with some entries changed and a valid seal, as another version would."""
    from openwork.deploy import artifact

    manifest = json.loads((directory / MANIFEST).read_bytes())
    del manifest["seal"]
    (directory / MANIFEST).write_bytes(artifact._sealed(manifest | changes))


def test_what_was_written_is_what_is_read(tmp_path: Path) -> None:
    written = tiny.write_artifact(tmp_path / "deploy")
    assert open_artifact(tmp_path / "deploy") == written


def test_the_manifest_has_the_same_bytes_again_and_no_path(directory: Path, tmp_path: Path) -> None:
    tiny.write_artifact(tmp_path / "elsewhere")
    manifest = (directory / MANIFEST).read_text()
    assert (tmp_path / "elsewhere" / MANIFEST).read_text() == manifest
    assert str(tmp_path) not in manifest


def test_every_file_is_guarded(directory: Path) -> None:
    names = sorted(path.name for path in directory.iterdir())
    assert MANIFEST in names
    assert sorted([*open_artifact(directory).file_names, MANIFEST]) == names


def test_one_flipped_bit_in_any_file_is_refused_naming_the_file(directory: Path) -> None:
    generator = random.Random(0)
    for path in sorted(directory.iterdir()):
        content = path.read_bytes()
        for place in {0, len(content) - 1, *(generator.randrange(len(content)) for _ in range(8))}:
            changed = bytearray(content)
            changed[place] ^= 1 << generator.randrange(8)
            path.write_bytes(changed)
            with pytest.raises(ArtifactError, match=path.name) as caught:
                open_artifact(directory)
            assert "\n" not in str(caught.value)
        path.write_bytes(content)
    open_artifact(directory)


def test_a_flipped_bit_anywhere_in_the_manifest_is_refused(directory: Path) -> None:
    path = directory / MANIFEST
    content = path.read_bytes()
    for place in range(0, len(content), 3):
        flipped = content[place] ^ 1 << place % 8
        path.write_bytes(content[:place] + bytes([flipped]) + content[place + 1 :])
        with pytest.raises(ArtifactError, match=MANIFEST):
            open_artifact(directory)


def test_a_truncated_or_missing_file_is_refused_naming_it(directory: Path) -> None:
    for path in sorted(directory.iterdir()):
        content = path.read_bytes()
        for length in (0, len(content) // 2, len(content) - 1):
            path.write_bytes(content[:length])
            with pytest.raises(ArtifactError, match=path.name):
                open_artifact(directory)
        path.unlink()
        with pytest.raises(ArtifactError, match=path.name):
            open_artifact(directory)
        path.write_bytes(content)


@pytest.mark.parametrize("changes", [{"schema_version": 1}, {"abi": 0}, {"schema_version": "2"}])
def test_another_version_is_refused_as_such(directory: Path, changes: dict[str, object]) -> None:
    reseal(directory, **changes)
    with pytest.raises(ArtifactError, match="another version"):
        open_artifact(directory)


@pytest.mark.parametrize(
    "changes",
    [
        {"files": {}},
        {"inputs": 7},
        {"inputs": [{"name": "x", "shape": [1, -1], "dtype": "float32", "file": "input0.bin"}]},
        {"inputs": [{"name": "x", "shape": [1], "dtype": "object", "file": "input0.bin"}]},
        {"inputs": [{"name": "x", "shape": [1], "dtype": "float32", "file": "../input0.bin"}]},
        {"inputs": [{"name": "x", "shape": [1], "dtype": "float32", "file": ".."}]},
        {"proof": []},
        {"threads": None},
    ],
)
def test_a_sealed_manifest_that_makes_no_sense_is_refused(directory: Path, changes: dict[str, object]) -> None:
    reseal(directory, **changes)
    with pytest.raises(ArtifactError, match="not a manifest"):
        open_artifact(directory)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"7", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"abi": 1, "schema_version": 2, "seal": NaN}'],
)
def test_any_other_bytes_as_a_manifest_are_refused(directory: Path, content: bytes) -> None:
    (directory / MANIFEST).write_bytes(content)
    with pytest.raises(ArtifactError, match=MANIFEST):
        open_artifact(directory)


def test_no_artifact_at_all(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "none"):
        with pytest.raises(ArtifactError, match="openwork compile"):
            open_artifact(place)


def test_a_folder_or_link_in_place_of_a_file_is_refused(directory: Path) -> None:
    (directory / "deploy.c").unlink()
    (directory / "deploy.c").mkdir()
    with pytest.raises(ArtifactError, match=r"deploy\.c"):
        open_artifact(directory)


def test_other_files_beside_are_no_matter(directory: Path) -> None:
    (directory / "notes.txt").write_text("mine")
    (directory / "build").mkdir()
    assert verify(directory).passed


def test_other_weights_with_a_fresh_manifest_are_taken_and_change_the_answers(directory: Path) -> None:
    artifact = open_artifact(directory)
    (directory / "deploy.params").write_bytes((tiny.WEIGHTS * 3).tobytes())
    write_manifest(artifact)
    with InferenceSession(directory) as session:
        y = session.run(["y"], tiny.inputs())[0]
    assert abs(y - tiny.expected(tiny.inputs())[0]).max() > 0.1
    assert not verify(directory).passed


def test_a_device_in_place_of_the_manifest_is_not_read(directory: Path) -> None:
    (directory / MANIFEST).unlink()
    (directory / MANIFEST).symlink_to("/dev/zero")
    with pytest.raises(ArtifactError, match=MANIFEST):
        open_artifact(directory)


def test_what_an_input_means_is_kept(directory: Path) -> None:
    artifact = open_artifact(directory)
    meant = replace(artifact.inputs[1], quantization=(0.1, 3, "uint8"))
    write_manifest(replace(artifact, inputs=(artifact.inputs[0], meant)))
    assert [tensor.quantization for tensor in open_artifact(directory).inputs] == [None, (0.1, 3, "uint8")]
    for wrong in ((0.1, 3), (0.1, "x", "uint8"), (0.1, 3, "float32"), None):
        entry = {**meant.to_json(), "quantization": wrong}
        reseal(directory, inputs=[artifact.inputs[0].to_json(), entry])
        with pytest.raises(ArtifactError, match="is not a manifest"):
            open_artifact(directory)
