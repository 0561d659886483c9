"""Records: what goes in comes back, nothing measured goes in, a torn one is noticed."""

import json

import numpy as np
import pytest

from training.campaign.predict import Predictions
from training.campaign.records import (
    FILES,
    RecordError,
    read_record,
    read_records,
    write_record,
)

RUN = {"status": "finished", "fingerprint": "abc"}


def predictions(*, with_variance=True):
    rng = np.random.default_rng(0)
    arrays = {n: rng.normal(size=50).astype(np.float32) for n in Predictions.__dataclass_fields__}
    if not with_variance:
        arrays |= {"test_log_var": None, "validation_log_var": None}
    return Predictions(**arrays)


@pytest.mark.parametrize("with_variance", [True, False])
def test_a_record_comes_back(tmp_path, with_variance):
    put = predictions(with_variance=with_variance)
    folder = tmp_path / "dh7" / "42-noise1"
    history = [{"epoch": 0, "loss": 0.123456789}]
    write_record(folder, RUN, history=history, predictions=put, metrics={"test": 1})
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    (record,) = read_records(tmp_path)
    assert (record.name, record.status) == ("dh7/42-noise1", "finished")
    assert record.history() == [{"epoch": 0, "loss": 0.123457}]
    got = record.predictions()
    np.testing.assert_array_equal(got.test_mu, put.test_mu)
    np.testing.assert_allclose(got.cagi5, (put.cagi5_plus + put.cagi5_minus) / 2, atol=2e-3)
    assert got.cagi5.dtype == np.float32
    assert (got.test_log_var is None) != with_variance


def test_a_later_record_takes_the_place_of_a_failed_one(tmp_path):
    folder = tmp_path / "mse" / "1"
    write_record(folder, {"status": "failed", "traceback": "boom"})
    assert [path.name for path in folder.iterdir()] == ["run.json"]
    assert read_record(folder).status == "failed"
    write_record(folder, RUN, predictions=predictions(), metrics={})
    assert read_record(folder).status == "finished"
    assert [path.name for path in folder.parent.iterdir()] == ["1"]  # no half-written folder


def test_a_finished_record_without_its_predictions_is_refused(tmp_path):
    write_record(tmp_path / "mse" / "1", RUN, predictions=predictions(), metrics={})
    (tmp_path / "mse" / "1" / "predictions.npz").unlink()
    with pytest.raises(RecordError, match=r"predictions\.npz"):
        read_records(tmp_path)


def test_a_record_that_was_being_written_is_none(tmp_path):
    partial = tmp_path / "mse" / ".1.partial"
    partial.mkdir(parents=True)
    (partial / "run.json").write_text(json.dumps(RUN))
    assert read_records(tmp_path) == []
    assert read_record(tmp_path / "mse" / "1") is None
