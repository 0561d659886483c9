"""Published CAGI5 figures, to stand beside ours: transcribed constants with their sources.

All rows: 230-bp genomic window, plus strand only, a K562 model for every element, REF unchecked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

CAMPAIGN = "noise-resistant training campaign, cagi5_full_metrics.csv"
REPRODUCED = "dumped predictions of the later v4 study, recomputed from its files"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One published model on the CAGI5 challenge set.

    Attributes:
      name: as shown in our tables.
      source: where the figures stand.
      spearman: {element: Spearman over all its variants}, the elements that were published.
      mean_spearman: mean over the K562-matched four, all variants.
      high_spearman: the same, confidence >= 0.1.
      low_spearman: the same, confidence < 0.1.
      mean_pearson: mean Pearson over the four.
      all_elements: mean Spearman over all 15 elements, if published.
    """

    name: str
    source: str
    spearman: Mapping[str, float] = field(hash=False)
    mean_spearman: float
    high_spearman: float
    low_spearman: float
    mean_pearson: float
    all_elements: float | None = None


PUBLISHED = (
    Published(
        name="MSE, 1 network",
        source=f"{CAMPAIGN}, B1 of 2 February",
        spearman={"GP1BB": 0.340186, "HBB": 0.404572, "HBG1": 0.444284, "PKLR": 0.354979},
        mean_spearman=0.386005,
        high_spearman=0.686826,
        low_spearman=0.2066,
        mean_pearson=0.570571,
    ),
    Published(
        name="DH7, 1 network",
        source=f"{CAMPAIGN}, DH7",
        spearman={"GP1BB": 0.311847, "HBB": 0.46473, "HBG1": 0.447466, "PKLR": 0.33801},
        mean_spearman=0.390513,
        high_spearman=0.679736,
        low_spearman=0.226534,
        mean_pearson=0.515343,
    ),
    Published(
        name="MSE v4, 9 networks",
        source=REPRODUCED,
        spearman={
            "GP1BB": 0.3920,
            "HBB": 0.4646,
            "HBG1": 0.4761,
            "PKLR": 0.4304,
            "F9": 0.3840,
            "LDLR": 0.3793,
            "SORT1": 0.1681,
            "HNF4A": 0.2005,
            "TERT-GBM": 0.4423,
            "TERT-HEK293T": 0.3544,
            "IRF4": 0.1134,
            "IRF6": 0.1040,
            "MSMB": 0.1888,
            "MYCrs6983267": 0.1645,
            "ZFAND3": 0.2265,
        },
        mean_spearman=0.4408,
        high_spearman=0.7188,
        low_spearman=0.2735,
        mean_pearson=0.6281,
        all_elements=0.2993,
    ),
    Published(
        name="RankNet v4, 9 networks",
        source=REPRODUCED,
        spearman={"GP1BB": 0.3744, "HBB": 0.5015, "HBG1": 0.4673, "PKLR": 0.4544},
        mean_spearman=0.4494,
        high_spearman=0.7324,
        low_spearman=0.2804,
        mean_pearson=0.6288,
        all_elements=0.3088,
    ),
    Published(
        name="Heteroscedastic v2, 3 networks",
        source=REPRODUCED,
        spearman={"GP1BB": 0.2964, "HBB": 0.4878, "HBG1": 0.3735, "PKLR": 0.3792},
        mean_spearman=0.3842,
        high_spearman=0.6614,
        low_spearman=0.2276,
        mean_pearson=0.5422,
        all_elements=0.2752,
    ),
)
BESIDE = tuple(row for row in PUBLISHED if row.name.startswith(("MSE, 1", "DH7, 1", "MSE v4")))
"""The rows shown element by element."""
