"""Facts beside a triaged list: shown as they were found, and without a word in any call."""

import dataclasses

import numpy as np
import pytest

from service.errors import ValidationError
from service.evidence import Evidence
from service.reference import Reference
from service.registry import Registry
from service.scoring import Scorer, ScoringOptions
from service.triage_facts import (
    EVIDENCE_FACTS,
    RATIO_FACTS,
    remarks,
    with_evidence,
    with_likelihood_ratios,
)
from service.variants import Variant
from tests.genomes import write_fasta
from tests.service.test_likelihood import entry
from tests.service.test_ranking import BAD, FITTED, GENOME, MODEL, VARIANTS, listed
from tests.toy_models import write_model

FIRST = VARIANTS[0]
DELETION = Variant("chr1", FIRST.pos, GENOME[FIRST.pos - 1 : FIRST.pos + 1], FIRST.ref)
CHOSEN = [*VARIANTS[:8], BAD[0][0], DELETION]


@pytest.fixture(scope="module")
def scorer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("facts")
    write_model(folder, MODEL, card={"calibration": FITTED, "likelihood_ratios": entry()})
    with Reference.open(write_fasta(folder / "g.fa", {"chr1": GENOME})) as genome:
        yield Scorer(Registry(folder).load("sum", threads=1), genome)


@pytest.fixture(scope="module")
def found(scorer):
    return listed(scorer, CHOSEN)


def bare(found):
    return [dataclasses.replace(row, more={}) for row in found.rows]


def test_what_was_measured_stands_beside_the_row(found, tmp_path):
    first, second = VARIANTS[:2]
    table = tmp_path / "measured.tsv"
    table.write_text(
        "element\tchrom\tpos\tref\talt\tvalue\tp_value\n"
        f"E1\tchr1\t{first.pos}\t{first.ref}\t{first.alt}\t-0.4\t1e-5\n"
        f"E2\tchr1\t{second.pos + 3}\t{GENOME[second.pos + 2]}\t-\t0.9\t0.01\n"
    )
    evidence = Evidence.open(table)
    rows = with_evidence(found, evidence, within=5).by_input()
    assert [row.more["measured_is_exact"] for row in rows[:3]] == [True, False, None]
    exact, near, none = (tuple(row.more[name] for name in EVIDENCE_FACTS) for row in rows[:3])
    assert exact == (True, 0, 1, -0.4, None, 1e-5, "E1",
                     f"chr1:{first.pos}:{first.ref}:{first.alt}")  # fmt: skip
    assert near[1:4] == (3, 1, 0.9)
    assert set(none) == {None}
    assert set(rows[8].more.values()) == {None}, "no score, no evidence"
    assert with_evidence(found, evidence, within=2).by_input()[1].more["measured_n"] is None
    assert bare(with_evidence(found, evidence)) == list(found.rows), "tiers and ranks stand"


def test_ratios_are_those_of_the_card_on_the_deciding_target(scorer, found):
    told = with_likelihood_ratios(found, scorer.model, ScoringOptions())
    assert bare(told) == list(found.rows)
    assert told.provenance["likelihood_ratios"]["digest"] == scorer.model.likelihood_sha256
    rows = told.by_input()
    effects = np.array([[row.call.numbers["effect"]] for row in rows[:8]])
    direct = scorer.model.likelihood_ratios.ratios(
        effects, ("K562",), strands=2, shifts=(0,), is_snv=np.ones(8, bool)
    )
    said = np.array([[row.more[name] for name in RATIO_FACTS] for row in rows[:8]], float)
    columns = (direct.ratio, direct.lower, direct.upper)
    np.testing.assert_array_equal(said, np.column_stack(columns))
    assert np.isfinite(said).any()
    assert all(value is None for row in rows[8:] for value in row.more.values()), "no SNV, no score"


def test_other_passes_have_no_ratio(scorer, found):
    told = with_likelihood_ratios(found, scorer.model, ScoringOptions(strands=1))
    assert {value for row in told.rows for value in row.more.values()} == {None}


def test_a_card_without_the_table_is_named(found, tmp_path):
    write_model(tmp_path, MODEL, card={"calibration": FITTED})
    with pytest.raises(ValidationError, match="card of sum has no likelihood ratios"):
        with_likelihood_ratios(found, Registry(tmp_path).load("sum", threads=1), ScoringOptions())


def test_both_stand_side_by_side(scorer, found, tmp_path):
    table = tmp_path / "measured.tsv"
    first = VARIANTS[0]
    table.write_text(
        f"chrom\tpos\tref\talt\tvalue\nchr1\t{first.pos}\t{first.ref}\t{first.alt}\t1\n"
    )
    both = with_evidence(
        with_likelihood_ratios(found, scorer.model, ScoringOptions()), Evidence.open(table)
    )
    assert {tuple(row.more) for row in both.rows} == {(*RATIO_FACTS, *EVIDENCE_FACTS)}


def test_it_is_said_how_many_have_them(scorer, found, tmp_path):
    table = tmp_path / "measured.tsv"
    first, second = VARIANTS[:2]
    table.write_text(
        f"chrom\tpos\tref\talt\tvalue\nchr1\t{first.pos}\t{first.ref}\t{first.alt}\t1\n"
        f"chr1\t{second.pos + 3}\t{GENOME[second.pos + 2]}\t-\t0.9\n"
    )
    assert list(remarks(found)) == []
    told = with_evidence(found, Evidence.open(table), within=3)
    # The deletion touches the base after the first variant's.
    assert list(remarks(told)) == [
        "1 of 9 scored ALTs were measured themselves, of 2 others something within 3 bases"
    ]
    told = with_likelihood_ratios(found, scorer.model, ScoringOptions())
    [ratio, *rest] = [row for row in told.rows if row.more["likelihood_ratio"] is not None]
    ratio.more.update(likelihood_ratio_lower=1.01, likelihood_ratio_upper=2.0)
    [line] = remarks(told)
    assert line.startswith(
        f"{1 + len(rest)} of 9 scored ALTs have a likelihood ratio, {len(rest)} of them one that"
        " cannot be told from 1; it is about what an assay finds, not about disease"
    )
    [line] = remarks(with_likelihood_ratios(found, scorer.model, ScoringOptions(strands=1)))
    assert line.startswith("0 of 9 scored ALTs have a likelihood ratio")
    assert line.endswith("on K562, HepG2 with strands 2 and shifts 0, up to a size of 2")
