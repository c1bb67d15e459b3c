"""The raw file: whole lines, only ever added, readable after any kill."""

import pytest
from study_samples import header, reply

from jevons.proxy.errors import JevonsError
from jevons.proxy.study.raw import FILE_NAME, Idle, Judgement, Raw, RawWriter, read_raw


def test_what_is_written_is_read(tmp_path):
    """Every kind of line comes back as it was."""
    lines = [header(), Idle("before", 3.0, None), reply(), Judgement("plain", "p0", 0, 1, "judge", 0.5)]
    with RawWriter(tmp_path) as writer:
        for line in lines:
            writer.write(line)
    raw = read_raw(tmp_path)
    assert [raw.header, *raw.idle, *raw.replies.values(), *raw.judgements.values()] == lines


def test_a_line_cut_short_is_dropped_and_made_good(tmp_path):
    """At every byte where a kill may have cut the file, what was whole is read and the next line begins anew."""
    with RawWriter(tmp_path) as writer:
        writer.write(header())
        writer.write(reply())
    content = (tmp_path / FILE_NAME).read_bytes()
    first = content.index(b"\n") + 1
    for cut in range(first, len(content), 37):
        (tmp_path / FILE_NAME).write_bytes(content[:cut])
        assert read_raw(tmp_path).replies == {}
        with RawWriter(tmp_path) as writer:
            writer.write(reply(prompt="p1"))
        assert list(read_raw(tmp_path).replies) == [("plain", "p1", 0, 1)]


def test_a_later_try_takes_the_place_of_one_that_failed():
    """The failure is counted, the success is what counts."""
    raw = Raw()
    raw.add(reply(outcome="HTTP 503"))
    raw.add(reply())
    assert raw.failures == 1
    assert [one.is_usable for one in raw.replies.values()] == [True]


def test_two_runs_do_not_mix(tmp_path):
    """While one run writes, another is refused."""
    with RawWriter(tmp_path), pytest.raises(JevonsError, match="another run"), RawWriter(tmp_path):
        pass


def test_a_folder_without_a_study_is_refused(tmp_path):
    """No file, a file of something else, and a file without a header each say what they are."""
    with pytest.raises(JevonsError, match="no study was run there"):
        read_raw(tmp_path)
    (tmp_path / FILE_NAME).write_text("hello\n")
    with pytest.raises(JevonsError, match=r"raw.jsonl:1"):
        read_raw(tmp_path)
    with pytest.raises(JevonsError, match="no header"):
        _ = Raw().header


def test_unknown_energy_is_not_usable():
    """A reply without joules or without tokens is kept and counted nowhere."""
    assert not reply(joules=0.0).is_usable
    assert not reply(tokens=0).is_usable
