"""What is kept comes back as it was, or not at all."""

import errno
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openwork.backends.cpu.compiler import cache as caching
from openwork.backends.cpu.compiler.cache import cache_directory, load, scratch_directory, store
from openwork.errors import ArtifactError, BuildError


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENWORK_CACHE", str(tmp_path_factory.mktemp("cache") / "cache"))
        yield cache_directory()


@settings(deadline=None)
@given(content=st.binary(max_size=40), bit=st.integers(0))
def test_no_bit_of_what_is_kept_can_change_unnoticed(content, bit):
    store("key", content)
    assert load("key") == content
    assert load("another") is None
    path = caching._place("key")
    kept = bytearray(path.read_bytes())
    bit %= 8 * len(kept)
    kept[bit // 8] ^= 1 << bit % 8
    path.write_bytes(kept)
    assert load("key") is None


def test_whatever_lies_in_the_place_of_a_file_is_not_taken_for_it():
    path = caching._place("odd")
    store("even", b"content")
    for put in (path.mkdir, lambda: os.mkfifo(path), lambda: path.symlink_to(path), lambda: path.touch(0)):
        put()
        assert load("odd") is None
        path.rmdir() if path.is_dir() else path.unlink()
    path.write_bytes(caching._place("even").read_bytes())  # sound, but of another key
    assert load("odd") is None


def test_what_was_not_used_for_longest_goes_when_it_becomes_too_much(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENWORK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(caching, "MOST", 350)
    for number in range(3):
        store(str(number), bytes(100 - 32))
        os.utime(caching._place(str(number)), (number, number))
    assert load("0") is not None  # used just now
    store("3", bytes(100 - 32))
    assert [load(str(number)) is not None for number in range(4)] == [True, False, True, True]


def test_a_cache_that_cannot_be_written_keeps_nothing_and_says_so_only_of_scratch(monkeypatch):
    def full(path, content):
        raise ArtifactError("full")

    monkeypatch.setattr(caching, "write_whole", full)
    store("new", b"content")
    assert load("new") is None
    with pytest.raises(BuildError, match=r"cache: cannot be written \(No space left"), scratch_directory():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_scratch_is_gone_afterwards_and_after_a_death_with_the_next(cache):
    dead = cache / ".scratch.abcdefgh.openwork"
    dead.mkdir()
    with scratch_directory() as folder:
        assert not dead.exists() and folder.parent == cache
        (folder / "file").touch()
    assert not folder.exists()


def test_a_cache_that_others_can_write_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENWORK_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o777)
    with pytest.raises(BuildError, match="others may write to this cache"):
        cache_directory()
