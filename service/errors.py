"""What can go wrong: a bad request raises an exception, a bad record has a `Status`.

```
ServiceError               HTTP  type               when
  ClientError
    DecodingError           400  decoding_error     a VCF or a request body is not one
    ModelNotFoundError      404  model_not_found    no folder of models, or no model of that name
    UnauthorisedError       401  unauthorised       the API key is missing or unknown
    NotFoundError           404  not_found          there is no such route, or no such job
    MethodNotAllowedError   405  method_not_allowed there is the route, but not with this method
    BodyTimeoutError        408  body_timeout       the body of a request came too slowly
    ConflictError           409  conflict           a job is not done, or its model has changed
    PreconditionError       412  precondition       a file is not the one that If-Match names
    RequestTooLargeError    413  request_too_large  a body or a list exceeds a published limit
    EncodingError           415  encoding           the body of a request is compressed
    MediaTypeError          415  media_type         its Content-Type is not what the route reads
    RangeError              416  range              a file has no such bytes
    ValidationError         422  validation_error   an option, a setting or a sequence is not valid
    InputFileError          422  input_file         a FASTA or VCF is missing, truncated, mistaken
    WrongAssemblyError      422  wrong_assembly     too many REFs differ from the reference
    RateLimitedError        429  rate_limited       the API key has used up what it may score
  ServerError
    ModelContractError      500  model_contract     a model or its card is not what it must be
    DeviceError             500  device             CUDA was asked for and does not run
    OverloadedError         503  overloaded         too many requests are waiting
    IncompleteError         503  incomplete         a run ended early; what is done is kept
    DeadlineError           504  deadline_exceeded  a request cannot be answered in its time
    DiskFullError           507  disk_full          there is no space for an upload or an output
```
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar, Self


class ServiceError(Exception):
    """Base of every error that this package raises on purpose.

    Attributes:
      message: one line: what was required, what came, where.
      detail: machine-readable particulars, or None.
      retry_after: seconds after which the same may succeed, or None where waiting does not help.
      code: HTTP status code of the class.
      type: stable identifier of the class, the `type` of the error body.
    """

    code: ClassVar[int] = 500
    type: ClassVar[str] = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        detail: Mapping[str, Any] | None = None,
        retry_after: float | None = None,
    ) -> None:
        """Keep the message and its particulars."""
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after
        self.detail = None if detail is None else dict(detail)

    def body(self) -> dict[str, Any]:
        """Return the one JSON shape of an error."""
        return {"error": {"type": self.type, "message": self.message, "detail": self.detail}}


class ClientError(ServiceError):
    """The caller can put this right."""

    code = 400
    type = "client_error"


class DecodingError(ClientError):
    """Bytes are not the format that they should be."""

    code = 400
    type = "decoding_error"


class ModelNotFoundError(ClientError):
    """No model of that name."""

    code = 404
    type = "model_not_found"


class UnauthorisedError(ClientError):
    """The service asks for an API key, and the request has none that it knows."""

    code = 401
    type = "unauthorised"


class NotFoundError(ClientError):
    """No such route, or no such job."""

    code = 404
    type = "not_found"


class MethodNotAllowedError(ClientError):
    """The route exists, but not with this method."""

    code = 405
    type = "method_not_allowed"


class BodyTimeoutError(ClientError):
    """The body of a request did not arrive in time."""

    code = 408
    type = "body_timeout"


class ConflictError(ClientError):
    """What is asked for does not fit how things stand: a job is not done, or its model changed."""

    code = 409
    type = "conflict"


class PreconditionError(ClientError):
    """A file is not the one that If-Match names."""

    code = 412
    type = "precondition"


class RequestTooLargeError(ClientError):
    """The request exceeds a stated limit."""

    code = 413
    type = "request_too_large"


class EncodingError(ClientError):
    """The body of a request is compressed; how far it would unpack cannot be known."""

    code = 415
    type = "encoding"


class MediaTypeError(ClientError):
    """The Content-Type of a request is not what its route reads."""

    code = 415
    type = "media_type"


class RangeError(ClientError):
    """A file ends before the bytes that are asked for."""

    code = 416
    type = "range"


class ValidationError(ClientError):
    """A well-formed request asks for something that is not allowed."""

    code = 422
    type = "validation_error"


class InputFileError(ClientError):
    """A FASTA or VCF file is missing, truncated, unreadable or of the wrong assembly."""

    code = 422
    type = "input_file"


class RateLimitedError(ClientError):
    """An API key has used up what it may ask for in this minute."""

    code = 429
    type = "rate_limited"


class WrongAssemblyError(ClientError):
    """So many REFs differ from the reference that it must be another assembly's."""

    code = 422
    type = "wrong_assembly"


class ServerError(ServiceError):
    """The operator can put this right."""


class ModelContractError(ServerError):
    """A model file does not keep the contract that this service reads."""

    type = "model_contract"


class DeviceError(ServerError):
    """The device that was asked for is not in use."""

    type = "device"


class OverloadedError(ServerError):
    """Too much work is waiting; try again later."""

    code = 503
    type = "overloaded"


class DeadlineError(ServerError):
    """The answer would come, or came, after the time that the request allows."""

    code = 504
    type = "deadline_exceeded"


class DiskFullError(ServerError):
    """There is no space for what is to be written."""

    code = 507
    type = "disk_full"


class IncompleteError(ServerError):
    """A run ended before all of its shards were done; the same command goes on from there."""

    code = 503
    type = "incomplete"


class Status(StrEnum):
    """What became of one ALT: scored, or why not. Never raised.

    Attributes:
      reason: one line for a person.
    """

    reason: str

    OK = "ok", "scored"
    NO_ALT = "no_alt", "there is no ALT allele to score"
    UNKNOWN_CONTIG = "unknown_contig", "the reference has no such contig"
    REF_MISMATCH = "ref_mismatch", "REF differs from the reference sequence"
    SYMBOLIC_ALT = "symbolic_alt", "a symbolic ALT has no sequence to score"
    STAR_ALT = "star_alt", "ALT * stands for a deletion described by another record"
    BREAKEND_ALT = "breakend_alt", "breakends are not scored"
    NON_ACGTN = "non_acgtn", "an allele is empty or has a letter other than ACGTN"
    WINDOW_OFF_CONTIG = "window_off_contig", "the variant lies outside the known sequence"
    ALLELE_TOO_LONG = "allele_too_long", "the change is too long for the model's window"
    MODEL_NAN = "model_nan", "the model returned NaN, infinity or a sigma that is not positive"

    def __new__(cls, value: str, reason: str) -> Self:
        """Make a member whose value is the stable identifier."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.reason = reason
        return member
