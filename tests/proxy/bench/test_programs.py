"""The C programs are compiled once for their sources, and whatever keeps them from it is named."""

import pytest

from jevons.proxy.bench.programs import build, cache_folder
from jevons.proxy.errors import JevonsError

pytest_plugins = ["bench_fixture"]


def test_programs_are_built_once(programs):
    """A program that was compiled from these sources is left alone."""
    built_at = programs.mock.stat().st_mtime_ns
    assert build(programs.mock.parent) == programs
    assert programs.mock.stat().st_mtime_ns == built_at
    assert set(programs.mock.parent.iterdir()) == {programs.mock, programs.load}


def test_sources_compile_without_a_warning(tmp_path, monkeypatch):
    """The strictest usual warnings find nothing."""
    monkeypatch.setenv("CC", "cc -Wall -Wextra -Werror")
    assert build(tmp_path).load.exists()


def test_another_compiler_compiles_anew(programs, tmp_path, monkeypatch):
    """Another command for the compiler gives other programs."""
    monkeypatch.setenv("CC", "cc -O0")
    assert build(tmp_path).mock.name != programs.mock.name


def test_a_missing_compiler_is_named(tmp_path, monkeypatch):
    """Without a compiler the error says which was sought and what to do."""
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(JevonsError, match=r"no 'no-such-compiler': install one"):
        build(tmp_path / "new")


def test_a_failing_compiler_is_quoted(tmp_path, monkeypatch):
    """When the compiler fails, its command and its words are in the error, and no half program is left."""
    monkeypatch.setenv("CC", "cc -fno-such-flag")
    with pytest.raises(JevonsError, match=r"(?s)mock.c does not compile: cc -fno-such-flag .*no-such-flag"):
        build(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    """Where the cache cannot be, the error says where that was."""
    (tmp_path / "file").write_text("")
    with pytest.raises(JevonsError, match="file/cache"):
        build(tmp_path / "file" / "cache")


def test_the_cache_is_where_others_keep_theirs(tmp_path, monkeypatch):
    """`$XDG_CACHE_HOME` says where caches are; a relative one does not count."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "jevons"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "jevons"
