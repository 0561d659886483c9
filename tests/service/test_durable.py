"""Files that are there whole or not at all."""

import errno
import hashlib
import os
import uuid

import pytest

from service.durable import NewFile, file_sha256, sync_folder, write_file
from service.errors import InputFileError, ServiceError
from tests.service.processes import small_disk


def test_a_file_has_its_name_when_it_is_whole(tmp_path):
    path = tmp_path / "out"
    path.write_bytes(b"old")
    with NewFile(path) as file:
        file.write(b"one ")
        file.write(b"two")
        assert path.read_bytes() == b"old"
        assert len(list(tmp_path.iterdir())) == 2
    assert path.read_bytes() == b"one two"
    assert (file.n_bytes, file.sha256) == (7, hashlib.sha256(b"one two").hexdigest())
    assert file_sha256(path) == file.sha256
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_what_was_there(tmp_path, kind):
    path = tmp_path / "out"
    path.write_bytes(b"old")

    def write() -> None:
        with NewFile(path) as file:
            file.write(b"new")
            raise kind

    with pytest.raises(kind):
        write()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_bytes_are_on_the_disk_before_the_name(tmp_path, monkeypatch):
    done = []
    fsync, replace = os.fsync, type(tmp_path).replace
    monkeypatch.setattr(os, "fsync", lambda handle: done.append("sync") or fsync(handle))
    monkeypatch.setattr(
        type(tmp_path), "replace", lambda path, to: done.append("name") or replace(path, to)
    )
    write_file(tmp_path / "out", b"new")
    assert done == ["sync", "name"]


@pytest.mark.parametrize("place", ["gone/out", "x" * 300])
def test_a_file_that_cannot_be_made_is_named(tmp_path, place):
    with pytest.raises(ServiceError, match=r"cannot be written: (No such file|File name too)"):
        NewFile(tmp_path / place)


def test_a_disk_that_is_full_is_named(tmp_path):
    path = tmp_path / "out"

    def write() -> None:
        with NewFile(path) as file:
            file.write(b"x" * (1 << 21))

    with small_disk(1000), pytest.raises(ServiceError) as error:
        write()
    assert error.value.message == (
        f"{path} cannot be written: File too large; put that right and run the same command again"
    )
    assert not list(tmp_path.iterdir())


def test_a_few_bytes_on_a_full_disk_are_noticed_at_the_end(tmp_path):
    def write() -> None:
        with NewFile(tmp_path / "out") as file:
            file.write(b"x")

    with small_disk(0), pytest.raises(ServiceError, match="File too large"):
        write()
    assert not list(tmp_path.iterdir())


def test_two_writers_do_not_share_a_temporary_name(tmp_path):
    # Processes of two machines, or of two containers, may have the same number.
    path = tmp_path / "out"
    with NewFile(path) as first, NewFile(path) as second:
        first.write(b"first")
        second.write(b"second")
        assert len(list(tmp_path.iterdir())) == 2
    assert path.read_bytes() == b"first", "the one that was left last"
    assert list(tmp_path.iterdir()) == [path]


def test_a_temporary_name_that_is_taken_is_not_written_through(tmp_path, monkeypatch):
    monkeypatch.setattr("service.durable.uuid4", lambda: uuid.UUID(int=0))
    (tmp_path / f"out.{uuid.UUID(int=0).hex}.tmp").symlink_to(tmp_path / "precious")
    (tmp_path / "precious").write_bytes(b"old")
    with pytest.raises(ServiceError, match="File exists"):
        NewFile(tmp_path / "out")
    assert (tmp_path / "precious").read_bytes() == b"old"


def test_a_file_that_is_gone_has_no_digest(tmp_path):
    with pytest.raises(InputFileError, match=r"gone cannot be read: No such file"):
        file_sha256(tmp_path / "gone")


@pytest.mark.parametrize(("code", "is_raised"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_folder_that_cannot_be_synced_is_no_failure_of_the_disk(
    tmp_path, monkeypatch, code, is_raised
):
    def refuse(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    if is_raised:
        with pytest.raises(OSError, match="Input/output error"):
            sync_folder(tmp_path)
    else:
        sync_folder(tmp_path)
