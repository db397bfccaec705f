"""``md.open``: names to a lazy dataset. Reads the metadata of one file a sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import awkward as ak

from mpidist.errors import DatasetError, SchemaError
from mpidist.lazy import Lazy, origin_of, source

from . import cache
from .dataset import Dataset, Sample
from .files import FileRef
from .forms import fields_by_column
from .names import Names, Target, expand
from .opening import Unopened, open_file
from .samples import combine
from .scan import known_columns

if TYPE_CHECKING:
    from .files import FormatName

__all__ = ["Weight", "open"]

#: A number, the name of a column, a lazy array of the sample, or a function that makes one of its events.
Weight = float | str | Lazy | Callable[[Lazy], Lazy]

_TRIED = 10  # how many files to look into for one that can be read and is not empty


def open(
    names: Names | Mapping[str, Names | Lazy],
    *,
    tree: str | None = None,
    weight: Weight | None = None,
    nanoaod: bool = True,
    label: str | None = None,
) -> Lazy:
    """Open events in files: a lazy array of all of them, of which nothing is read but the metadata of one file.

    Args:
        names: a name ``"file.root:Events"`` (see `names` for wildcards, lists, text files, remote files), several, or a
            dict of samples: ``{"data": "data/*.root", "ttbar": md.open("ttbar.root", weight="genWeight")}``.
        tree: the tree for all names that do not say one. If nobody says one, it is the only tree, or ``Events``.
        weight: for every event: a number, a column's name, or a function that makes a lazy array of the events.
        nanoaod: group flat NanoAOD columns into collections (``events.Muon.pt``); see `nanoaod`.
        label: name of the sample in results; by default the names as given.

    Raises:
        DatasetError: no such file or tree, or no file that can be read.
        SchemaError: samples without a common column.
    """
    if isinstance(names, Mapping):
        if label is not None:
            raise TypeError("label= is for one sample; the names of several are the keys of the dict.")
        return _open_samples(names, tree, weight, nanoaod=nanoaod)
    targets = expand(names, tree)
    title = label or _title(names)
    dataset = _dataset(title, targets, nanoaod=nanoaod)
    return source(_weighted(dataset, weight))


def _open_samples(
    names: Mapping[str, Names | Lazy], tree: str | None, weight: Weight | None, *, nanoaod: bool
) -> Lazy:
    if not names:
        raise DatasetError("the dict of samples is empty.")
    parts: list[Dataset] = []
    for label, value in names.items():
        if isinstance(value, Lazy):
            dataset = _bare(label, value)
            if weight is not None and any(sample.weight is not None for sample in dataset.samples):
                raise TypeError(
                    f"sample {label!r} has a weight of its own, and weight= was given. Hint: drop one."
                )
        else:
            dataset = _dataset(label, expand(value, tree), nanoaod=nanoaod)
        parts.append(_weighted(_labelled(dataset, label), weight))
    return source(combine(parts))


def _bare(label: str, value: Lazy) -> Dataset:
    """The dataset that `md.open` made `value` of."""
    dataset = origin_of([value])
    if not isinstance(dataset, Dataset) or value.fields != dataset.form.fields:
        raise TypeError(
            f"sample {label!r} must be what md.open returned, not an expression made of it: {value!r}"
        )
    return dataset


def _labelled(dataset: Dataset, label: str) -> Dataset:
    if len(dataset.samples) == 1:
        return replace(dataset, samples=(replace(dataset.samples[0], name=label),))
    samples = tuple(replace(sample, name=f"{label}/{sample.name}") for sample in dataset.samples)
    return replace(dataset, samples=samples)


def _weighted(dataset: Dataset, weight: Weight | None) -> Dataset:
    """`dataset` with the weight, checked, for all samples."""
    if weight is None:
        return dataset
    value: float | Lazy
    if isinstance(weight, str):
        value = source(dataset)[weight]
    elif isinstance(weight, (Lazy, int, float)):
        value = weight
    elif callable(weight):
        value = weight(source(dataset))
    else:
        raise TypeError(f"a weight is a number, a column's name, a lazy array or a function, not {weight!r}")
    if not isinstance(value, (Lazy, int, float)):
        raise TypeError(
            f"the weight function must return a lazy array or a number, not {type(value).__name__}"
        )
    if isinstance(value, Lazy) and (value.ndim != 1 or value.fields):
        raise SchemaError(f"the weight must be one number an event, but it is {value.type}.")
    return replace(dataset, samples=tuple(replace(sample, weight=value) for sample in dataset.samples))


def _title(names: Names) -> str:
    if isinstance(names, (str,)) or hasattr(names, "__fspath__"):
        return str(names)
    listed = [str(name) for name in names]
    return listed[0] if len(listed) == 1 else f"{listed[0]} ... ({len(listed)} names)"


def _dataset(name: str, targets: list[Target], *, nanoaod: bool) -> Dataset:
    """The dataset of one sample; its form is that of the first file that can be read and has events."""
    problems: list[str] = []
    first_error: Unopened | None = None
    best: tuple[cache.Entry, Target] | None = None
    for target in targets[:_TRIED]:
        try:
            entry = read_schema(target)
        except Unopened as error:
            problems.append(str(error))
            first_error = first_error or error
            continue
        if best is None or entry.entries:
            best = entry, target
        if entry.entries:
            break
    if best is None:
        if len(targets) == 1 and first_error is not None:
            raise first_error
        raise DatasetError(f"none of the first {len(problems)} files can be read: {'; '.join(problems)}")
    entry, chosen = best
    if entry.form is None:
        raise DatasetError(f"{chosen.path} has no columns.")
    flat = ak.forms.from_json(entry.form)
    same = chosen.tree
    files = tuple(
        FileRef(i, 0, target.path, entry.tree if target.tree == same else target.tree, _format(entry))
        for i, target in enumerate(targets)
    )
    return Dataset(
        name,
        (Sample(name),),
        files,
        flat,
        grouped=nanoaod,
        unreadable=dict(entry.unreadable),
        problems=tuple(problems),
    )


def _format(entry: cache.Entry) -> FormatName:
    return "rntuple" if entry.format == "rntuple" else "hdf5" if entry.format == "hdf5" else "ttree"


def read_schema(target: Target) -> cache.Entry:
    """All fields of a tree, from the cache if the file is in it.

    Raises:
        Unopened: the file or its metadata cannot be read.
    """
    file = open_file(target.path, target.tree)
    try:
        known = cache.load(target.path, file.tree, file.identity, form=True)
        if known is not None and known.form is not None:
            return known
        fields = file.fields()
        form = ak.forms.RecordForm(list(fields.values()), list(fields), form_key="events@0")
        # Those of other formats are told as quickly when they are asked again.
        owners = fields_by_column(form) if file.format == "ttree" else {}
        columns = known_columns(file, {column: fields[name] for column, name in owners.items()})
        entry = cache.Entry(
            file.identity,
            file.tree,
            file.format,
            file.entries,
            columns,
            form.to_json(),
            dict(file.unreadable()),
        )
    except Exception as error:
        text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise Unopened(f"the metadata of {target.path} cannot be read: {text}", "damaged") from error
    finally:
        file.close()
    cache.store(target.path, file.tree, entry)
    return entry
