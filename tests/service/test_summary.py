"""The summary: counts, the warnings a user must see, and the exit code."""

import json
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from rich.console import Console

from service.errors import Status
from service.records import parse_lines
from service.session import CUDA
from service.summary import Summary
from service.tally import Tally
from tests.service.made_scores import make_scores

PROVENANCE = {
    "assembly": "GRCh37", "model": "toy", "targets": ["K562", "HepG2", "WTC11"], "threads": 2,
    "providers": ["CPUExecutionProvider"], "calibrated_targets": [], "use": "research use only",
}  # fmt: skip
OF_TALLY = {"n_novel", "n_malformed", "n_records", "unknown_contigs", "problems"}


def summary(counts: dict[Status, int], **changes) -> Summary:
    tally = Tally(**{name: changes.pop(name) for name in OF_TALLY & changes.keys()})
    tally.counts.update(counts)
    return Summary(**{"provenance": PROVENANCE, "tally": tally} | changes)


def warnings(counts: dict[Status, int], **changes) -> str:
    return "\n".join(summary(counts, **changes).warnings(0.1))


def tally_of(lines: list[bytes], statuses: list[Status], first_number: int = 1) -> Tally:
    tally = Tally()
    scores = make_scores(statuses, novelty=[0.001] * len(statuses))
    tally.add_chunk(list(parse_lines(lines, first_number)), scores)
    return tally


@pytest.mark.parametrize(
    ("counts", "n_malformed", "code"),
    [
        ({}, 0, 0),
        ({Status.OK: 1}, 0, 0),
        ({Status.OK: 1, Status.REF_MISMATCH: 99}, 0, 0),
        ({Status.NO_ALT: 5}, 0, 0),
        ({Status.OK: 1}, 2, 4),
        ({}, 2, 4),
        ({Status.UNKNOWN_CONTIG: 5}, 0, 4),
        ({Status.SYMBOLIC_ALT: 5, Status.NO_ALT: 9}, 2, 4),
    ],
)
def test_exit_code(counts, n_malformed, code):
    made = summary(counts, n_malformed=n_malformed)
    assert made.exit_code == code
    incomplete = summary(counts, n_malformed=n_malformed, gaps=["shard 3"])
    assert incomplete.exit_code == 3


def test_what_is_missing_is_named_first():
    text = warnings({Status.UNKNOWN_CONTIG: 5}, gaps=["lines 5 to 9", "lines 20 to 30"])
    assert text.startswith("incomplete: lines 5 to 9; lines 20 to 30\n")


def test_nothing_scored_says_why():
    text = warnings(
        {Status.UNKNOWN_CONTIG: 5, Status.STAR_ALT: 1}, unknown_contigs=["chr21", "chr22"]
    )
    assert "nothing was scored: 5 of 6 ALTs are unknown_contig" in text
    assert "chr21, chr22" in text
    assert "nothing was scored" not in warnings({Status.OK: 1})


def test_an_input_without_records_is_no_silent_success():
    assert warnings({}) == "the input has no records: there was nothing to score"
    for changes in ({"n_malformed": 1}, {"gaps": ["shard 0"]}):
        assert "no records" not in warnings({}, **changes)
    assert "no records" not in warnings({Status.NO_ALT: 1})


def test_ref_mismatches_beyond_the_share_put_the_assembly_in_doubt():
    assert "wrong assembly?" in warnings({Status.OK: 9, Status.REF_MISMATCH: 1})
    assert "wrong assembly?" not in warnings({Status.OK: 91, Status.REF_MISMATCH: 9})
    assert "wrong assembly?" in warnings({Status.REF_MISMATCH: 3, Status.SYMBOLIC_ALT: 900})
    assert warnings({Status.OK: 1}) == ""


def test_an_assembly_that_is_not_stated_is_warned_about_once():
    text = warnings({Status.OK: 1}, provenance={"assembly": None})
    assert text.count("--assembly GRCh37 or GRCh38") == 1


def test_the_first_malformed_lines_are_named():
    lines = [b"a\n", b"\n", b"1\tx\t.\tA\tC\t.\t.\t.\n", b"c\n", b"d\n"]
    [text] = summary({}, **vars_of(tally_of(lines, [], first_number=5))).warnings(0.1)
    assert text.startswith("4 malformed records passed through unscored: line 5: 1 of the 8")
    assert "line 7: POS 'x'" in text
    assert "line 8: " in text
    assert text.endswith("...")
    assert "line 9" not in text


def vars_of(tally: Tally) -> dict:
    return {name: getattr(tally, name) for name in OF_TALLY}


RECORD = b"\t7\t.\tA\tC,G\t.\t.\t.\n"


def test_records_are_counted_by_alt():
    names = [b"chr1", b"chrU", b"chr1", b"chrV", b"chrW", b"chrX"]
    lines = [b"bad\n", *(name + RECORD for name in names), b"\n"]
    unknown = [Status.UNKNOWN_CONTIG] * 2
    statuses = [
        Status.OK, Status.REF_MISMATCH, *unknown, Status.OK, Status.NO_ALT, *unknown * 3
    ]  # fmt: skip
    tally = tally_of(lines, statuses)
    assert (tally.n_lines, tally.n_records, tally.n_malformed) == (8, 6, 1)
    assert (tally.n_alts, tally.n_scored, tally.n_mismatched, tally.n_compared) == (12, 2, 1, 3)
    assert tally.n_novel == 2, "what has no score is not novel"
    assert tally.unknown_contigs == ["chrU", "chrV", "chrW"]
    assert tally.problems == [(1, "1 of the 8 tab-separated columns that VCF asks for")]


