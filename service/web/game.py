"""GAME, the protocol of this field's benchmarks: `GET /formats`, `GET /help`, `POST /predict`.

An evaluator posts a whole library at once and does not come back after an error, so a request that
finds no place waits for one.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from fastapi import APIRouter, FastAPI, Request, Response
from numpy.typing import NDArray

from service.engine import Engine
from service.errors import (
    BodyTimeoutError,
    DeadlineError,
    DecodingError,
    OverloadedError,
    RequestTooLargeError,
    ServiceError,
)
from service.game.answer import error_answer, write_answer
from service.game.codec import Format, decode
from service.game.predictor import help_message, predictor_name, served_targets
from service.game.request import PredictRequest, read_request
from service.scoring import Predictions
from service.sequence import Codes
from service.web.game_docs import FORMATS, HELP, PREDICT, PREDICT_BODY
from service.web.gone import unless_gone
from service.web.limits import charge
from service.web.state import Call, Called, Loaded

# Requests that are read or answered at once; the body of the next one stays in the network.
_AT_ONCE = 4
# Seconds that a request waits for a place in the batch lane before its sender is told.
_PATIENCE = 600
_PLACES = "game_places"
# The names that MessagePack had before it got its own.
_MEDIA_TYPES = {form.value: form for form in Format} | {
    "application/x-msgpack": Format.MSGPACK,
    "application/vnd.msgpack": Format.MSGPACK,
}

router = APIRouter(tags=["GAME"])


def error_body(error: ServiceError, engine: Engine) -> dict[str, Any]:
    """Return the one shape of this protocol's errors."""
    return error_answer(error, predictor_name(engine.models))


@router.get("/formats", responses=FORMATS)
async def formats(engine: Loaded) -> dict[str, Any]:
    """Say how requests and answers may be written."""
    media_types = [form.value for form in Format]
    return {
        "predictor_name": predictor_name(engine.models),
        "predictor_supported_request_formats": media_types,
        "predictor_supported_response_formats": media_types,
    }


@router.get("/help", responses=HELP)
async def describe(engine: Loaded) -> dict[str, Any]:
    """Say what is predicted, for which cell types."""
    return help_message(engine.models)


@router.post("/predict", responses=PREDICT, openapi_extra={"requestBody": PREDICT_BODY})
async def predict(call: Called) -> Response:
    """Predict the activity of every sequence, once for each task.

    A cell type that is not served gets the default one; `cell_type_actual` says so. Each model
    runs once, on the plus strand, whatever the number of tasks.
    """
    request = call.request
    given, wanted = request_format(request.headers), response_format(request.headers)
    async with _place(request.app, call.long_deadline):
        body = await _body(request, call.engine)
        return await unless_gone(request, _answered(call, body, given, wanted))


async def _answered(call: Call, body: bytearray, given: Format, wanted: Format) -> Response:
    engine = call.engine
    asked = await engine.offload(_read, body, given, engine)
    n = len(asked.ids)
    await charge(call.request, items=n, sequences=n * len(asked.models))
    activity = {
        name: await _activity(engine, name, asked, call.long_deadline) for name in asked.models
    }
    content = await engine.offload(
        write_answer, asked, activity, predictor_name(engine.models), wanted
    )
    return Response(content, media_type=wanted.value)


def request_format(headers: Mapping[str, str]) -> Format:
    """Return how a request is written; JSON where it does not say.

    Raises:
      DecodingError: in a format that is not read here.
    """
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    form = _MEDIA_TYPES.get(media_type or Format.JSON.value)
    if form is None:
        raise DecodingError(
            f"Content-Type is {media_type}; it must be {' or '.join(form.value for form in Format)}"
        )
    return form


def response_format(headers: Mapping[str, str]) -> Format:
    """Return how an answer is to be written: MessagePack where it is named and not liked less."""
    weights = dict.fromkeys(Format, 0.0)
    for part in headers.get("accept", "").lower().split(","):
        media_type, *parameters = (piece.strip() for piece in part.split(";"))
        form = _MEDIA_TYPES.get(media_type)
        if form is not None:
            weights[form] = max(weights[form], _weight(parameters))
    is_msgpack = weights[Format.MSGPACK] > 0 and weights[Format.MSGPACK] >= weights[Format.JSON]
    return Format.MSGPACK if is_msgpack else Format.JSON


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0


@asynccontextmanager
async def _place(app: FastAPI, deadline: float | None) -> AsyncIterator[None]:
    """Wait for one of the places and hold it.

    Raises:
      DeadlineError: none was free in time.
    """
    if not hasattr(app.state, _PLACES):
        setattr(app.state, _PLACES, asyncio.Semaphore(_AT_ONCE))
    places: asyncio.Semaphore = getattr(app.state, _PLACES)
    try:
        async with asyncio.timeout(None if deadline is None else deadline - time.monotonic()):
            await places.acquire()
    except TimeoutError:
        raise DeadlineError(f"{_AT_ONCE} requests of this kind took all the time") from None
    try:
        yield
    finally:
        places.release()


async def _body(request: Request, engine: Engine) -> bytearray:
    """Read a body of its own, larger limit, always at the pace that other routes ask for.

    Raises:
      RequestTooLargeError: it is longer.
      BodyTimeoutError: it comes more slowly.
    """
    settings = engine.settings
    limit, seconds = settings.game_max_body_bytes, settings.body_timeout
    body = bytearray()
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with asyncio.timeout(seconds) as timer:
            async for chunk in request.stream():
                body += chunk
                # A place is held meanwhile: who sends nothing must not have the time of a whole
                # library.
                timer.reschedule(began + seconds * (1 + len(body) / settings.max_body_bytes))
                if len(body) > limit:
                    raise RequestTooLargeError(
                        f"the body is longer than {limit} bytes; send the sequences in parts",
                        detail={"limit": limit},
                    )
    except TimeoutError:
        raise BodyTimeoutError(
            f"the body came more slowly than {settings.max_body_bytes / seconds:g} bytes a second"
        ) from None
    return body


def _read(body: bytearray, form: Format, engine: Engine) -> PredictRequest:
    content = decode(body, form)
    body.clear()  # while the model runs, all of it would be there twice
    return read_request(content, served_targets(engine.models))


async def _activity(
    engine: Engine, name: str, asked: PredictRequest, deadline: float | None
) -> NDArray[np.float64]:
    """Run a model on a request; return (N, T) means over its members."""
    codes = await engine.offload(asked.windows, engine.models[name].info.window)
    predictions = await _predictions(engine, name, codes, deadline)
    activity: NDArray[np.float64] = predictions.mu.mean(axis=1, dtype=np.float64)
    return activity


async def _predictions(
    engine: Engine, name: str, codes: Codes, deadline: float | None
) -> Predictions:
    """Wait for a place in the batch lane and run a model.

    Raises:
      OverloadedError: there was none all the time.
      DeadlineError: the answer would be late.
    """
    last = min(time.monotonic() + _PATIENCE, math.inf if deadline is None else deadline)
    while True:
        try:
            return await engine.predict_long(name, codes, deadline=deadline)
        except OverloadedError as error:
            if engine.is_draining or time.monotonic() > last:
                raise
            await asyncio.sleep(min(error.retry_after or 1, 1))
