"""JSON bodies of `POST /v1/triage`: those of `/v1/score`, with what a triage adds."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from service.schemas import ItemOutcome, ScoreRequest, TargetEffect
from service.triage import Tier
from service.triage_list import TriageOptions

_UNKNOWN = "null where the calibration does not hold for this change"


class TriageRequest(ScoreRequest):
    """What to triage and how; options left out are the server's."""

    target: Annotated[
        str | None,
        Field(
            max_length=256,
            description="Target that decides tier and rank; default: the model's first calibrated",
        ),
    ] = None
    compare: Annotated[
        bool, Field(strict=True, description="Tiers on the other calibrated targets too")
    ] = False
    error_rate: Annotated[
        float | None,
        Field(strict=True, gt=0, lt=1, description="Expected share of wrong calls in the list"),
    ] = None
    threshold: Annotated[
        float | None,
        Field(
            strict=True,
            ge=0,
            allow_inf_nan=False,
            description="Smallest effect that matters, log2 units",
        ),
    ] = None

    def triage_options(self, *, error_rate: float, threshold: float) -> TriageOptions:
        """Return the options of the triage, with these for those left out."""
        return TriageOptions(
            target=self.target,
            compares=self.compare,
            error_rate=error_rate if self.error_rate is None else self.error_rate,
            threshold=threshold if self.threshold is None else self.threshold,
        )


class TargetCall(TargetEffect):
    """What is said of an input on one target, and the numbers behind it."""

    tier: Tier
    tier_name: Annotated[str, Field(description="The tier in plain words")]
    p_lowers: Annotated[
        float | None,
        Field(description=f"Probability that the true effect is below -threshold; {_UNKNOWN}"),
    ]
    p_raises: Annotated[float | None, Field(description=f"That it is above; {_UNKNOWN}")]
    p_negligible: Annotated[float | None, Field(description=f"That it is between; {_UNKNOWN}")]
    p_wrong: Annotated[
        float | None, Field(description="Probability that the call is wrong; null without a call")
    ]
    expected_loss: Annotated[
        float | None, Field(description=f"Of the best call, made or not; {_UNKNOWN}")
    ]
    no_call: Annotated[
        str | None, Field(description="Why nothing can be called here at any error rate; else null")
    ]
    calibrated: Annotated[
        bool, Field(description="Whether measured effects stand behind this very change's numbers")
    ]


class TriagedItem(ItemOutcome):
    """What became of one input."""

    rank: Annotated[
        int | None,
        Field(
            description="1: the call, of an effect or of none, of the lowest expected loss; null"
            " without a score"
        ),
    ]
    tier: Annotated[
        Tier | None, Field(description="On the deciding target; null where there is no score")
    ]
    tier_name: Annotated[str | None, Field(description="The tier in plain words")]
    window_index: Annotated[
        list[int] | None,
        Field(
            description="0-based index of the place of the change in the model's window, on the"
            " plus strand, for each shift; of an indel, where it may begin, anchored on the left"
        ),
    ]
    targets: Annotated[
        dict[str, TargetCall] | None,
        Field(description="By target, the deciding one first; null where there is no score"),
    ]


class TriageResponse(BaseModel):
    """One outcome per input, in the order of the input, and what made them."""

    provenance: dict[str, Any]
    research_use_only: bool
    target: Annotated[str, Field(description="The one that decided tier and rank")]
    error_rate: float
    threshold: float
    counts: Annotated[
        dict[str, dict[Tier, int]], Field(description="Inputs with a score in each tier, by target")
    ]
    n_unscored: Annotated[int, Field(description="Inputs without a score, which have no tier")]
    no_calls: Annotated[
        dict[str, str], Field(description="Why nothing can be called on a target, by target")
    ]
    results: list[TriagedItem]
