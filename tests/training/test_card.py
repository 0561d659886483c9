"""The card: a round trip, a page that shows all of it, tables that enter by command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.registry import CARD_KEYS, Registry
from tests.service.familiar import entry
from tests.toy_models import BACKGROUND, CALIBRATION, SumModel, write_model
from training.card import (
    LIMITS,
    Card,
    TargetCard,
    TrainingTable,
    read_card,
    render_readme,
    update_calibration,
    update_entry,
    update_metrics,
    write_card,
    write_index,
)
from training.evaluation.metrics import Estimate
from training.evaluation.report import Report, Table, show

REPORT = Report(
    "CAGI5 challenge set: sum",
    (
        Table(
            "Means",
            ("group", "spearman", "p", "n"),
            (
                ("K562-matched (4)", Estimate(0.3811, 0.3402, 0.4207), 0.25, 4),
                ("all (15)", Estimate(np.nan, np.nan, np.nan), None, 15),
            ),
        ),
    ),
    ("Only PKLR was assayed in K562.",),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder whose card this package wrote."""
    folder = write_model(tmp_path, SumModel())
    model_sha256 = json.loads((folder / "card.json").read_text())["model_sha256"]
    write_card(folder, card_of(model_sha256))
    return folder


def card_of(model_sha256: str, **changes) -> Card:
    card = Card(
        name="sum",
        summary="Weighted count of bases, for tests.",
        contract_version="1",
        model_sha256=model_sha256,
        window=20,
        members=3,
        seeds=(0, 1, 2),
        recipe="sum",
        fingerprint="toy-fingerprint",
        data_digest="toy-data",
        units="log2(RNA/DNA)",
        targets=(
            TargetCard(name="K562", cell_type="K562", assay="joint_K562", sigma_source="A | B"),
            TargetCard(name="HepG2", cell_type="HepG2", assay="joint_HepG2", sigma_source="C"),
        ),
        training_data=(
            TrainingTable(
                name="table",
                citation="Someone et al. 2025",
                licence="none stated",
                url="https://example.org/table.tsv",
                sha256="ab" * 32,
                n_train=45578,
            ),
        ),
    )
    return replace(card, **changes)


def test_round_trip(folder):
    card = read_card(folder)
    assert card == card_of(card.model_sha256)
    value = json.loads((folder / "card.json").read_text())
    assert value.keys() == CARD_KEYS | {"headline"}
    assert Card.from_json(value).to_json() == Card.from_json(value).to_json() | {
        "schema_version": 1
    }


def test_a_report_enters_by_command_and_the_service_still_takes_the_model(folder):
    update_metrics(folder, "cagi5_challenge", REPORT)
    assert Report.from_json(read_card(folder).metrics["cagi5_challenge"]).tables[0].cell(
        "K562-matched (4)", "spearman"
    ) == Estimate(0.3811, 0.3402, 0.4207)
    assert Registry(folder.parent).load("sum", threads=1).info.members == 3


def test_a_new_run_replaces_its_own_table_only(folder):
    update_metrics(folder, "test_fold", replace(REPORT, title="Held-out sequences"))
    update_metrics(folder, "cagi5_challenge", REPORT)
    update_metrics(folder, "cagi5_challenge", replace(REPORT, title="CAGI5 again"))
    assert {key: value["title"] for key, value in read_card(folder).metrics.items()} == {
        "test_fold": "Held-out sequences",
        "cagi5_challenge": "CAGI5 again",
    }
    assert "## CAGI5 challenge set: sum" not in (folder / "README.md").read_text()


def test_another_calibration_drops_the_tables_that_judged_the_old_intervals(folder):
    for key in ("held_out", "cagi5_challenge", "calibration", "uncertainty_challenge"):
        update_metrics(folder, key, replace(REPORT, title=key))
    kept = read_card(folder)
    update_calibration(folder, None)
    assert read_card(folder) == kept, "it is what it was"
    update_calibration(folder, CALIBRATION)
    assert set(read_card(folder).metrics) == {"held_out", "cagi5_challenge"}
    page = (folder / "README.md").read_text()
    assert "## held_out" in page
    assert "## uncertainty_challenge" not in page
    update_metrics(folder, "uncertainty_challenge", REPORT)
    update_calibration(folder, CALIBRATION)
    assert "uncertainty_challenge" in read_card(folder).metrics
    update_calibration(folder, None)
    assert set(read_card(folder).metrics) == {"held_out", "cagi5_challenge"}
    assert read_card(folder).calibration is None


def test_entries_come_with_their_reports_and_leave_all_else(folder):
    before = read_card(folder)
    blocks = {"novelty": entry(width=20), "background": BACKGROUND}
    for key, block in blocks.items():
        update_entry(folder, key, block, replace(REPORT, title=f"On {key}"))
    card = read_card(folder)
    assert (card.novelty, card.background) == (blocks["novelty"], blocks["background"])
    assert {key: value["title"] for key, value in card.metrics.items()} == {
        "novelty": "On novelty",
        "background": "On background",
    }
    assert replace(card, novelty=None, background=None, metrics={}) == before
    value = json.loads((folder / "card.json").read_text())
    assert value.keys() == CARD_KEYS | {"headline", "novelty", "background"}
    assert value["schema_version"] == 1
    assert Card.from_json(value) == card
    model = Registry(folder.parent).load("sum", threads=1)
    assert model.novelty is not None
    assert model.background is not None


