"""What else is wrong with a body whose first bad item ended the check: see `service.schemas`."""

from collections.abc import Sequence
from typing import Any, get_args

import pydantic
from pydantic_core import from_json

MOST_PROBLEMS = 1000
"""Of one check; listing more takes many times the memory of the body that has them."""

# Bad items that are told of. A longer body, which can have very many, is looked at no further.
_MOST_ITEMS = 20
_MOST_BYTES = 1 << 20


def of_other_items(
    kind: type[pydantic.BaseModel], body: bytes, problems: Sequence[Any]
) -> list[dict[str, Any]]:
    """Return the first problem of every further bad item, of twenty items in all.

    Args:
      kind: what the body should be.
      body: JSON.
      problems: what pydantic says of it.
    """
    places = (problem["loc"] for problem in problems)
    bad = next((place for place in places if len(place) > 1 and isinstance(place[1], int)), None)
    item = _item(kind.model_fields[bad[0]].annotation) if bad else None
    if bad is None or item is None or len(body) > _MOST_BYTES:
        return []
    field, first = bad[:2]
    found: list[dict[str, Any]] = []
    for index, value in enumerate(from_json(body)[field]):
        if len(found) == _MOST_ITEMS - 1:
            break
        if index > first:
            found += _first_problem(item, value, (field, index))
    return found


def _item(annotation: Any) -> type[pydantic.BaseModel] | None:  # noqa: ANN401
    """The model in an annotation such as `list[Item] | None`, None where there is none."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return annotation
    return next(filter(None, map(_item, get_args(annotation))), None)


def _first_problem(
    item: type[pydantic.BaseModel],
    value: Any,  # noqa: ANN401
    place: tuple[str, int],
) -> list[dict[str, Any]]:
    try:
        item.model_validate(value)
    except pydantic.ValidationError as error:
        if error.error_count() > MOST_PROBLEMS:
            return [{"loc": place, "msg": f"{error.error_count()} problems, too many to list"}]
        problem: Any = error.errors(include_url=False, include_input=False)[0]
        return [{**problem, "loc": (*place, *problem["loc"])}]
    return []
