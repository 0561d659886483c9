"""JSON bodies of the HTTP interface: what comes in, and what goes out (`answers` writes it)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, Self, TypeVar

import pydantic
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt, model_validator
from pydantic.fields import FieldInfo

from service.calibration import Calibration
from service.entries import problem_of
from service.errors import ModelContractError, Status
from service.fields import EFFECT_FIELDS, NOVEL_AS_MEANING, NOVELTY_MEANING
from service.novelty import Aspect
from service.scoring import ScoringOptions
from service.variants import MAX_POS, Variant

_MAX_SHIFTS = 9
_CALIBRATED = (
    "Whether measured effects of such changes set expected, sd, lower, upper, p_sign and what a"
    " repeat would measure: of single-base changes, on the targets and with the strands and shifts"
    " of the card's calibration. False for indels and changes of several bases, whose numbers are"
    " computed alike, unchecked, and for sequence pairs"
)
_NO_NOVELTY = "null where there is no score, or the model's card has no such entry"

Contig = Annotated[str, Field(min_length=1, max_length=256, examples=["chr1"])]
ItemId = Annotated[str, Field(max_length=256, description="Returned with the result")]
Allele = Annotated[str, Field(min_length=1)]
# The first bad item ends the check: of a body full of them, a list would be a thousand times as
# long as the body. What more is told, within bounds: `service.web.problems`.
_Item = TypeVar("_Item")
# pydantic reads a whole list without letting another thread run: this step of Python does.
Items = Annotated[list[Annotated[_Item, AfterValidator(lambda item: item)]], Field(fail_fast=True)]


class Body(BaseModel):
    """Base of the request bodies: a misspelt key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class VariantBody(Body):
    """A variant as a VCF writes it, with one ALT."""

    contig: Contig
    pos: Annotated[
        StrictInt, Field(ge=0, le=MAX_POS, description="1-based position of the first REF base")
    ]
    ref: Allele
    alt: Allele
    id: ItemId | None = None

    def variant(self) -> Variant:
        """Return the core's type."""
        return Variant(self.contig, self.pos, self.ref, self.alt)


class SequencePair(Body):
    """Two sequences of at most one window, without a genome."""

    ref: Allele
    alt: Allele
    id: ItemId | None = None


Shifts = Annotated[
    list[StrictInt] | None,
    Field(min_length=1, max_length=_MAX_SHIFTS, description="Window shifts; default: the server's"),
]
ModelName = Annotated[
    str | None,
    Field(max_length=256, description="Name of a served model; default: the first one served"),
]
Strands = Annotated[
    StrictInt | None,
    Field(ge=1, le=2, description="1: the plus strand only; default: the server's"),
]


class ScoreRequest(Body):
    """What to score and how; options left out are the server's."""

    model: ModelName = None
    variants: Annotated[
        Items[VariantBody] | None, Field(description="Variants on the server's reference")
    ] = None
    sequences: Annotated[
        Items[SequencePair] | None, Field(description="Pairs of sequences, ref and alt")
    ] = None
    strands: Strands = None
    shifts: Shifts = None
    coverage: Annotated[float | None, Field(strict=True, gt=0, lt=1)] = None

    @model_validator(mode="after")
    def _has_one_kind(self) -> Self:
        if (self.variants is None) == (self.sequences is None):
            raise ValueError("give either 'variants' or 'sequences'")
        return self

    @property
    def items(self) -> Sequence[VariantBody | SequencePair]:
        """Inputs, whichever kind they are."""
        return self.variants if self.variants is not None else self.sequences or []

    def options(self, defaults: ScoringOptions) -> ScoringOptions:
        """Return the scoring options with the defaults filled in."""
        if not (self.strands or self.shifts or self.coverage):
            return defaults
        return replace(
            defaults,
            strands=self.strands or defaults.strands,
            shifts=tuple(self.shifts) if self.shifts else defaults.shifts,
            anchorings=defaults.anchorings,
            coverage=self.coverage or defaults.coverage,
        )


def _described(name: str) -> FieldInfo:
    meaning = next(field.meaning for field in EFFECT_FIELDS if field.name == name)
    description = f"{meaning.format(interval='requested')}; null where it is not defined"
    return FieldInfo(description=description)


