"""Results as an HDF5 file: UHI histograms, numbers and arrays, with the run card that says what they are.

Layout: ``/results/<name>`` is a group with attribute ``kind``: a UHI histogram, a JSON number or structure, or an awkward
array (its form as JSON and its buffers). ``/run_card`` is JSON text. Nothing in the file is pickled, so a file from
a stranger can be opened.
"""

from __future__ import annotations

import json
import math
import platform
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import h5py
import hist
import numpy as np
import uhi.io.hdf5

from .errors import DatasetError, ResultError
from .snapshot import Results

if TYPE_CHECKING:
    from os import PathLike

    from .snapshot import Snapshot

__all__ = ["Saved", "load", "run_card", "save"]

FORMAT = 1
PACKAGES = ("mpidist", "awkward", "boost-histogram", "h5py", "hist", "numpy", "uproot", "vector")


@dataclass(frozen=True)
class Saved:
    """What `load` gives: `results` by name, and the run `card`."""

    results: Results
    card: Mapping[str, Any]

    @property
    def receipt(self) -> str:
        """What the results contain, as it was printed when the run ended."""
        return str(self.card["receipt"]["text"])

    def __repr__(self) -> str:
        return f"{self.results!r}\n{self.receipt}"


def save(snapshot: Snapshot, path: str | PathLike[str], *, started: float) -> None:
    """Write a snapshot's results and run card; the file appears whole or not at all."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        with h5py.File(temporary, "w") as file:
            file.attrs["mpidist_format"] = FORMAT
            group = file.create_group("results", track_order=True)
            skipped = [
                name
                for name, value in snapshot.results.items()
                if not _write(group.create_group(name), value)
            ]
            card = run_card(snapshot, started=started)
            card["not_saved"] = skipped
            file["run_card"] = json.dumps(card, indent=1)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def run_card(snapshot: Snapshot, *, started: float) -> dict[str, Any]:
    """How the results came about, as plain JSON data: plan, parameters, files, versions, receipt, timings."""
    plan = snapshot.parts[-1].plan if snapshot.parts else None
    files = {info.ref.path: info for part in snapshot.parts for info in part.ledger.table.files}
    receipt = snapshot.receipt
    return {
        "run": snapshot.run,
        "state": snapshot.state,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(started)),
        "plan": {}
        if plan is None
        else {
            "digest": plan.digest,
            "dataset": plan.dataset.name,
            "seed": plan.seed,
            "columns": list(plan.columns),
            "results": {name: repr(result) for name, result in plan.results.items()},
        },
        "parameters": {}
        if plan is None
        else {name: _plain(value) for name, value in plan.parameters.items()},
        "files": [
            {
                "path": path,
                "tree": info.ref.tree,
                "entries": info.entries,
                "identity": info.identity,
                "problem": info.problem,
            }
            for path, info in files.items()
        ],
        "receipt": {
            "text": str(receipt),
            "events_done": receipt.events_done,
            "events_total": receipt.events_total,
            "complete": receipt.complete,
            "samples": [asdict(sample) for sample in snapshot.progress.samples],
            "failures": [asdict(failure) for failure in receipt.failures],
        },
        "seconds": snapshot.seconds,
        "ranks": [{**asdict(status), "seconds": dict(status.seconds)} for status in snapshot.ranks],
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
    }


def load(path: str | PathLike[str]) -> Saved:
    """Read what `Run.save` wrote. Raises DatasetError if the file is missing, damaged, or not ours."""
    try:
        with h5py.File(path, "r") as file:
            if "mpidist_format" not in file.attrs:
                msg = f"{path} was not written by run.save()"
                raise DatasetError(msg)
            if file.attrs["mpidist_format"] > FORMAT:
                msg = f"{path} was written by a newer mpidist. Hint: pip install --upgrade mpidist"
                raise DatasetError(msg)
            card = json.loads(file["run_card"][()].decode())
            skipped = set(card.get("not_saved", ()))
            values = {name: _read(group) for name, group in file["results"].items() if name not in skipped}
    except (OSError, KeyError) as error:
        if isinstance(error, DatasetError):
            raise
        msg = f"cannot read {path}: {error}"
        raise DatasetError(msg) from error
    return Saved(Results(values), card)


def _write(group: h5py.Group, value: object) -> bool:
    """Write one value; False if this kind cannot be written without pickling."""
    if isinstance(value, hist.Hist):
        group.attrs["kind"] = "histogram"
        uhi.io.hdf5.write(group.create_group("histogram"), value)
    elif isinstance(value, ak.Array | np.ndarray):
        group.attrs["kind"] = "array"
        form, length, buffers = ak.to_buffers(ak.to_packed(ak.Array(value)))
        group.attrs["form"], group.attrs["length"] = form.to_json(), length
        for name, buffer in buffers.items():
            group.create_dataset(name, data=np.asarray(buffer))
    elif isinstance(value, Mapping) and any(
        isinstance(each, hist.Hist | ak.Array) for each in value.values()
    ):
        group.attrs["kind"] = "mapping"
        written = [_write(group.create_group(str(key)), each) for key, each in value.items()]
        return all(written)
    else:
        try:
            group.attrs["json"] = json.dumps(_plain(value))
        except TypeError:
            return False
        group.attrs["kind"] = "json"
    return True


def _read(group: h5py.Group) -> object:
    kind = group.attrs.get("kind")
    if kind == "histogram":
        return hist.Hist(uhi.io.hdf5.read(group["histogram"]))  # type: ignore[call-overload]  # takes the UHI form too
    if kind == "array":
        buffers = {name: dataset[()] for name, dataset in group.items()}
        form = ak.forms.from_json(group.attrs["form"])
        return ak.from_buffers(form, int(group.attrs["length"]), buffers)
    if kind == "mapping":
        return {name: _read(inner) for name, inner in group.items()}
    if kind == "json":
        return json.loads(group.attrs["json"], parse_constant=float)
    msg = f"result {group.name} is of unknown kind {kind!r}"
    raise ResultError(msg)


def _plain(value: Any) -> Any:
    """A value as JSON has it: numpy numbers as Python's; raises TypeError for other objects."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else float(value)
    msg = f"{type(value).__name__} is no JSON value"
    raise TypeError(msg)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
