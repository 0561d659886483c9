"""The summary: counts, the warnings a user must see, and the exit code."""

from io import StringIO

import pytest
from rich.console import Console

from service.errors import Status
from service.session import CUDA
from service.summary import Summary
from service.vcf import Passed, Record, parse_line

PROVENANCE = {
    "assembly": "GRCh37", "model": "toy", "targets": ["K562", "HepG2", "WTC11"], "threads": 2,
    "providers": ["CPUExecutionProvider"], "calibrated_targets": [], "use": "research use only",
}  # fmt: skip


def summary(counts: dict[Status, int], **changes) -> Summary:
    made = Summary(provenance=PROVENANCE)
    made.counts.update(counts)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def warnings(counts: dict[Status, int], **changes) -> str:
    return "\n".join(summary(counts, **changes).warnings(0.1))


@pytest.mark.parametrize(
    ("counts", "n_malformed", "code"),
    [
        ({}, 0, 0),
        ({Status.OK: 1}, 0, 0),
        ({Status.OK: 1, Status.REF_MISMATCH: 99}, 0, 0),
        ({Status.NO_ALT: 5}, 0, 0),
        ({Status.OK: 1}, 2, 3),
        ({}, 2, 3),
        ({Status.UNKNOWN_CONTIG: 5}, 0, 4),
        ({Status.SYMBOLIC_ALT: 5, Status.NO_ALT: 9}, 2, 4),
    ],
)
def test_exit_code(counts, n_malformed, code):
    assert summary(counts, n_malformed=n_malformed).exit_code == code


def test_nothing_scored_says_why():
    text = warnings(
        {Status.UNKNOWN_CONTIG: 5, Status.STAR_ALT: 1}, unknown_contigs=["chr21", "chr22"]
    )
    assert "nothing was scored: 5 of 6 ALTs are unknown_contig" in text
    assert "chr21, chr22" in text
    assert "nothing was scored" not in warnings({Status.OK: 1})


def test_ref_mismatches_beyond_the_share_put_the_assembly_in_doubt():
    assert "wrong assembly?" in warnings({Status.OK: 9, Status.REF_MISMATCH: 1})
    assert "wrong assembly?" not in warnings({Status.OK: 91, Status.REF_MISMATCH: 9})
    assert "wrong assembly?" in warnings({Status.REF_MISMATCH: 3, Status.SYMBOLIC_ALT: 900})
    assert warnings({Status.OK: 1}) == ""


def test_an_assembly_that_is_not_stated_is_warned_about_once():
    text = warnings({Status.OK: 1}, provenance={"assembly": None})
    assert text.count("--assembly GRCh37 or GRCh38") == 1


def test_the_first_malformed_lines_are_named():
    made = summary({Status.OK: 1})
    for number in (5, 9, 12, 40):
        made.add_passed(Passed(number, b"x\n", "POS is odd"))
    made.add_passed(Passed(41, b"\n", None))
    [text] = made.warnings(0.1)
    assert text.startswith("4 malformed records passed through unscored: line 5: POS is odd; ")
    assert "line 12" in text
    assert text.endswith("...")
    assert "line 40" not in text


def test_records_are_counted_by_alt():
    made = summary({})
    record = parse_line(b"chrU\t7\t.\tA\tC,G\t.\t.\t.\n", 1)
    assert isinstance(record, Record)
    for _ in range(5):
        made.add(record, [Status.OK, Status.UNKNOWN_CONTIG])
    assert (made.n_records, made.n_alts, made.n_scored) == (5, 10, 5)
    assert made.unknown_contigs == ["chrU"]


def test_the_table_shows_every_status_that_occurred_and_the_terms_of_use():
    made = summary({Status.OK: 1234, Status.STAR_ALT: 2}, n_records=1000, seconds=2.0)
    text = shown(made)
    assert "1,234" in text
    assert Status.STAR_ALT.reason in text
    assert "no_alt" not in text
    assert "618 variants/s" in text
    assert "model toy, intervals NOT calibrated; research use only" in text


def shown(made: Summary, device: str = "auto") -> str:
    out = StringIO()
    made.show(Console(file=out, width=120), mismatch_share=0.1, device=device)
    return out.getvalue()


@pytest.mark.parametrize(
    ("targets", "text"),
    [
        (["K562", "HepG2"], "intervals calibrated for K562, HepG2, NOT for WTC11;"),
        (["K562", "HepG2", "WTC11"], "intervals calibrated for K562, HepG2, WTC11;"),
    ],
)
def test_the_calibrated_targets_are_named(targets, text):
    assert text in shown(summary({}, provenance=PROVENANCE | {"calibrated_targets": targets}))


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