class TargetEffect(BaseModel):
    """Effect on one target with its uncertainty, log2(RNA/DNA): the numbers of `EFFECT_FIELDS`.

    sigma of an allele is the SD of one measurement as the model sees it: label noise and model
    error; `sigma_source` of the card's target says what it was learnt from.
    """

    effect: Annotated[float | None, _described("effect")]
    expected: Annotated[float | None, _described("expected")]
    sd: Annotated[float | None, _described("sd")]
    lower: Annotated[float | None, _described("lower")]
    upper: Annotated[float | None, _described("upper")]
    p_sign: Annotated[float | None, _described("p_sign")]
    repeat_sd: Annotated[float | None, _described("repeat_sd")]
    repeat_lower: Annotated[float | None, _described("repeat_lower")]
    repeat_upper: Annotated[float | None, _described("repeat_upper")]
    epistemic: Annotated[float | None, _described("epistemic")]
    representation: Annotated[float | None, _described("representation")]
    aleatoric: Annotated[float | None, _described("aleatoric")]
    occlusion: Annotated[float | None, _described("occlusion")]
    quantile: Annotated[float | None, _described("quantile")]
    calibrated: Annotated[bool, Field(description=_CALIBRATED)]


class ItemOutcome(BaseModel):
    """What is said of one input, whatever the targets."""

    index: Annotated[int, Field(description="0-based place of the input in the request")]
    id: str | None
    status: Status
    reason: Annotated[str | None, Field(description="Why there is no score; null where there is")]
    normalised: Annotated[
        str | None,
        Field(
            description="pos:ref:alt, pos 1-based, left-aligned and parsimonious: the same for"
            " every spelling of one change; null for sequence pairs and where there is no score"
        ),
    ]
    novelty: Annotated[float | None, Field(description=f"{NOVELTY_MEANING}; {_NO_NOVELTY}")]
    novel_as: Annotated[Aspect | None, Field(description=f"{NOVEL_AS_MEANING}; else null")]


class ScoredItem(ItemOutcome):
    """Outcome for one input."""

    targets: Annotated[
        dict[str, TargetEffect] | None,
        Field(description="Numbers by target; null where the input could not be scored"),
    ]


class ScoreResponse(BaseModel):
    """One outcome per input, in order, and what made them."""

    provenance: dict[str, Any]
    calibrated: Annotated[
        bool, Field(description="Whether they do for any target, of single-base changes")
    ]
    calibrated_targets: Annotated[
        list[str],
        Field(description="Targets whose widths measured effects set, of single-base changes"),
    ]
    results: list[ScoredItem]


class SequenceBody(Body):
    """A plain sequence of at most one window."""

    sequence: Annotated[str, Field(min_length=1, description="Letters ACGTN, either case")]
    id: ItemId | None = None


class SequencesRequest(Body):
    """Sequences whose activity is asked for."""

    model: ModelName = None
    sequences: Annotated[
        Items[SequenceBody],
        Field(description="Shorter ones are placed in the middle of the window, N on both sides"),
    ]
    strands: Strands = None


class TargetActivity(BaseModel):
    """Activity of a sequence on one target, log2(RNA/DNA); null where it is not defined."""

    activity: Annotated[float, Field(description="Mean of mu over members and strands")]
    epistemic: Annotated[
        float | None, Field(description="Standard deviation over the members of the ensemble")
    ]
    sigma: Annotated[
        float, Field(description="Standard deviation of one measurement as the model sees it")
    ]


class SequenceItem(BaseModel):
    """Outcome for one sequence."""

    index: Annotated[int, Field(description="0-based place of the input in the request")]
    id: str | None
    status: Status
    reason: Annotated[str | None, Field(description="Why there is no number; null where there is")]
    targets: dict[str, TargetActivity] | None


class SequencesResponse(BaseModel):
    """One outcome per sequence, in order, and what made them."""

    provenance: dict[str, Any]
    results: list[SequenceItem]


class SaturationRequest(Body):
    """A region of which every single-base change is asked for."""

    contig: Contig
    start: Annotated[StrictInt, Field(ge=1, le=MAX_POS, description="1-based, first position")]
    end: Annotated[StrictInt, Field(ge=1, le=MAX_POS, description="1-based, last position")]
    model: ModelName = None
    strands: Strands = None
    shifts: Shifts = None

    @model_validator(mode="after")
    def _is_forwards(self) -> Self:
        if self.end < self.start:
            raise ValueError("end must not be less than start")
        return self

    def options(self, defaults: ScoringOptions) -> ScoringOptions:
        """Return the scoring options with the defaults filled in."""
        return replace(
            defaults,
            strands=self.strands or defaults.strands,
            shifts=tuple(self.shifts) if self.shifts else defaults.shifts,
        )


