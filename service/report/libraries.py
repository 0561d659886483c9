"""Whether the libraries of the extra `report` are here."""

from importlib.util import find_spec

from service.errors import ValidationError
from service.texts import of_extra

_NEEDED = ("jinja2", "matplotlib")


def require_libraries() -> None:
    """Say before the work starts whether a report can be made.

    Raises:
      ValidationError: a library is not installed.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise ValidationError(
            f"a report needs {' and '.join(missing)}; install what is missing: {of_extra('report')}"
        )
