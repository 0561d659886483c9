"""The error shape and the statuses are public: clients match on them."""

import pickle

import pytest

from service import errors
from service.errors import ServiceError, Status

PUBLIC = {
    "DecodingError": (400, "decoding_error"),
    "ModelNotFoundError": (404, "model_not_found"),
    "UnauthorisedError": (401, "unauthorised"),
    "NotFoundError": (404, "not_found"),
    "MethodNotAllowedError": (405, "method_not_allowed"),
    "BodyTimeoutError": (408, "body_timeout"),
    "ConflictError": (409, "conflict"),
    "PreconditionError": (412, "precondition"),
    "RequestTooLargeError": (413, "request_too_large"),
    "EncodingError": (415, "encoding"),
    "MediaTypeError": (415, "media_type"),
    "RangeError": (416, "range"),
    "ValidationError": (422, "validation_error"),
    "InputFileError": (422, "input_file"),
    "WrongAssemblyError": (422, "wrong_assembly"),
    "RateLimitedError": (429, "rate_limited"),
    "ModelContractError": (500, "model_contract"),
    "DeviceError": (500, "device"),
    "OverloadedError": (503, "overloaded"),
    "IncompleteError": (503, "incomplete"),
    "DeadlineError": (504, "deadline_exceeded"),
    "DiskFullError": (507, "disk_full"),
}


def leaves(kind: type[ServiceError]) -> set[type[ServiceError]]:
    """Those that clients can tell apart: what a module adds for itself has the type of its base."""
    below = [one for one in kind.__subclasses__() if one.__module__ == errors.__name__]
    return set().union(*map(leaves, below)) if below else {kind}


def test_every_error_has_its_code_and_type():
    found = {kind.__name__: (kind.code, kind.type) for kind in leaves(ServiceError)}
    assert found == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_client_errors_are_4xx_and_server_errors_5xx(name):
    kind = getattr(errors, name)
    base = errors.ClientError if kind.code < 500 else errors.ServerError
    assert issubclass(kind, base)


@pytest.mark.parametrize("name", PUBLIC)
def test_body_has_one_shape(name):
    kind = getattr(errors, name)
    error = kind("pos must be at least 1, got 0", detail={"line": 7})
    assert str(error) == "pos must be at least 1, got 0"
    assert error.body() == {
        "error": {
            "type": PUBLIC[name][1],
            "message": "pos must be at least 1, got 0",
            "detail": {"line": 7},
        }
    }
    assert kind("x").body()["error"]["detail"] is None


def test_statuses_are_plain_strings_with_a_reason():
    assert [str(status) for status in Status] == [
        "ok",
        "no_alt",
        "unknown_contig",
        "ref_mismatch",
        "symbolic_alt",
        "star_alt",
        "breakend_alt",
        "non_acgtn",
        "window_off_contig",
        "allele_too_long",
        "model_nan",
    ]
    assert all(status.reason and "\n" not in status.reason for status in Status)
    assert len({status.reason for status in Status}) == len(Status)


def test_a_status_survives_its_text_and_a_process_boundary():
    for status in Status:
        assert Status(str(status)) is status
        assert pickle.loads(pickle.dumps(status)) is status