Rows = Annotated[
    list[list[float | None]],
    Field(
        description="One row per position, one number per base ACGT; null for the reference's own"
        " base and at N"
    ),
]


class TargetMap(BaseModel):
    """Effects of all changes on one target, log2(RNA/DNA), as in the target of a score."""

    effect: Rows
    expected: Rows
    sd: Rows
    quantile: Rows
    calibrated: Annotated[bool, Field(description=_CALIBRATED)]


class SaturationResponse(BaseModel):
    """Effects of every single-base change of a region."""

    provenance: dict[str, Any]
    contig: Annotated[str, Field(description="As the reference spells it")]
    start: int
    end: int
    sequence: Annotated[str, Field(description="Bases of the reference, upper case")]
    alts: Annotated[str, Field(description="Order of the bases in a row")]
    novelty: Annotated[
        list[list[float | None]],
        Field(description=f"By position and base: {NOVELTY_MEANING}; {_NO_NOVELTY}"),
    ]
    novel_as: Annotated[
        list[list[Aspect | None]],
        Field(description=f"By position and base: {NOVEL_AS_MEANING}; else null"),
    ]
    targets: dict[str, TargetMap]


class Headline(BaseModel):
    """The one metric that a list of models shows."""

    name: str
    value: float


class ModelSummary(BaseModel):
    """A model in a list; its card says the rest."""

    name: str
    summary: str
    targets: list[str]
    window: Annotated[int, Field(description="Bases that the model reads")]
    members: Annotated[int, Field(description="Networks in the ensemble")]
    units: str
    calibrated: bool
    calibrated_targets: list[str]
    headline: Headline | None

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> Self:
        """Read a card; `headline`, if it is there, has `name` and `value`.

        Raises:
          ModelContractError: its calibration, or another of the entries that are read, is
            malformed.
        """
        try:
            targets = [target["name"] for target in card["targets"]]
            calibration = Calibration.from_card(card["calibration"], targets)
            return cls(
                **{key: card[key] for key in ("name", "summary", "window", "members", "units")},
                targets=targets,
                calibrated=calibration is not None,
                calibrated_targets=list(calibration.targets) if calibration else [],
                headline=card.get("headline"),
            )
        except pydantic.ValidationError as error:
            raise ModelContractError(f"card.json: {problem_of(error)}") from error
        except (KeyError, TypeError) as error:
            raise ModelContractError("card.json: targets must be objects with a name") from error


class Limits(BaseModel):
    """What one request may ask for."""

    max_items: Annotated[int, Field(description="Items of a request")]
    max_stream_items: Annotated[
        int, Field(description="Items of a request whose answer is asked for as NDJSON")
    ]
    max_region: Annotated[int, Field(description="Positions of a saturation request")]
    max_body_bytes: int
    max_waiting_sequences: Annotated[
        int, Field(description="Sequences in progress before requests are refused with 503")
    ]
    timeout: Annotated[
        float, Field(description="Seconds until 504, unless X-Timeout-Seconds says otherwise")
    ]
    max_shifts: int = _MAX_SHIFTS

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """Pick them from settings of the same names."""
        return cls.model_validate(settings)


class ModelList(BaseModel):
    """The served models, the default one first."""

    models: list[ModelSummary]
    limits: Limits


class ReadyModel(BaseModel):
    """A loaded model and where it runs."""

    name: str
    providers: Annotated[list[str], Field(description="What ONNX Runtime uses, preferred first")]


class Ready(BaseModel):
    """Whether the service answers requests, and where."""

    status: Annotated[
        Literal["ready", "draining", "failing"],
        Field(description="draining: it is shutting down; failing: a model's last run failed"),
    ]
    device: Annotated[str, Field(description="In use: cuda where all models run there, else cpu")]
    models: list[ReadyModel]
    reference: Annotated[str | None, Field(description="File name of the reference")]
    assembly: str | None


class Live(BaseModel):
    """The process runs."""

    status: str = "live"


class ErrorDetail(BaseModel):
    """What went wrong."""

    type: Annotated[str, Field(description="Stable identifier")]
    message: Annotated[str, Field(description="One line for a person")]
    detail: dict[str, Any] | None


class ErrorBody(BaseModel):
    """The one shape of every error."""

    error: ErrorDetail
