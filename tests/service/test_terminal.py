"""What a terminal shows and what it does not, and signals."""

import io
import os
import signal
import threading

import numpy as np
import pytest
from onnx import numpy_helper
from rich.console import Console

from service.errors import IncompleteError, ValidationError
from service.session import open_session
from service.terminal import Bar, explained, terminable
from tests.toy_models import SumModel


def shown(*updates: tuple[int, int, int | None], is_terminal: bool = True) -> str:
    """What a bar has written after these updates."""
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=is_terminal, width=120, color_system=None)
    with Bar(console) as bar:
        for update in updates:
            bar.update(*update)
    return stream.getvalue()


def test_a_bar_shows_the_share_of_the_input_the_alts_and_their_rate():
    text = shown((0, 0, 400), (100, 1234, 400))
    assert "preparing" in text
    assert "scoring" in text
    assert " 25%" in text
    assert "1,234 ALTs" in text


def test_what_an_earlier_run_did_counts_for_the_share_and_not_for_the_rate():
    text = shown((200, 5000, 400))
    assert " 50%" in text
    assert "5,000 ALTs, 0/s" in text


def test_there_is_no_bar_where_nobody_looks():
    assert not shown((0, 0, 400), (100, 1234, None), is_terminal=False).strip()


def test_sigterm_is_a_keyboard_interrupt_within_the_block_alone():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), terminable():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)  # while the block ends: it has no effect
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_thread_that_may_not_handle_signals_does_without():
    seen: list[object] = []

    def work() -> None:
        with terminable():
            seen.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_exit_codes_of_failures():
    assert explained(ValidationError("a\nb")) == ("a b", 1)
    assert explained(IncompleteError("1 of 2 shards done")) == ("1 of 2 shards done", 3)
    assert explained(KeyboardInterrupt()) == ("interrupted", 130)
    error = ValidationError("wrong")
    error.add_note("do this")
    assert explained(error) == ("wrong; do this", 1)


def test_onnx_runtime_does_not_write_to_the_terminal_itself(capfd):
    proto = SumModel().proto(metadata=SumModel().metadata("sum"))
    # An initialiser that no node uses: a warning at the level that ONNX Runtime has by itself.
    proto.graph.initializer.append(numpy_helper.from_array(np.ones(3, "f4"), "unused"))
    session = open_session(proto.SerializeToString(), "cpu", 1)
    assert session.get_inputs()[0].name == "bases"
    assert capfd.readouterr() == ("", "")


def test_the_line_for_an_error_gives_no_orders_to_the_terminal():
    assert explained(ValidationError("no contig chr\x1b[2J\n1"))[0] == "no contig chr\ufffd[2J 1"
