"""Forms that a site, or a user, has filled in: `mpidist/presets.toml` in Jupyter's folders of configuration.

    [[preset]]
    name = "one node, short"
    hint = "starts within minutes on weekdays"
    partition = "debug"
    ranks_per_node = 64
    time = "00:30:00"
    modules = "gcc/13 openmpi/5"

A user's own come first, then those of the Python environment, then the system's; of several with the same name only the first is offered.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec
from jupyter_core.paths import jupyter_config_path

from .schema.resources import Preset, SlurmForm

__all__ = ["presets"]

FILE = Path("mpidist") / "presets.toml"
MOST = 100
"""More are no choice."""


def presets() -> tuple[tuple[Preset, ...], tuple[str, ...]]:
    """What is offered, and what is wrong with the files, in words."""
    found: dict[str, Preset] = {}
    problems: list[str] = []
    for folder in jupyter_config_path():
        file = Path(folder) / FILE
        try:
            text = file.read_text(encoding="utf-8")
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            problems.append(f"{file} cannot be read: {error}")
            continue
        try:
            tables = tomllib.loads(text).get("preset", [])
            for table in tables[:MOST]:
                preset = _preset(table)
                found.setdefault(preset.name, preset)
        except (
            tomllib.TOMLDecodeError,
            msgspec.ValidationError,
            TypeError,
            AttributeError,
            KeyError,
        ) as error:
            problems.append(
                f"{file} is not valid: {error}. Hint: it has tables [[preset]] with a name and fields of the form."
            )
    return tuple(found.values())[:MOST], tuple(problems)


def _preset(table: dict[str, object]) -> Preset:
    fields = {name: value for name, value in table.items() if name not in ("name", "hint")}
    return msgspec.convert(
        {
            "name": table.get("name"),
            "hint": table.get("hint", ""),
            "form": msgspec.convert(fields, SlurmForm),
        },
        Preset,
    )
