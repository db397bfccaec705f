"""`openapi.json`, made from the routes and their types: `python -m mpidist_labext.openapi` writes it."""

from __future__ import annotations

import json
import sys
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from mpidist.version import __version__

from .app import API, ROUTES
from .schema.common import Problem

if TYPE_CHECKING:
    from .routes import Route

__all__ = ["described"]

PLACE = "#/components/schemas/{name}"


def described() -> dict[str, Any]:
    """The OpenAPI 3.1 description of all routes. Topics of the WebSocket carry the answers of the routes of the same name."""
    types = [kind for route in ROUTES for kind in (route.request, route.answer)] + [Problem]
    schemas, components = msgspec.json.schema_components(types, ref_template=PLACE)
    by_type = dict(zip(types, schemas, strict=True))
    paths: dict[str, Any] = {}
    for route in ROUTES:
        paths.setdefault(f"/{API}/{route.path}", {})[route.method.lower()] = _operation(route, by_type)
    described = {
        "openapi": "3.1.0",
        "info": {"title": "mpidist in Jupyter", "version": __version__},
        "paths": paths,
        "components": {"schemas": components},
    }
    plain: dict[str, Any] = json.loads(json.dumps(described))  # defaults that are tuples become lists
    return plain


def _operation(route: Route, by_type: dict[type, Any]) -> dict[str, Any]:
    """A route; `by_type`: the schemas of requests and answers."""
    fields = msgspec.json.schema_components([route.request], ref_template=PLACE)[1][route.request.__name__]
    places = [
        {"name": name, "in": "path", "required": True, "schema": fields["properties"][name]}
        for name in route.places
    ]
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": route.call.__name__,
        "parameters": places,
        "responses": {
            str(HTTPStatus.OK.value): {
                "description": "the answer",
                "content": {"application/json": {"schema": by_type[route.answer]}},
            },
            "default": {
                "description": "what went wrong",
                "content": {"application/json": {"schema": by_type[Problem]}},
            },
        },
    }
    if route.method == "PUT":
        operation["parameters"] += [
            {"name": name, "in": "query", "required": name in fields["required"], "schema": schema}
            for name, schema in fields["properties"].items()
            if name not in (*route.places, "content")
        ]
        binary = {"schema": {"type": "string", "format": "binary"}}
        operation["requestBody"] = {"required": True, "content": {"application/octet-stream": binary}}
    if route.method == "POST":
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": by_type[route.request]}},
        }
    return operation


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(described(), indent=1, sort_keys=True) + "\n")
