"""The stages in a row give what one call gives, and each of them works in a thread of its own."""

import threading

import numpy as np
import pytest

from service.errors import InputFileError
from service.records import Record, parse_lines
from service.reference import Reference
from service.scoring import Scorer, ScoringOptions
from service.stages import chunks, scored
from service.variants import Variant
from tests.service.cohort import Cohort


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Cohort:
    return Cohort(tmp_path_factory.mktemp("stages") / "genome.fa", 300)


@pytest.fixture
def scorer(cohort, toy_model):
    with Reference.open(cohort.fasta) as reference:
        yield Scorer(toy_model, reference, ScoringOptions(batch_size=16))


@pytest.fixture
def lines(cohort) -> list[Record]:
    records = [line + b"\n" for line in cohort.records()]
    records[5:5] = [b"\n", b"no record\n"]
    return list(parse_lines(records, 1))


def variants_of(lines) -> list[Variant]:
    return [variant for line in lines if isinstance(line, Record) for variant in line.variants]


@pytest.mark.parametrize("max_alts", [1, 7, 50, 10_000])
def test_the_stages_give_what_one_call_gives(scorer, lines, max_alts):
    whole = scorer.score(variants_of(lines))
    parts = list(scored(chunks(lines, max_alts=max_alts), scorer))
    assert [line for chunk, _ in parts for line in chunk] == lines
    assert [status for _, scores in parts for status in scores.status] == whole.status
    assert [form for _, scores in parts for form in scores.normalised] == whole.normalised
    effects = np.concatenate([scores.effects.effect for _, scores in parts])
    np.testing.assert_array_equal(effects, whole.effects.effect)


def test_a_chunk_without_lines_passes_through_in_its_place(scorer, lines):
    first, second = lines[:20], lines[20:]
    parts = list(scored([first, [], second, []], scorer))
    assert [chunk for chunk, _ in parts] == [first, [], second, []]
    assert [len(scores.status) for _, scores in parts] == [
        len(variants_of(first)), 0, len(variants_of(second)), 0,
    ]  # fmt: skip


def test_reading_the_model_and_the_caller_have_threads_of_their_own(scorer, lines, monkeypatch):
    seen = {}

    def note(name):
        method = getattr(scorer, name)
        monkeypatch.setattr(
            scorer, name, lambda *a: seen.setdefault(name, threading.get_ident()) and method(*a)
        )

    def items():
        seen["read"] = threading.get_ident()
        yield from chunks(lines, max_alts=50)

    for name in ("cut", "predict", "combine"):
        note(name)
    assert list(scored(items(), scorer))
    assert seen["combine"] == threading.get_ident()
    assert seen["read"] == seen["cut"]
    assert len(set(seen.values())) == 3


def test_an_error_in_reading_comes_after_the_lines_before_it(scorer, lines):
    def broken():
        yield from lines[:60]
        raise InputFileError("cut off")

    seen = []
    with pytest.raises(InputFileError, match="cut off"):
        seen.extend(scored(chunks(broken(), max_alts=50), scorer))
    assert [line for chunk, _ in seen for line in chunk] == lines[:60]


def test_a_model_that_fails_ends_all_threads(scorer, lines, monkeypatch):
    def fail(_):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(scorer, "predict", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        list(scored(chunks(lines, max_alts=10), scorer))
    assert not [thread for thread in threading.enumerate() if thread.name == "ahead"]


def test_only_a_few_chunks_are_read_before_they_are_needed(scorer, lines):
    n_read = 0

    def items():
        nonlocal n_read
        for line in lines * 3:
            n_read += 1
            yield [line]

    stage = scored(items(), scorer)
    next(stage)
    seen = -1
    while seen != n_read:  # until the threads have come to rest
        seen = n_read
        threading.Event().wait(0.2)
    assert 1 < n_read <= 1 + 3 * 2, "two in each queue, one in each hand"
    stage.close()
