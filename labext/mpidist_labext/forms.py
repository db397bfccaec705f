"""The form for more ranks: what it may offer, what is wrong with it, its script, and when it could be had."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import mpidist_slurm
from mpidist.errors import WorldError
from mpidist_slurm import Slurm
from mpidist_slurm.checks import beyond, problem

from .presets import presets
from .routes import Route
from .schema.common import Nothing
from .schema.resources import Choices, Estimate, EstimateRequest, Offer, Partition, Script, SlurmForm

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ROUTES", "script", "slurm_is_here", "values_of"]

FIELDS = (
    "partition",
    "nodes",
    "ranks_per_node",
    "cpus_per_rank",
    "time",
    "mem_per_rank",
    "account",
    "qos",
    "cache",
    "spill",
    "constraint",
    "reservation",
    "modules",
    "prologue",
)


def choices(_: Nothing) -> Choices:
    """Partitions and accounts for a form."""
    offered, wrong = presets()
    try:
        found = mpidist_slurm.partitions()
    except WorldError as error:
        return Choices(slurm_is_here(), str(error), (), (), (), offered, wrong)
    try:
        accounts = tuple(mpidist_slurm.accounts())
    except WorldError:  # a form without proposals is a form
        accounts = ()
    qos = dict.fromkeys(name for each in accounts for name in each.qos)
    partitions = tuple(
        Partition(
            each.name, each.up, each.default, each.longest_time, each.default_time, each.idle, each.allocated, each.nodes,
            each.processors, each.megabytes,
        )
        for each in found
    )  # fmt: skip
    names = tuple(dict.fromkeys(each.account for each in accounts))
    return Choices(
        present=True,
        problem="",
        partitions=partitions,
        accounts=names,
        qos=tuple(qos),
        presets=offered,
        wrong=wrong,
    )


def script(form: SlurmForm) -> Script:
    """The batch script of a form, or what is wrong with it and in which field."""
    values = values_of(form)
    for name, value in values.items():
        if words := problem(name, value):
            return Script(field=name, problem=words)
    chosen = [
        each
        for each in mpidist_slurm.partitions()
        if each.name == form.partition or (not form.partition and each.default)
    ]
    for name, words in (
        beyond({"time": None, **_sizes(form), **values}, chosen[0]) if chosen else {}
    ).items():
        return Script(field=name, problem=words)
    if form.partition and not chosen:
        return Script(field="partition", problem=f"Slurm has no partition {form.partition!r} here")
    return Script(script=str(Slurm(**values)), code=_code(values))


def values_of(form: SlurmForm) -> dict[str, Any]:
    """What is given, as `Slurm` takes it."""
    given = {name: getattr(form, name) for name in FIELDS}
    given["modules"] = tuple(form.modules.split()) or ""
    return {name: value for name, value in given.items() if value not in ("", 1)}


def _sizes(form: SlurmForm) -> dict[str, int]:
    return {name: getattr(form, name) for name in ("nodes", "ranks_per_node", "cpus_per_rank")}


def _code(values: dict[str, Any]) -> str:
    """The Python that asks for the same."""
    given = ", ".join(f"{name}={value!r}" for name, value in values.items())
    return f"import mpidist as md\nfrom mpidist_slurm import Slurm\n\nsession = md.connect(Slurm({given}))\nsession"


def estimate(request: EstimateRequest) -> Estimate:
    """When jobs of some sizes would start; nothing is submitted."""
    slurm = Slurm(**values_of(request.form))
    times: Sequence[Any] = [each or slurm.time for each in request.times]
    if None in times:
        times = [None]
        found = mpidist_slurm.estimate(slurm, nodes=request.nodes)
    else:
        found = mpidist_slurm.estimate(slurm, nodes=request.nodes, time=times)
    return Estimate(
        tuple(
            Offer(each.nodes, str(each.time or ""), each.start.replace("T", " "), each.where, each.refused)
            for each in found
        )
    )


def slurm_is_here() -> bool:
    """Whether its commands are installed."""
    return shutil.which("squeue") is not None


ROUTES = (
    Route("GET", "resources/choices", choices, Nothing, Choices, "partitions and accounts"),
    Route(
        "POST",
        "resources/script",
        script,
        SlurmForm,
        Script,
        "the batch script of a form, or what is wrong with it",
    ),
    Route(
        "POST",
        "resources/estimate",
        estimate,
        EstimateRequest,
        Estimate,
        "when jobs of some sizes would start",
    ),
)
