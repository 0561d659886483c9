"""The interface as OpenAPI and as a page that needs no other host: `/openapi.json`, `/docs`."""

import base64
import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from html import escape
from typing import Any

from fastapi import APIRouter, FastAPI, Response
from fastapi.responses import HTMLResponse

from service.web import failures

PATH = "/docs"
_OPENAPI = "/openapi.json"

# What the guard may answer on any route, and with API keys on most.
_ALWAYS = (408, 413, 415, 500)
_WITH_KEYS = (401, 429)
_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h2 { border-bottom: 1px solid #ccc; margin-top: 2.5rem } h3 { margin-bottom: 0 }
code, pre { font: 14px/1.4 ui-monospace, monospace } td { padding: 0 1rem 0 0; vertical-align: top }
pre { background: #f4f4f4; padding: .75rem; overflow: auto; max-height: 24rem }
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; frame-ancestors 'none'"


def install(
    app: FastAPI, *, has_keys: bool, open_paths: Collection[str], other_shapes: Collection[str]
) -> None:
    """Complete an app's OpenAPI by what its guard does, and show it as a page.

    Args:
      app: the app.
      has_keys: whether routes need an API key.
      open_paths: routes that need none.
      other_shapes: paths below which errors have a shape of their own.
    """
    plain = app.openapi

    @cache
    def openapi() -> dict[str, Any]:
        spec = plain()
        for path, operations in spec["paths"].items():
            is_locked = has_keys and path not in open_paths
            codes = sorted({*_ALWAYS, *(_WITH_KEYS if is_locked else ())})
            has_own_shape = any(f"{path}/".startswith(f"{prefix}/") for prefix in other_shapes)
            for operation in operations.values():
                for code, entry in failures.described(*codes, has_schema=not has_own_shape).items():
                    operation["responses"].setdefault(code, entry)
                if is_locked:
                    operation["security"] = [{name: []} for name in _SCHEMES]
        if has_keys:
            spec.setdefault("components", {})["securitySchemes"] = _SCHEMES
        return spec

    @cache
    def text() -> bytes:
        return json.dumps(openapi()).encode()

    # FastAPI's own way to extend it.
    app.openapi = openapi  # type: ignore[method-assign]
    router = APIRouter()

    # Both in a thread: to put the interface together holds the event loop longer than a request.
    @router.get(_OPENAPI, include_in_schema=False)
    def description() -> Response:
        return Response(text(), media_type="application/json")

    @router.get(PATH, include_in_schema=False)
    def page() -> HTMLResponse:
        return HTMLResponse(_page(openapi()), headers={"Content-Security-Policy": _POLICY})

    app.include_router(router)


def _page(spec: Mapping[str, Any]) -> str:
    info = spec["info"]
    title = f"{info['title']} {info['version']}"
    paths = [
        (path, method, operation)
        for path, operations in spec["paths"].items()
        for method, operation in operations.items()
    ]
    body = "".join(
        f"<h2><code>{method.upper()} {escape(path)}</code></h2>{''.join(_operation(operation))}"
        for path, method, operation in paths
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style><h1>{escape(title)}</h1>{_paragraphs(info.get('description', ''))}"
        f'<p>All of it for machines: <a href="openapi.json">openapi.json</a></p>{body}</html>'
    )


def _operation(operation: Mapping[str, Any]) -> Iterator[str]:
    yield _paragraphs(operation.get("description") or operation.get("summary", ""))
    for parameter in operation.get("parameters", ()):
        told = f"{parameter['in']} {parameter['name']}: {parameter.get('description', '')}"
        yield f"<p><code>{escape(told)}</code></p>"
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        for name, example in content.get("examples", {}).items():
            summary = example.get("summary") or example.get("description") or name
            yield f"<h3>Request: {escape(summary)} ({escape(media)})</h3>{_code(example['value'])}"
    yield "<h3>Answers</h3><table>"
    for code, response in operation["responses"].items():
        yield f"<tr><td><code>{escape(code)}</code><td>{escape(response['description'])}"
    yield "</table>"
    for content in operation["responses"].get("200", {}).get("content", {}).values():
        if "example" in content:
            yield _code(content["example"])


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{escape(part)}</p>" for part in text.split("\n\n") if part.strip())


def _code(value: object) -> str:
    return f"<pre>{escape(json.dumps(value, indent=2))}</pre>"
