"""Where an artifact may be written: in the place of an older one, and of nothing that openwork did not write."""

import re
from functools import partial
from pathlib import Path

from openwork.deploy.artifact import MANIFEST, PROGRAM_FILES, files_written
from openwork.errors import ArtifactError
from openwork.files import check_whole_directory_place, listed

_TENSOR_FILE = re.compile(r"(input|ref_result_)\d+\.bin")


def check_artifact_place(directory: Path, *, force: bool = False) -> None:
    """Raises: ArtifactError: `compile_model`, with the same `force`, cannot write there."""
    check_whole_directory_place(directory, may_replace=partial(check_replaceable, force=force))


def check_replaceable(directory: Path, *, force: bool) -> None:
    """Whether a directory with content may be replaced by a newer artifact.

    force: files that openwork did not write may go with an older artifact. A directory that is none always stays.
    Raises: ArtifactError: it must stay.
    """
    names = sorted(each.name for each in directory.iterdir())
    files = {name for name in names if (directory / name).is_file() and not (directory / name).is_symlink()}
    written = files_written(directory)
    if MANIFEST not in files or (written is None and files.isdisjoint(PROGRAM_FILES)):
        raise ArtifactError(f"{directory}: holds other files ({listed(names)}); give -o an empty or new directory")
    if written is None:  # damaged: only what has a name of ours is ours
        written = frozenset({MANIFEST, *PROGRAM_FILES, *filter(_TENSOR_FILE.fullmatch, files)})
    foreign = [name for name in names if name not in files & written]
    if foreign and not force:
        raise ArtifactError(
            f"{directory}: also holds files that openwork did not write ({listed(foreign)}); move them away, or compile"
            " with --force (force=True) to delete them"
        )
