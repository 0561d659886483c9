"""Elements measured twice: only release blocks are read, differences are foretold or not."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest

from service.registry import Registry
from tests.toy_models import CALIBRATION, SumModel, write_model
from tests.training.toy_cagi5 import SPAN, write_cagi5
from training.datasets.cagi5 import CHALLENGE, MEASUREMENTS, RELEASE
from training.evaluation.pair_noise_cagi5 import (
    KEY,
    TWINS,
    compare_twins,
    load_release_twins,
    on_one_scale,
    predict_aleatoric,
)

TERT, PKLR = TWINS


def write_twins(data_dir, spoilt: str = "never read") -> None:
    """Write the SNVs and deletions of the twins; outside release blocks stands no number."""
    release = pd.read_csv(data_dir / RELEASE.path, sep="\t")
    challenge = pd.read_csv(data_dir / CHALLENGE.path, sep="\t")
    rng = np.random.default_rng(0)
    rows = []
    for table, is_released in ((challenge, False), (release, True)):
        for element, *place in table[["element", "chrom", "pos", "ref", "alt"]].to_numpy():
            names = ["PKLR-24h", "PKLR-48h"] if element == "PKLR" else [element]
            for name, alt in product(names, (place[-1], "-")):
                value = f"{rng.normal():.4f}" if is_released else spoilt
                barcodes = 9 if (name, place[1]) == ("PKLR-24h", SPAN[0] + 1) else 80
                rows.append((name, *place[:-1], alt, barcodes, 1, 1, value, 0.1, 0.2))
    columns = ["element", "chrom", "pos", "ref", "alt", "barcodes", "dna", "rna", "value"]
    frame = pd.DataFrame(rows, columns=[*columns, "p_value", "se"])
    frame = frame.drop_duplicates(["element", "pos", "alt"]).sort_values(["element", "pos"])
    frame.to_csv(data_dir / MEASUREMENTS.path, sep="\t", index=False)


@pytest.fixture
def toy_dir(tmp_path):
    data_dir = write_cagi5(tmp_path / "data", block=range(SPAN[0], SPAN[0] + 8))
    write_twins(data_dir)
    return data_dir


def test_values_outside_release_blocks_do_not_reach_the_parser(toy_dir):
    found = load_release_twins(toy_dir)
    assert [*found] == [*TWINS]
    for table in found.values():
        assert table[["value_1", "value_2", "se_1", "se_2"]].dtypes.eq(float).all()
        assert table["pos"].between(SPAN[0], SPAN[0] + 7).all()
        assert not table["alt"].eq("-").any()
    assert len(found[TERT]) == 24
    assert len(found[PKLR]) == 21  # one position has 9 barcodes
    assert set(found[TERT]["element"]) == {"TERT-GBM"}


def test_the_same_variant_meets_itself(toy_dir):
    table = load_release_twins(toy_dir)[PKLR]
    raw = pd.read_csv(toy_dir / MEASUREMENTS.path, sep="\t").rename(columns={"chrom": "contig"})
    for number, element in (("1", "PKLR-24h"), ("2", "PKLR-48h")):
        values = raw[raw["element"] == element].set_index(KEY)["value"]
        wanted = values.loc[[tuple(row) for row in table[KEY].to_numpy()]].astype(float)
        assert table[f"value_{number}"].tolist() == wanted.tolist()


def test_the_aleatoric_sd_is_the_models_own_whatever_its_calibration(toy_dir, tmp_path):
    model = SumModel(20)
    write_model(tmp_path / "models", model)
    write_model(tmp_path / "models", model, name="fitted", card={"calibration": CALIBRATION})
    registry = Registry(tmp_path / "models")
    table = load_release_twins(toy_dir)[TERT]
    plain, fitted = registry.load("sum"), registry.load("fitted", with_entries=False)
    found = predict_aleatoric(plain, toy_dir, table)
    assert np.isfinite(found).all()
    assert np.ptp(found) > 0
    np.testing.assert_array_equal(predict_aleatoric(fitted, toy_dir, table), found)
    # With it, the errors that both alleles share would be gone.
    calibrated = predict_aleatoric(registry.load("fitted"), toy_dir, table)
    assert (calibrated < found).all()


def simulated(size: int = 900) -> tuple[pd.DataFrame, np.ndarray]:
    """Differences of a known SD, that barcodes tell in part; and a rest that they do not."""
    rng = np.random.default_rng(0)
    barcodes = np.round(np.exp(rng.normal(4, 0.8, size))) + 10
    rest = np.exp(rng.normal(0, 0.5, size))
    sd = 5 * rest / np.sqrt(barcodes)
    effect = rng.normal(0, 1, size)
    table = pd.DataFrame(
        {
            "element": "PKLR-24h",
            "pos": np.arange(size) // 3,
            "barcodes_1": barcodes,
            "barcodes_2": barcodes + 5,
            "value_1": effect + sd * rng.normal(size=size) / np.sqrt(2),
            "value_2": effect + sd * rng.normal(size=size) / np.sqrt(2),
            "se_1": sd / np.sqrt(2),
            "se_2": sd / np.sqrt(2),
        }
    )
    return table, rest


def compare(table: pd.DataFrame, aleatoric: np.ndarray):
    return compare_twins(table, aleatoric, draws=200, rng=np.random.default_rng(1))


def test_what_foretells_the_rest_stays_when_barcodes_are_held_fixed():
    table, rest = simulated()
    found = compare(table, rest)
    assert (found.variants, found.positions) == (900, 300)
    assert found.error.value == pytest.approx(found.attainable, abs=0.07)
    assert found.aleatoric.low > 0.1
    assert found.aleatoric_given.low > 0.1
    assert found.barcodes.low > 0.1
    assert found.excess.value == pytest.approx(1, abs=0.1)


def test_what_only_follows_barcodes_explains_nothing_beyond_them():
    table, _ = simulated()
    jitter = np.random.default_rng(2).normal(0, 0.3, len(table))
    found = compare(table, np.exp(jitter - np.log(table["barcodes_1"].to_numpy())))
    assert found.aleatoric.low > 0.1
    assert abs(found.aleatoric_given.value) < 0.1


def test_variants_that_were_not_scored_are_left_out():
    table, rest = simulated()
    rest[::3] = np.nan
    assert compare(table, rest) == compare(table[np.isfinite(rest)], rest[np.isfinite(rest)])


def test_an_experiment_that_scales_all_effects_is_brought_to_one_scale():
    table, rest = simulated()
    stretched = table.assign(value_2=3 * table["value_2"] + 1, se_2=3 * table["se_2"])
    assert compare(stretched, rest).excess.value > 1.3
    aligned = on_one_scale(stretched)
    assert compare(aligned, rest).excess.value == pytest.approx(1, abs=0.1)
    ratio = aligned["se_2"] / aligned["se_1"]
    np.testing.assert_allclose(ratio, ratio.iloc[0])
    assert ratio.iloc[0] == pytest.approx(1, abs=0.15)


@pytest.mark.data
def test_no_real_row_that_is_read_stands_in_the_challenge_set(data_dir):
    challenge = pd.read_csv(data_dir / CHALLENGE.path, sep="\t", usecols=["chrom", "pos"])
    hidden = set(zip(challenge["chrom"], challenge["pos"], strict=True))
    for table in load_release_twins(data_dir).values():
        assert len(table) > 100
        assert not hidden & set(zip(table["contig"], table["pos"], strict=True))
