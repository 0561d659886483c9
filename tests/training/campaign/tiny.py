"""A campaign that runs in seconds: a tiny preset, a toy table and toy CAGI5 elements.

As a script it runs two of its runs, so that a test can kill it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.training.toy_cagi5 import write_cagi5
from tests.training.toy_table import toy_table
from training.architectures.trunks import Compact
from training.campaign.plan import Run, plan, select
from training.campaign.runner import Places, pending, run_campaign
from training.recipe import Cycle, Optim
from training.zoo import Preset

OPTIM = Optim(cycles=(Cycle(4, 5e-3),), batch_size=32, ema=0.9)
TINY = Preset("tiny", Compact(width=16, fine=(), coarse=(1,)), 8, OPTIM)


def places(folder: Path, n: int = 60) -> Places:
    """Write a table and CAGI5 below `folder`; runs and records go there too."""
    table = folder / "assays.parquet"
    if not table.exists():
        folder.mkdir(parents=True, exist_ok=True)
        toy_table(n).to_parquet(table, index=False)
        write_cagi5(folder / "data")
    return Places(table, folder / "data", folder / "runs", folder / "records")


def two_runs() -> list[Run]:
    """A curriculum, whose epochs differ in kind, and mined pairs under injected noise."""
    names = ["quantile_curriculum/42", "hard_negative/42-noise1"]
    return select(plan(TINY), ["main", "injection"], names)


if __name__ == "__main__":
    here = places(Path(sys.argv[1]))
    run_campaign(pending(two_runs(), here.records), here, n_lanes=2)
