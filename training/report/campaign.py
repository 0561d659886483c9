"""A campaign as its report sees it: files of the analysis -> runs, arms, differences.

`metrics.tsv, analysis.json`, and `release.tsv` where the members were scored on the release set.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.datasets.cagi5 import GROUPS
from training.datasets.sources import DataError

MATCHED, ALL_ELEMENTS = "K562-matched (4)", "all (15)"
FOUR = GROUPS[MATCHED]
"""The elements of the study's headline."""
_RELEASE = ("run", "arm", "seed", "level", "member", "element", "all_assays", "cell_type")
PLANNED = ("baseline", "main")
"""Suites of the study's plan: its distinct runs, and the baseline's seeds."""


class Cell(NamedTuple):
    """What was measured: the split of the data, the metric, and the element or assay."""

    split: str
    metric: str
    element: str


def challenge(metric: str, element: str = MATCHED) -> Cell:
    """A cell of the CAGI5 challenge set, both strands averaged."""
    return Cell("challenge", metric, element)


def held_out(metric: str, element: str = "mean") -> Cell:
    """A cell of the test fold of the assays; `mean` is the unweighted mean over assays."""
    return Cell("test", metric, element)


@dataclass(frozen=True, slots=True)
class Mean:
    """Mean of an arm over its seeds.

    Attributes:
      value: the mean.
      seed_sd: SD over the seeds, NaN with one.
      low: lower bound of the 95 % interval over seeds and variants.
      high: upper bound.
    """

    value: float
    seed_sd: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Gain:
    """Mean of an arm minus the mean of the baseline.

    Attributes:
      value: the difference; low and high bound its 95 % interval over seeds and variants.
      p_above: probability that the arm is above the baseline.
      p_max_t: two-sided, corrected for picking the best of all arms; NaN if unknown.
      p_holm: two-sided, Holm over the representatives; NaN for other arms.
    """

    value: float
    low: float
    high: float
    p_above: float
    p_max_t: float
    p_holm: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the (uncorrected) interval lies on one side of 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True)
class Arm:
    """All clean runs of one recipe.

    Attributes:
      name: the recipe.
      family: strategy it belongs to.
      is_representative: declared before the runs as the one of its family that gets all seeds.
      is_exploratory: too few seeds to tell a difference from seed noise.
      seeds: of its finished runs.
      aliases: published ids of its runs.
      means: by cell.
      gains: by cell; empty for the baseline.
    """

    name: str
    family: str
    is_representative: bool
    is_exploratory: bool
    seeds: tuple[int, ...]
    aliases: tuple[str, ...]
    means: Mapping[Cell, Mean]
    gains: Mapping[Cell, Gain]

    def mean(self, cell: Cell) -> Mean:
        """Its mean of a cell, NaN where that is undefined."""
        return self.means.get(cell, Mean(np.nan, np.nan, np.nan, np.nan))


@dataclass(frozen=True)
class Count:
    """Finished runs of those planned; `planned` is None where the plan is unknown."""

    finished: int
    planned: int | None

    def __str__(self) -> str:
        """Return `12 of 73`."""
        return f"{self.finished} of {'?' if self.planned is None else self.planned}"


