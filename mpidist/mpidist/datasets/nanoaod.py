"""Grouping: flat NanoAOD columns become collections, and momenta get vector's behaviours.

The rules, applied when the tree looks like NanoAOD (it has a counter ``nX`` and at least one list ``X_...``):

1. A list column ``X_name`` whose longest prefix ``X`` has an integer counter ``nX`` becomes the field `name`
   of the collection ``X``, a list of records. Without a counter nothing is grouped: equal
   counts in one file do not prove equal counts in the next.
2. Other columns ``X_name`` that are not lists (``MET_pt``, ``HLT_IsoMu24``, ``Flag_...``) become fields of the record ``X`` (up
   to the first underscore) when at least two share it.
3. What does not match, and what would clash with a column that is really called ``X``, stays as it is. Counters
   stay as well: ``events.nMuon`` is ``ak.num(events.Muon)``.

For all trees (NanoAOD or not): a record, or list of records, at top level with pt, eta, phi, mass becomes vector's
``Momentum4D`` (without mass ``Momentum3D``, without eta too ``Momentum2D``), unless it has further
fields that vector would take for coordinates, such as the vertex x, y, z of ``SV``. These coordinates are float64, whatever
they are in the file, so kinematics is computed in float64.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np

from .forms import column_of, key_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LIST", "Grouping", "group", "plain"]

#: Place (see `forms`) of the list node of a collection; its column is the counter.
LIST = "list"

_MOMENTA = (
    (frozenset({"pt", "eta", "phi", "mass"}), "Momentum4D"),
    (frozenset({"pt", "eta", "phi"}), "Momentum3D"),
    (frozenset({"pt", "phi"}), "Momentum2D"),
)
#: Everything that vector takes for a coordinate.
_COORDINATES = frozenset(
    [*"xyzt", "rho", "eta", "phi", "theta", "tau", "px", "py", "pz", "pt", *"Ee", "energy", *"Mm", "mass"]
)


@dataclass(frozen=True, slots=True)
class Grouping:
    """A grouped form, and for each collection (by its list node's key) the columns that know its offsets."""

    form: ak.forms.RecordForm
    members: Mapping[str, tuple[str, ...]]


def plain(flat: ak.forms.RecordForm) -> Grouping:
    """The columns as they are in the file."""
    return Grouping(flat, {})


def group(flat: ak.forms.RecordForm) -> Grouping:
    """Group the columns of `flat` by the rules above."""
    fields: dict[str, ak.forms.Form] = dict(zip(flat.fields, flat.contents, strict=True))
    collections = _collections(fields)
    members: dict[str, tuple[str, ...]] = {}
    used: dict[str, str] = {}
    made: dict[str, ak.forms.Form] = {}
    for prefix, names in collections.items():
        counter = f"n{prefix}"
        contents: list[ak.forms.Form] = [fields[name].content for name in names]
        record = ak.forms.RecordForm(
            contents, [name[len(prefix) + 1 :] for name in names], form_key=key_of(counter, "record")
        )
        key = key_of(counter, LIST)
        made[prefix] = ak.forms.ListOffsetForm("i64", record, form_key=key)
        members[key] = tuple(column_of(fields[name].form_key or "") for name in names)
        used |= dict.fromkeys(names, prefix)
    if collections:
        for prefix, names in _records(fields, used).items():
            made[prefix] = ak.forms.RecordForm(
                [fields[name] for name in names],
                [name[len(prefix) + 1 :] for name in names],
                form_key=key_of(prefix, "record"),
            )
            used |= dict.fromkeys(names, prefix)
    out: dict[str, ak.forms.Form] = {}
    for name, form in fields.items():  # a collection stands where its first column stood
        target = used.get(name, name)
        if name in used or not _is_duplicate(name, form, fields):
            out.setdefault(target, made.get(target, form) if name in used else form)
    contents = [with_momentum(form) for form in out.values()]
    return Grouping(ak.forms.RecordForm(contents, list(out), form_key=flat.form_key), members)


def _is_list(form: ak.forms.Form) -> bool:
    return isinstance(form, ak.forms.ListOffsetForm) and form.parameter("__array__") is None


def _is_counter(form: ak.forms.Form | None) -> bool:
    return (
        isinstance(form, ak.forms.NumpyForm)
        and not form.inner_shape
        and np.issubdtype(np.dtype(str(form.primitive)), np.integer)
    )


def _collections(fields: Mapping[str, ak.forms.Form]) -> dict[str, list[str]]:
    """The list columns of each collection, by its name."""
    out: defaultdict[str, list[str]] = defaultdict(list)
    for name, form in fields.items():
        if not _is_list(form):
            continue
        prefix = name
        while "_" in prefix:
            prefix = prefix.rpartition("_")[0]
            if _is_counter(fields.get(f"n{prefix}")) and prefix not in fields and name != f"{prefix}_":
                out[prefix].append(name)
                break
    return dict(out)


def _records(fields: Mapping[str, ak.forms.Form], used: Mapping[str, str]) -> dict[str, list[str]]:
    """The columns that are not lists, by their common prefix."""
    taken = {*fields, *used.values()}
    out: defaultdict[str, list[str]] = defaultdict(list)
    for name, form in fields.items():
        prefix, underscore, rest = name.partition("_")
        if name in used or not (prefix and underscore and rest) or prefix in taken or _is_list(form):
            continue
        if not isinstance(form, ak.forms.RecordForm):
            out[prefix].append(name)
    return {prefix: names for prefix, names in out.items() if len(names) > 1}


def _is_duplicate(name: str, form: ak.forms.Form, fields: Mapping[str, ak.forms.Form]) -> bool:
    """Whether this is an unnamed collection of ROOT's RNTuple importer, all of whose fields exist at top level too."""
    if not name.startswith("_collection") or not _is_list(form):
        return False
    content: Any = form.content
    return isinstance(content, ak.forms.RecordForm) and all(field in fields for field in content.fields)


def with_momentum(form: ak.forms.Form) -> ak.forms.Form:
    """`form` with a momentum behaviour, if it is a record (or list of records) of a momentum."""
    if isinstance(form, ak.forms.ListOffsetForm):
        content = with_momentum(form.content)
        return form if content is form.content else form.copy(content=content)
    if not isinstance(form, ak.forms.RecordForm) or form.is_tuple or form.parameter("__record__"):
        return form
    present = frozenset(form.fields)
    for coordinates, name in _MOMENTA:
        if coordinates <= present:
            if (present & _COORDINATES) != coordinates or not all(
                _is_real(form.content(c)) for c in coordinates
            ):
                return form
            contents = [
                content.copy(primitive="float64") if field in coordinates else content
                for field, content in zip(form.fields, form.contents, strict=True)
            ]
            return form.copy(contents=contents, parameters={**form.parameters, "__record__": name})
    return form


def _is_real(form: ak.forms.Form) -> bool:
    return (
        isinstance(form, ak.forms.NumpyForm)
        and not form.inner_shape
        and form.primitive in {"float32", "float64"}
    )
