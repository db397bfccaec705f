"""Several samples as one dataset: what they have in common, and what only some have."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import awkward as ak

from mpidist.errors import SchemaError

from . import forms
from .dataset import Dataset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .dataset import Sample
    from .files import FileRef

__all__ = ["combine", "field_paths"]


def combine(parts: Sequence[Dataset]) -> Dataset:
    """One dataset of all samples of `parts`; its form has the columns that all have with the same type.

    Raises:
        SchemaError: they have nothing in common, or differ in whether they are grouped.
    """
    first = parts[0]
    names = [sample.name for part in parts for sample in part.samples]
    if len(set(names)) < len(names):
        raise SchemaError(f"two samples have the same name: {', '.join(names)}.")
    if len({part.grouped for part in parts}) > 1:
        raise SchemaError(
            "some samples are opened with nanoaod=True and some with False. Hint: use one for all."
        )
    common = {
        name: form
        for name, form in zip(first.flat.fields, first.flat.contents, strict=True)
        if all(_same(form, name, part) for part in parts[1:])
    }
    if not common:
        raise SchemaError(f"the samples {', '.join(names)} have no column in common.")
    flat = ak.forms.RecordForm(list(common.values()), list(common), form_key=first.flat.form_key)
    samples: list[Sample] = []
    files: list[FileRef] = []
    for part in parts:
        files += [
            replace(ref, index=len(files) + i, sample=len(samples) + ref.sample)
            for i, ref in enumerate(part.files)
        ]
        samples += part.samples
    title = ", ".join(names)
    out = Dataset(
        title,
        tuple(samples),
        tuple(files),
        flat,
        grouped=first.grouped,
        unreadable={name: reason for part in parts for name, reason in part.unreadable.items()},
        problems=tuple(problem for part in parts for problem in part.problems),
    )
    return replace(out, absent=_absent(out, parts))


def _same(form: ak.forms.Form, name: str, part: Dataset) -> bool:
    return name in part.flat.fields and forms.plain_type(part.flat.content(name)) == forms.plain_type(form)


def _absent(whole: Dataset, parts: Sequence[Dataset]) -> dict[str, tuple[str, ...]]:
    """Fields that are not in `whole`, with the samples whose fault that is."""
    types = [field_paths(part.form) for part in parts]
    kept = field_paths(whole.form)
    out: dict[str, tuple[str, ...]] = {}
    for path in dict.fromkeys(path for known in types for path in known):
        if path not in kept:
            reference = next(known[path] for known in types if path in known)
            lacking = [
                sample.name
                for part, known in zip(parts, types, strict=True)
                if known.get(path) != reference
                for sample in part.samples
            ]
            out[path] = tuple(lacking)
    return out


def field_paths(form: ak.forms.Form, prefix: str = "") -> dict[str, str]:
    """The type of every field, by its path with dots ("Muon.pt")."""
    out: dict[str, str] = {}
    if isinstance(form, ak.forms.RecordForm):
        for name in form.fields:
            content = form.content(name)
            out[prefix + name] = forms.plain_type(content) if not _record(content) else "record"
            out |= field_paths(content, f"{prefix}{name}.")
    else:
        for child in forms.children(form):
            out |= field_paths(child, prefix)
    return out


def _record(form: ak.forms.Form) -> bool:
    return any(isinstance(node, ak.forms.RecordForm) for node in forms.nodes(form))