def test_a_card_from_before_the_entries_is_read_and_written_as_it_was(folder):
    value = json.loads((folder / "card.json").read_text())
    assert not {"novelty", "background"} & value.keys()
    card = read_card(folder)
    assert (card.novelty, card.background) == (None, None)
    page = (folder / "README.md").read_text()
    for key in ("novelty", "background"):
        (row,) = (line for line in page.splitlines() if line.startswith(f"| {key} "))
        assert row.split("|")[2].strip() == "none"


def test_the_page_has_the_facts_of_the_entries_and_not_their_numbers(folder):
    without = len((folder / "README.md").read_text())
    novelty = entry(width=20)
    for key, block in (("novelty", novelty), ("background", BACKGROUND)):
        update_entry(folder, key, block, Report("none", ()))
    page = (folder / "README.md").read_text()
    for fact in ("novelty.n_windows | 1000", "novelty.method", "background.shifts", "by hand"):
        assert " ".join(fact.split()) in " ".join(page.split())
    assert novelty["kmers"][:50] not in page
    assert "-300" not in page
    assert len(page) < without + 2500


def test_a_card_of_another_model_is_refused_and_nothing_changes(folder):
    before = (folder / "card.json").read_bytes()
    (folder / "model.onnx").write_bytes(b"retrained")
    with pytest.raises(ValueError, match="export the model again"):
        update_metrics(folder, "cagi5_challenge", REPORT)
    assert (folder / "card.json").read_bytes() == before


def test_the_page_shows_everything_a_card_holds(folder):
    update_metrics(folder, "cagi5_challenge", REPORT)
    card, page = read_card(folder), (folder / "README.md").read_text()
    for value in (
        *(card.name, card.summary, card.model_sha256, card.recipe, card.fingerprint, card.licence),
        *(card.data_digest, card.units, card.intended_use, "Uncalibrated", "0, 1, 2"),
        *("Someone et al. 2025", "none stated", "https://example.org/table.tsv", "ab" * 32),
        *("45,578", "A \\| B", *LIMITS),
    ):
        assert value in page
    for value in card.metrics.values():
        report = Report.from_json(value)
        assert all(note in page for note in report.notes)
        for table in report.tables:
            for row in table.rows:
                (line,) = (line for line in page.splitlines() if line.startswith(f"| {row[0]} "))
                assert [cell.strip() for cell in line.strip("| ").split("|")] == [*map(show, row)]
    assert "0.381 [0.340, 0.421]" in page
    assert page == render_readme(card)


def test_a_calibrated_card_shows_its_scales():
    calibration = CALIBRATION | {"assay_sd": 0.012345678}
    page = render_readme(card_of("00", calibration=calibration))
    assert "Uncalibrated" not in page
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in page.splitlines()]
    for row in (
        ["shape.large_slope", "2"],
        ["noise_correlation.K562", "0.2"],
        ["level", "0.4, 0.95"],
        ["assay_sd", "0.01235"],
        ["targets", "K562"],
    ):
        assert row in rows
    assert {f"shape.{name}" for name in calibration["shape"]} <= {row[0] for row in rows if row}


def test_what_a_user_must_know_is_in_every_card():
    text = " ".join(LIMITS)
    for word in ("Research use only", "200 bp", "K562, HepG2 and WTC11", "episomal", "lentiMPRA"):
        assert word in text
    assert "only PKLR was assayed in K562" in text


def test_the_index_lists_every_model(folder):
    other = write_model(folder.parent, SumModel(), name="other")
    (other / "card.json").write_text(
        json.dumps(card_of("00", name="other", calibration={"floor": 0.1}).to_json())
    )
    write_index(folder.parent)
    page = (folder.parent / "README.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| [")]
    assert [row.split("]")[0] for row in rows] == ["| [other", "| [sum"]
    assert "calibrated" in rows[0]
    assert "uncalibrated" in rows[1]


def test_members_and_seeds_agree():
    with pytest.raises(ValueError, match="3 members but seeds"):
        card_of("00", seeds=(1,))


def test_a_card_of_another_schema_is_refused():
    with pytest.raises(ValueError, match="schema 2"):
        Card.from_json(card_of("00").to_json() | {"schema_version": 2})


# --- reports -----------------------------------------------------------------------------------


def test_a_report_survives_json_and_undefined_numbers_become_null():
    text = json.dumps(REPORT.to_json(), allow_nan=False)
    again = Report.from_json(json.loads(text))
    assert again.to_json() == REPORT.to_json()
    assert str(again) == str(REPORT)
    assert json.loads(text)["tables"][0]["rows"][1] == [
        "all (15)",
        {"value": None, "low": None, "high": None},
        None,
        15,
    ]


def test_a_table_is_readable_as_text():
    assert REPORT.tables[0].to_markdown().splitlines() == [
        "| group            | spearman             | p     | n  |",
        "| ---------------- | -------------------- | ----- | -- |",
        "| K562-matched (4) | 0.381 [0.340, 0.421] | 0.250 | 4  |",
        "| all (15)         | -                    | -     | 15 |",
    ]


def test_a_row_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="a row of 1 cells under 2 columns"):
        Table("t", ("a", "b"), (("x",),))


def test_cells_and_tables_are_found_by_name():
    assert REPORT.table("Means").cell("all (15)", "n") == 15
    with pytest.raises(KeyError, match="no row 'all'"):
        REPORT.table("Means").cell("all", "n")
    with pytest.raises(KeyError, match="no table 'x'"):
        REPORT.table("x")
