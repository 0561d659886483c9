"""Where one pass writes: pipes, devices, standard output."""

import gzip
import os
import sys

import pytest

from service.bgzf import END
from service.errors import ValidationError
from service.stream import Output, is_standard_output

WAYS = pytest.mark.parametrize("is_compressed", [False, True])


@WAYS
def test_a_pipe_is_written_to_not_replaced(tmp_path, is_compressed):
    pipe = tmp_path / "pipe.vcf"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with Output(str(pipe), is_compressed=is_compressed) as output:
        output.write(b"thr")
        output.write(b"ough\n")
    raw = os.read(reader, 1000)
    os.close(reader)
    assert (gzip.decompress(raw) if is_compressed else raw) == b"through\n"
    assert raw.endswith(END) is is_compressed
    assert list(tmp_path.iterdir()) == [pipe]
    assert pipe.is_fifo()


@WAYS
def test_a_failure_hands_on_what_was_written_and_no_end_block(tmp_path, is_compressed):
    path = tmp_path / "out"
    with (
        pytest.raises(RuntimeError),
        Output(str(path), is_compressed=is_compressed) as output,
    ):
        output.write(b"half\n")
        raise RuntimeError
    raw = path.read_bytes()
    assert (gzip.decompress(raw) if is_compressed else raw) == b"half\n"
    assert not raw.endswith(END)


@WAYS
def test_a_full_disk_is_an_error_not_a_short_file(is_compressed):
    with (
        pytest.raises(OSError, match="No space"),
        Output("/dev/full", is_compressed=is_compressed) as output,
    ):
        output.write(os.urandom(3_000_000))


def test_a_full_disk_does_not_hide_what_failed_first():
    with pytest.raises(RuntimeError), Output("/dev/full", is_compressed=True) as output:
        output.write(b"less than a block")
        raise RuntimeError


@WAYS
def test_where_nothing_can_be_written_is_said_before_the_work(tmp_path, is_compressed):
    with pytest.raises(ValidationError, match=r"cannot be written: No such file or directory"):
        Output(str(tmp_path / "no" / "out.vcf"), is_compressed=is_compressed)


def test_standard_output_is_known_under_its_other_names(capfd, tmp_path):
    (tmp_path / "link").symlink_to("/proc/self/fd/1")
    for name in ("-", "/dev/stdout", str(tmp_path / "link")):
        assert is_standard_output(name)
        with Output(name, is_compressed=False) as output:
            output.write(name.encode())
            output.write(b"\n")
        assert capfd.readouterr().out == f"{name}\n"
    sys.stdout.write("still open")
    sys.stdout.flush()
    assert capfd.readouterr().out == "still open"
    for name in ("/dev/null", str(tmp_path / "other")):
        assert not is_standard_output(name)
