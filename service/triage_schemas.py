"""JSON bodies of `POST /v1/triage`: those of `/v1/score`, with what a triage adds."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from service.evidence import DEFAULT_WITHIN
from service.schemas import ItemOutcome, ScoreRequest, TargetEffect
from service.triage import Tier
from service.triage_list import TriageOptions

_UNKNOWN = "null where the calibration does not hold for this change"
_UNSAID = "null where the card's table says nothing"
_IF_RATIOS = "there where `likelihood_ratios` is asked for"
_NEAR = "the numbers are of the nearest measured position"
_IF_EVIDENCE = "there where the service has a table of measured effects"


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

    likelihood_ratios: Annotated[
        bool,
        Field(
            strict=True,
            description="How strongly the size of each effect speaks for one that an assay would"
            " find, as the model's card has it; no call changes",
        ),
    ] = False

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
        float | None,
        Field(description=f"Of the call, or of the likelier one where none is made; {_UNKNOWN}"),
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
        Field(description="1: the call of the lowest expected loss; null without a score"),
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

    likelihood_ratio: Annotated[
        float | None,
        Field(
            description="P(size of effect | the assay found an effect) / P(the same | it found"
            f" none), on the deciding target; {_UNSAID}. Says nothing of disease; {_IF_RATIOS}"
        ),
    ] = None
    likelihood_ratio_lower: Annotated[
        float | None, Field(description=f"One-sided bound; {_UNSAID}; {_IF_RATIOS}")
    ] = None
    likelihood_ratio_upper: Annotated[
        float | None, Field(description=f"One-sided bound; {_UNSAID}; {_IF_RATIOS}")
    ] = None
    measured_is_exact: Annotated[
        bool | None,
        Field(
            description=f"Whether this very change was measured; else {_NEAR}; null where nothing"
            f" was measured within {DEFAULT_WITHIN} bases, as in all of these; {_IF_EVIDENCE}"
        ),
    ] = None
    measured_distance: Annotated[
        int | None, Field(description=f"Bases between the two; {_IF_EVIDENCE}")
    ] = None
    measured_n: Annotated[
        int | None,
        Field(description=f"Measurements there; these are of the strongest; {_IF_EVIDENCE}"),
    ] = None
    measured_value: Annotated[
        float | None, Field(description=f"In the units of the table; {_IF_EVIDENCE}")
    ] = None
    measured_se: Annotated[
        float | None, Field(description=f"Standard error of it; {_IF_EVIDENCE}")
    ] = None
    measured_p_value: Annotated[float | None, Field(description=f"Of it; {_IF_EVIDENCE}")] = None
    measured_element: Annotated[
        str | None, Field(description=f"What was assayed; {_IF_EVIDENCE}")
    ] = None
    measured_as: Annotated[
        str | None,
        Field(description=f"The measured change, contig:pos:ref:alt, pos 1-based; {_IF_EVIDENCE}"),
    ] = None


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
