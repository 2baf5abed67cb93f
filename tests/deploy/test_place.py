"""What an artifact may take the place of."""

import json
import shutil
import threading
from pathlib import Path

import pytest

from openwork.deploy import compile as compiling
from openwork.deploy import open_artifact
from openwork.deploy.artifact import MANIFEST
from openwork.deploy.compile import compile_model
from openwork.deploy.place import check_artifact_place, check_replaceable
from openwork.errors import ArtifactError
from openwork.passes import canonicalise
from openwork.targets import load_target
from tests.models import conv_net


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("compiled") / "deploy"
    compile_again(directory)
    return directory


@pytest.fixture
def artifact(compiled: Path, tmp_path: Path) -> Path:
    return shutil.copytree(compiled, tmp_path / "deploy")


def compile_again(directory: Path, *, force: bool = False) -> None:
    model = conv_net()
    canonicalise(model)
    compile_model(model, directory, target=load_target("cpu"), force=force)


def test_an_artifact_may_be_replaced_and_one_with_other_files_only_by_force(artifact: Path) -> None:
    check_artifact_place(artifact)
    (artifact / "notes").mkdir()
    (artifact / "notes" / "thesis.tex").touch()
    (artifact / "images.npy").touch()
    with pytest.raises(ArtifactError, match=r"did not write \('images.npy', 'notes'\); move them away, or .*--force"):
        check_artifact_place(artifact)
    check_artifact_place(artifact, force=True)


def test_a_compilation_keeps_or_deletes_what_openwork_did_not_write(artifact: Path) -> None:
    (artifact / "thesis.tex").write_text("years of work")
    with pytest.raises(ArtifactError, match=r"\('thesis.tex'\)"):
        compile_again(artifact)
    assert (artifact / "thesis.tex").read_text() == "years of work"
    compile_again(artifact, force=True)
    assert open_artifact(artifact).file_names == tuple(sorted({path.name for path in artifact.iterdir()} - {MANIFEST}))


def test_a_file_of_ours_that_became_a_link_or_a_folder_is_not_ours(artifact: Path) -> None:
    (artifact / "deploy.c").unlink()
    (artifact / "deploy.c").mkdir()
    (artifact / "deploy.so").unlink()
    (artifact / "deploy.so").symlink_to("inference")
    with pytest.raises(ArtifactError, match=r"\('deploy.c', 'deploy.so'\)"):
        check_artifact_place(artifact)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"files": {"mine": {}}, "seal": "no"}'])
def test_a_damaged_manifest_vouches_for_nothing_but_names_of_ours(artifact: Path, content: bytes) -> None:
    (artifact / MANIFEST).write_bytes(content)
    (artifact / "input12.bin").touch()
    check_artifact_place(artifact)
    (artifact / "mine").touch()
    with pytest.raises(ArtifactError, match=r"\('mine'\)"):
        check_artifact_place(artifact)


def test_a_manifest_of_something_else_makes_no_artifact_even_by_force(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text(json.dumps({"name": "a web page"}))
    (tmp_path / "index.html").touch()
    for force in (False, True):
        with pytest.raises(ArtifactError, match=r"holds other files \('index.html', 'manifest.json'\)"):
            check_replaceable(tmp_path, force=force)


def test_an_artifact_behind_a_link_is_replaced_there(artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to("deploy")
    compile_again(tmp_path / "latest")
    assert (tmp_path / "latest").is_symlink() and not artifact.is_symlink()
    open_artifact(artifact)


def test_the_second_of_two_compilations_into_one_directory_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins while the first one compiles."""
    build, told = compiling.build, []

    def second() -> None:
        try:
            compile_again(tmp_path / "deploy")
        except ArtifactError as error:
            told.append(str(error))

    def interrupted(*arguments: object, **options: object) -> object:
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
        return build(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(compiling, "build", interrupted)
    compile_again(tmp_path / "deploy")
    assert len(told) == 1 and "deploy: another openwork is writing there" in told[0]
    open_artifact(tmp_path / "deploy")
    assert [path.name for path in tmp_path.iterdir()] == ["deploy"]
