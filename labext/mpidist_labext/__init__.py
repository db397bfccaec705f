"""mpidist's part of the Jupyter server, and its prebuilt JupyterLab extension.

From bottom to top:

1. `schema/`: everything that crosses the wire, one module per area; `openapi.json` and the types of TypeScript are made from it.
2. `routes`, `feeds`: what an area offers, free of HTTP: answers to requests, and what is told as it changes.
3. `resources`, `runs`, `example`, `status`: the areas.
4. `handlers`: HTTP and the WebSocket: who may ask, what is valid, what went wrong.
5. `app`: the server extension.
"""

from __future__ import annotations

from typing import Any

__all__ = ["_jupyter_labextension_paths", "_jupyter_server_extension_points"]


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    """Where JupyterLab finds the prebuilt extension."""
    return [{"src": "labextension", "dest": "@mpidist/labext"}]


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """Where Jupyter Server finds its extension."""
    from .app import MpidistApp

    return [{"module": "mpidist_labext", "app": MpidistApp}]