@dataclass(frozen=True)
class Campaign:
    """Everything the report draws and says, of one preset.

    Attributes:
      preset: its name.
      rows: the long table of `metrics.tsv`, finished runs only.
      analysis: `analysis.json` as it is.
      release: `release.tsv` of the runs in `rows`; no rows where there is no such file.
      arms: of the analysis, the baseline among them.
    """

    preset: str
    rows: pd.DataFrame
    analysis: Mapping[str, Any]
    release: pd.DataFrame
    arms: tuple[Arm, ...]

    @classmethod
    def read(cls, folder: Path) -> Campaign:
        """Read `metrics.tsv`, `analysis.json`, and `release.tsv` if there is one.

        Raises:
          DataError: one of them is missing.
        """
        table, analysis = folder / "metrics.tsv", folder / "analysis.json"
        for path in (table, analysis):
            if not path.is_file():
                raise DataError(f"{path} is missing: run `varsigma-train campaign --analyse`")
        rows = pd.read_csv(table, sep="\t", keep_default_na=False, na_values=[""])
        document = json.loads(analysis.read_text())
        release = pd.DataFrame(columns=[*_RELEASE])
        if (path := folder / "release.tsv").is_file():
            release = pd.read_csv(path, sep="\t")
        release = release[release["run"].isin(rows["run"])]
        return cls(document["preset"], rows, document, release, tuple(map(_arm, document["arms"])))

    @cached_property
    def baseline(self) -> Arm | None:
        """The MSE baseline, None before its first run."""
        name = self.analysis["baseline"]["arm"]
        return next((arm for arm in self.arms if arm.name == name), None)

    @cached_property
    def others(self) -> tuple[Arm, ...]:
        """Every arm but the baseline."""
        return tuple(arm for arm in self.arms if arm is not self.baseline)

    @cached_property
    def representatives(self) -> tuple[Arm, ...]:
        """The arms that the verdict rests on, best first."""
        chosen = [arm for arm in self.others if arm.is_representative]
        return self.ranked(challenge("spearman"), chosen)

    @cached_property
    def floor(self) -> Mapping[Cell, Mean]:
        """The 6-mer ridge regression that every network should pass: it has no seed."""
        return {
            _cell(row): Mean(*_numbers(row, "value", "seed_sd", "ci_low", "ci_high"))
            for row in self.analysis["floor"]["means"]
            if row["value"] is not None
        }

    def failed_seeds(self, arm: str) -> tuple[int, ...]:
        """Seeds of an arm's clean runs that failed."""
        return tuple(
            row["seed"]
            for row in self.analysis["failures"]
            if row["arm"] == arm and not row["level"]
        )

    def released(self, arm: str, reading: str, element: str = MATCHED) -> NDArray[np.float64]:
        """Spearman of an arm's clean runs on the release set, by seed in the order of the file."""
        rows = self.release
        mine = (rows["arm"] == arm) & (rows["level"] == 0) & (rows["element"] == element)
        return rows.loc[mine, reading].to_numpy(np.float64)

    @cached_property
    def families(self) -> tuple[str, ...]:
        """Families with a finished run, in the order of `style.FAMILIES`, without the baseline."""
        from training.report.style import rank_of  # noqa: PLC0415 (style loads matplotlib)

        return tuple(sorted({arm.family for arm in self.others}, key=rank_of))

    def count(self, suite: str) -> Count:
        """Finished and planned runs of a suite; 0 of 0 where the campaign has no such suite."""
        finished, planned = self.analysis["counts"].get(suite, (0, 0))
        return Count(finished, planned)

    def ranked(self, cell: Cell, arms: Iterable[Arm] | None = None) -> tuple[Arm, ...]:
        """Arms that have the cell, largest mean first; ties by name."""
        known = [arm for arm in (arms if arms is not None else self.arms) if cell in arm.means]
        return tuple(sorted(known, key=lambda arm: (-arm.means[cell].value, arm.name)))

    def published_as(self, alias: str) -> Arm | None:
        """The arm that trains the recipe of a published id, None if it has not finished."""
        return next((arm for arm in self.arms if alias in arm.aliases), None)

    def injection(self, split: str) -> list[Mapping[str, Any]]:
        """Rows of `analysis.json` with the Spearman of `test` or `challenge` by level of noise."""
        wanted = {"test": held_out("spearman"), "challenge": challenge("spearman")}[split]
        return [
            row
            for row in self.analysis["injection"]
            if (row["split"], row["metric"], row["element"]) == wanted and row["value"] is not None
        ]

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row per clean run: run, family, arm, seed, suite, and a column per `Cell`."""
        clean = self.rows[self.rows["level"] == 0]
        keys = ["run", "family", "arm", "seed", "suite"]
        wide = clean.pivot_table(
            index=keys, columns=["split", "metric", "element"], values="value", aggfunc="first"
        )
        cells = [Cell(*map(str, column)) for column in wide.columns]
        wide.columns = pd.Index(cells, dtype=object, tupleize_cols=False)
        return wide.reset_index()

    def values(
        self, cell: Cell, *, arm: str | None = None, family: str | None = None
    ) -> NDArray[np.float64]:
        """Values of a cell over clean runs without undefined ones.

        Args:
          cell: what was measured.
          arm: only its runs, all seeds.
          family: only its runs in the study's plan; extra seeds would give the family's
            representative more weight, further forms of a loss were not in the study.
        """
        chosen = self.runs
        if cell not in chosen.columns:
            return np.empty(0)
        if arm is not None:
            chosen = chosen[chosen["arm"] == arm]
        if family is not None:
            chosen = chosen[(chosen["family"] == family) & chosen["suite"].isin(PLANNED)]
        return chosen[cell].dropna().to_numpy(np.float64)


def _arm(record: Mapping[str, Any]) -> Arm:
    return Arm(
        name=record["arm"],
        family=record["family"],
        is_representative=record["representative"],
        is_exploratory=record["exploratory"],
        seeds=tuple(record["seeds"]),
        # "NG8=ABL4" is one run that the study lists twice.
        aliases=tuple(part for ids in record.get("aliases", ()) for part in ids.split("=")),
        means={
            _cell(row): Mean(*_numbers(row, "value", "seed_sd", "ci_low", "ci_high"))
            for row in record["means"]
            if row["value"] is not None
        },
        gains={
            _cell(row): Gain(
                *_numbers(row, "value", "ci_low", "ci_high", "p_above", "p_max_t", "p_holm")
            )
            for row in record["differences"]
            if row["value"] is not None
        },
    )


def _cell(row: Mapping[str, Any]) -> Cell:
    return Cell(row["split"], row["metric"], row["element"])


def _numbers(row: Mapping[str, Any], *names: str) -> tuple[float, ...]:
    return tuple(np.nan if row.get(name) is None else float(row[name]) for name in names)
