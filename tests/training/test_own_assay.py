"""An assay unknown to this repository: refused with a reason, or served as it was learnt."""

import numpy as np
import pytest
import torch

from tests.training.toy_table import toy_table
from training.architectures.heads import MeanHeads
from training.architectures.network import Network
from training.architectures.trunks import Compact
from training.assays import ASSAYS, LENTI_FLANKS, Assay, inserts_of, window_codes
from training.batches import EpochBatches, Scale
from training.card import LIMITS
from training.export import ServedModel
from training.folder import limits_of
from training.members import Member
from training.samplers import Shuffled
from training.trainer import split

OWN = Assay("lab_HEK293T", "HEK293T", served="HEK293T")


def test_flanks_that_leave_no_room_for_an_insert_are_refused():
    Assay("lab_HEK293T", "HEK293T", ("A" * 10, "C" * 20))
    with pytest.raises(ValueError, match="lab_HEK293T: flanks of 31 bases; 30 fit"):
        Assay("lab_HEK293T", "HEK293T", ("A" * 11, "C" * 20))


@pytest.mark.parametrize(
    "flanks", [("", ""), ("ACGT", "TT"), LENTI_FLANKS], ids=["none", "short", "lentiMPRA"]
)
def test_a_served_assay_is_shown_as_its_training_rows_were(flanks):
    # Without adapters there were N around the insert in training, and once nothing in the graph.
    assays = (Assay("lab_HEK293T", "HEK293T", flanks, served="HEK293T"),)
    torch.manual_seed(0)
    network = Network(Compact(width=8), MeanHeads()).build(assays).eval()
    scale = Scale(np.zeros(1), np.ones(1))
    member = Member("r", "f", 1, "d", assays, scale, (0.5,), network)
    insert = "ACGTTGCA" * 25
    with torch.inference_mode():
        expected = network(torch.from_numpy(window_codes([insert], flanks))).mu
        bases = torch.from_numpy(window_codes([insert], ("", ""))[:, 15:215].copy())
        mu, _ = ServedModel([member]).eval()(bases)
    torch.testing.assert_close(mu[:, 0], expected)


def test_a_table_smaller_than_a_batch_says_what_to_change():
    train = split(toy_table(20))[0]
    with pytest.raises(ValueError, match=rf"{len(train)} training sequences .* smaller batch_size"):
        EpochBatches(train, Shuffled(), len(train) + 1, seed=1)
    assert len(EpochBatches(train, Shuffled(), len(train), seed=1)) == 1


def test_a_card_speaks_of_the_assays_that_its_model_serves(monkeypatch):
    joint = [assay for assay in ASSAYS if assay.served]
    assert limits_of(joint) == LIMITS
    assert inserts_of(assay.name for assay in ASSAYS) == "the lentiMPRA joint library"
    text = " ".join(limits_of([OWN]))
    assert "Served targets are HEK293T;" in text
    assert not [word for word in ("K562", "WTC11", "lentiMPRA", "CAGI5") if word in text]
    monkeypatch.setattr("training.assays.ASSAYS", (*ASSAYS, OWN))
    assert inserts_of(["lab_HEK293T", "mattioli2018_pool1_K562"]) == "lab_HEK293T"
