"""Results as an HDF5 file: UHI histograms, numbers and arrays, with the run card that says what they are.

Layout: ``/results/<name>`` is a group with attribute ``kind``: a UHI histogram, a JSON number or structure, a NumPy array,
or an awkward array (its form as JSON and its buffers); "/" in a name is written "%2F". ``/run_card`` is JSON text. Nothing
in the file is pickled, so a file from a stranger can be opened.
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
from urllib.parse import unquote

import awkward as ak
import h5py
import hist
import numpy as np
import uhi.io.hdf5

from .display import page_of
from .errors import DatasetError, ResultError
from .progress import RankStatus
from .report import Report
from .values import Results
from .writing import write_whole

if TYPE_CHECKING:
    from collections.abc import Collection
    from os import PathLike

    from .plan import Plan
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

    @property
    def report(self) -> Report:
        """Why the run was slow (see `mpidist.report`). Raises DatasetError if the card has no timings."""
        card = self.card
        try:
            return Report(
                float(card["seconds"]),
                int(card["receipt"]["events_done"]),
                tuple(RankStatus(**status) for status in card["ranks"]),
                {str(name): int(count) for name, count in card.get("column_bytes", {}).items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            msg = f"the run card has no timings that this version can read: {type(error).__name__}: {error}"
            raise DatasetError(msg) from error

    def to_html(self, path: str | PathLike[str], *, log: Collection[str] = ()) -> None:
        """Write one HTML page of the results and the run card (see `Run.to_html`)."""
        write_whole(path, page_of(self.results, self.card, report=str(self.report), log=log).encode())

    def __repr__(self) -> str:
        return f"{self.results!r}\n{self.receipt}"


def save(snapshot: Snapshot, path: str | PathLike[str], *, started: float) -> None:
    """Write a snapshot's results and run card; the file appears whole or not at all.

    Raises DatasetError if it cannot be written there (see `write_whole`).
    """
    # In memory first: on a full disk the HDF5 library can end the process. It tells files apart by their names.
    with h5py.File(f"{uuid.uuid4().hex}.h5", "w", driver="core", backing_store=False) as file:
        file.attrs["mpidist_format"] = FORMAT
        group = file.create_group("results", track_order=True)
        results = snapshot.results
        written = [name for name, value in results.items() if _write(group, name, value)]
        card = run_card(snapshot, started=started)
        card["not_saved"] = [name for name in card["plan"].get("results", ()) if name not in written]
        file["run_card"] = json.dumps(card, indent=1, allow_nan=False)
        file.flush()
        write_whole(path, file.id.get_file_image())


def run_card(snapshot: Snapshot, *, started: float) -> dict[str, Any]:
    """How the results came about, as plain JSON data: plan, parameters, files, versions, receipt, timings."""
    plan = snapshot.plan
    files = {info.ref.index: info for part in snapshot.parts for info in part.ledger.table.files}
    return {
        "run": snapshot.run,
        "state": snapshot.state,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(started)),
        "plan": {} if plan is None else _plan_card(plan),
        "parameters": {
            name: _finite(value)
            for name, value in (snapshot.parameters or (plan.parameters if plan else {})).items()
        },
        "files": [
            {
                "path": info.ref.path,
                "tree": info.ref.tree,
                "entries": info.entries,
                "identity": info.identity,
                "problem": info.problem,
            }
            for _, info in sorted(files.items())
        ],
        "receipt": _receipt_card(snapshot),
        "seconds": snapshot.seconds,
        "column_bytes": snapshot.column_bytes,
        "ranks": [{**asdict(status), "seconds": dict(status.seconds)} for status in snapshot.ranks],
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
    }


def _plan_card(plan: Plan) -> dict[str, Any]:
    return {
        "digest": plan.digest,
        "dataset": plan.dataset.name,
        "seed": plan.seed,
        "columns": list(plan.columns),
        "results": {name: repr(result) for name, result in plan.results.items()},
    }


def _receipt_card(snapshot: Snapshot) -> dict[str, Any]:
    receipt = snapshot.receipt
    return {
        "text": str(receipt),
        "events_done": receipt.events_done,
        "events_total": receipt.events_total,
        "complete": receipt.complete,
        "covered": dict(receipt.covered),
        "samples": [asdict(sample) for sample in snapshot.progress.samples],
        "failures": [asdict(failure) for failure in receipt.failures],
    }


def load(path: str | PathLike[str]) -> Saved:
    """Read what `Run.save` wrote. Raises DatasetError if the file is missing, damaged, or not ours."""
    if not Path(path).is_file():
        msg = f"there is no file {path}"
        raise DatasetError(msg)
    try:
        with h5py.File(path, "r") as file:
            if "mpidist_format" not in file.attrs:
                msg = f"{path} was not written by run.save()"
                raise DatasetError(msg)
            if file.attrs["mpidist_format"] > FORMAT:
                msg = f"{path} was written by a newer mpidist. Hint: pip install --upgrade mpidist"
                raise DatasetError(msg)
            card = json.loads(file["run_card"].asstr()[()])
            values = {_decoded(name): _read(group) for name, group in file["results"].items()}
    except DatasetError:
        raise
    except Exception as error:  # damaged bytes make h5py, json and awkward raise anything
        msg = f"cannot read {path}: {error}"
        raise DatasetError(msg) from error
    return Saved(Results(values), card)


def _write(parent: h5py.Group, name: str, value: object) -> bool:
    """Write one value as a group; False, and no group, if this kind cannot be written without pickling."""
    group = parent.create_group(_encoded(name), track_order=True)
    try:
        group.attrs["kind"] = _fill(group, value)
    except TypeError:
        del parent[_encoded(name)]
        return False
    return True


def _fill(group: h5py.Group, value: object) -> str:
    """Write a value into a group and say which kind it is; TypeError for a value that cannot be written."""
    if isinstance(value, hist.Hist):
        uhi.io.hdf5.write(group.create_group("histogram"), value)
        if (spread := _spread(value)) is not None:
            view: Any = value.view(flow=True)
            group["spread"] = view[spread]
        return "histogram"
    if isinstance(value, ak.Array):
        form, length, buffers = ak.to_buffers(ak.to_packed(value))
        group["form"], group["length"] = form.to_json(), length
        for key, buffer in buffers.items():
            group.create_dataset(f"buffers/{key}", data=np.asarray(buffer))
        return "array"
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        group["values"] = value
        return "numpy"
    if isinstance(value, Mapping) and any(
        isinstance(each, hist.Hist | ak.Array | np.ndarray) for each in value.values()
    ):
        if not all([_write(group, str(key), each) for key, each in value.items()]):  # noqa: C419 (no short cut)
            raise TypeError
        return "mapping"
    group["json"] = json.dumps(_plain(value))
    return "json"


def _read(group: h5py.Group) -> object:
    kind = group.attrs["kind"]
    if kind == "histogram":
        histogram: hist.Hist[Any] = hist.Hist(uhi.io.hdf5.read(group["histogram"]))  # type: ignore[call-overload]  # takes the UHI form too
        if "spread" in group:
            view: Any = histogram.view(flow=True)
            view[_spread(histogram)] = group["spread"][()]
        return histogram
    if kind == "array":
        buffers = {name: dataset[()] for name, dataset in group.get("buffers", {}).items()}
        form = ak.forms.from_json(group["form"].asstr()[()])
        return ak.from_buffers(form, int(group["length"][()]), buffers)
    if kind == "numpy":
        return group["values"][()]
    if kind == "mapping":
        return {_decoded(name): _read(inner) for name, inner in group.items()}
    if kind == "json":
        return json.loads(group["json"].asstr()[()], parse_constant=float)
    msg = f"result {group.name} is of unknown kind {kind!r}"
    raise ResultError(msg)


def _spread(histogram: hist.Hist[Any]) -> str | None:
    """The field that UHI has as a variance only, which would be rounded on the way."""
    fields = histogram.view(flow=True).dtype.names or ()
    return next((name for name in fields if name.startswith("_sum_of")), None)


def _encoded(name: str) -> str:
    """A name as HDF5 can have it."""
    quoted = name.replace("%", "%25").replace("/", "%2F")
    return quoted.replace(".", "%2E") if quoted.strip(".") == "" else quoted


def _decoded(name: str) -> str:
    return unquote(name)


def _plain(value: Any) -> Any:
    """A value as JSON has it: numpy numbers as Python's; raises TypeError for other objects."""
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    msg = f"{type(value).__name__} is no JSON value"
    raise TypeError(msg)


def _finite(value: Any) -> Any:
    """A parameter as every JSON reader takes it: nan and infinities as text."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else _plain(value)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
