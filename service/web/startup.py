"""What a service says of itself when it starts, for who runs it: `app -> facts, warnings`."""

from collections.abc import Iterator
from typing import Any

from service import __version__
from service.assemblies import named_otherwise
from service.engine import Engine
from service.schemas import Limits


def facts(engine: Engine, address: tuple[Any, ...]) -> dict[str, Any]:
    """Return what is served, where and within which limits; no path but the folder of jobs.

    Args:
      engine: of the app.
      address: of the socket: host, port, and what else it has.
    """
    settings, reference = engine.settings, engine.reference
    host, port = address[:2]
    return {
        "version": __version__,
        "address": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        "models": {name: list(model.providers) for name, model in engine.models.items()},
        "reference": reference.name if reference else None,
        "assembly": reference.assembly if reference else None,
        "evidence": settings.evidence.name if settings.evidence else None,
        "jobs": str(settings.jobs.absolute()) if settings.jobs else None,
        "keys": settings.keys is not None,
        "limits": Limits.of(settings.model_dump()).model_dump(),
    }


def warnings(engine: Engine) -> Iterator[str]:
    """Yield what is allowed and perhaps not meant."""
    settings, reference = engine.settings, engine.reference
    if reference is None:
        yield "no --reference: variants, regions and jobs are refused, sequences are scored"
        if settings.assembly is not None:
            yield f"--assembly {settings.assembly} is without effect: there is no --reference"
        for name in ("evidence", "jobs"):
            if getattr(settings, name) is not None:
                yield f"--{name} is without effect: there is no --reference"
        return
    if reference.assembly is None:
        yield "no --assembly: answers cannot say of which genome the reference is"
        return
    yield from named_otherwise(reference.name, reference.assembly)