KINDS = st.sampled_from([
    (b"bad\n", []), (b"\n", []), (b"1\tx\t.\tA\tC\t.\t.\t.\n", []),
    (b"1" + RECORD, [Status.OK, Status.STAR_ALT]),
    *((name + RECORD, [Status.UNKNOWN_CONTIG] * 2) for name in (b"u", b"v", b"w", b"x")),
])  # fmt: skip


@given(st.lists(st.lists(KINDS, max_size=6), max_size=5), st.integers(0, 100))
def test_the_counts_of_shards_add_up_to_those_of_the_file(shards, n_header):
    merged = Tally()
    for shard in shards:
        lines, statuses = [line for line, _ in shard], [s for _, some in shard for s in some]
        # Each shard numbers its own lines from 1; a marker is how it hands the counts over.
        text = Marker(tally=tally_of(lines, statuses)).model_dump_json()
        part = Marker.model_validate_json(text).tally
        merged = merged.merged(part, n_header + merged.n_lines)
    whole = [kind for shard in shards for kind in shard]
    statuses = [status for _, some in whole for status in some]
    assert merged == tally_of([line for line, _ in whole], statuses, n_header + 1)


class Marker(BaseModel):
    tally: Tally


def test_a_tally_survives_inside_a_marker():
    tally = tally_of([b"bad\n", b"u" + RECORD], [Status.OK, Status.UNKNOWN_CONTIG])
    text = Marker(tally=tally).model_dump_json()
    again = Marker.model_validate_json(text).tally
    assert again == tally
    again.counts[Status.OK] += 1
    assert again.n_scored == 2, "still a counter, of statuses"
    assert {type(status) for status in again.counts} == {Status}
    assert json.loads(text)["tally"]["counts"] == {"ok": 1, "unknown_contig": 1}


def test_the_summary_as_json_says_what_the_table_says():
    made = summary(
        {Status.OK: 9, Status.REF_MISMATCH: 1}, n_records=10, n_malformed=1,
        problems=[(7, "REF is empty")], seconds=2.0, is_rescored=True,
    )  # fmt: skip
    content = json.loads(json.dumps(made.as_dict(mismatch_share=0.1)))
    assert content["exit_code"] == made.exit_code == 4
    assert content["warnings"] == list(made.warnings(0.1))
    assert len(content["warnings"]) == 3
    assert content["counts"]["ref_mismatch"] == 1
    assert set(content["counts"]) == set(Status)
    assert content["problems"] == [{"line": 7, "problem": "REF is empty"}]
    assert (content["n_alts"], content["n_scored"], content["variants_per_second"]) == (10, 9, 5)
    assert content["provenance"] == PROVENANCE
    assert content["gaps"] == []


def test_the_table_shows_every_status_that_occurred_and_the_terms_of_use():
    made = summary({Status.OK: 1234, Status.STAR_ALT: 2}, n_records=1000, seconds=2.0)
    text = shown(made)
    assert "1,234" in text
    assert Status.STAR_ALT.reason in text
    assert "no_alt" not in text
    assert "618 variants/s" in text
    assert "model toy, intervals NOT calibrated; research use only" in text


def test_how_many_are_novel_is_said_where_some_are():
    made = summary({Status.OK: 1234, Status.STAR_ALT: 2}, n_novel=1001)
    assert "1,001 of 1,234 scored ALTs lie in sequence unlike" in shown(made)
    assert made.as_dict(mismatch_share=0.1)["n_novel"] == 1001
    assert made.exit_code == 0
    assert "unlike" not in shown(summary({Status.OK: 1234}))


def shown(made: Summary, device: str = "auto") -> str:
    out = StringIO()
    made.show(Console(file=out, width=120), mismatch_share=0.1, device=device)
    return out.getvalue()


@pytest.mark.parametrize(
    ("targets", "text"),
    [
        (
            ["K562", "HepG2"],
            "calibrated for K562, HepG2, NOT for WTC11;",
        ),
        (
            ["K562", "HepG2", "WTC11"],
            "calibrated for K562, HepG2, WTC11;",
        ),
    ],
)
def test_the_calibrated_targets_are_named(targets, text):
    said = shown(summary({}, provenance=PROVENANCE | {"calibrated_targets": targets}))
    assert f"intervals of single-base changes {text}" in said


@pytest.mark.parametrize(
    ("device", "providers", "text"),
    [
        ("auto", ["CPUExecutionProvider"], "device auto chose cpu: CPUExecutionProvider; 2 thr"),
        ("cpu", ["CPUExecutionProvider"], "device cpu: CPUExecutionProvider; 2 threads"),
        ("auto", [CUDA, "CPUExecutionProvider"], f"device auto chose cuda: {CUDA}, CPUExec"),
    ],
)
def test_the_device_in_use_is_named(device, providers, text):
    made = summary({}, provenance=PROVENANCE | {"providers": providers})
    assert text in shown(made, device)
