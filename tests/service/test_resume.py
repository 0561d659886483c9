"""A few kills at random moments; `python -m tests.kill_resume` does a hundred."""

import random
import sys

import pytest

from tests.kill_resume import CASES, Broken, Moment, Trials, check_kept, finished

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc"),
]


@pytest.fixture
def trials(tmp_path) -> Trials:
    return Trials(tmp_path, n_records=1500, shard_bytes=10_000, rng=random.Random(1))


def test_a_run_that_is_killed_goes_on_to_the_same_bytes(trials):
    trials.run(CASES[1], 3)
    assert trials.n_kills == 3


def test_what_is_done_again_would_be_seen(trials):
    place = trials._place()
    work = place / f"{CASES[0].output}.varsigma"
    trials.n_shards = 4
    assert trials._start(CASES[0], place, {}, Moment("scoring", 4))
    done = finished(work)
    assert len(done) >= 3 * 4
    check_kept(work, done)
    for path in list(done)[:3]:
        before = path.read_bytes()
        path.write_bytes(before)
        with pytest.raises(Broken, match="was written again"):
            check_kept(work, done)
        done = finished(work)
    next(iter(done)).unlink()
    with pytest.raises(Broken, match="is gone"):
        check_kept(work, done)
