"""The inputs of the form: each with a label, and what is wrong with it beside it; together they are a `Slurm`."""

from __future__ import annotations

import dataclasses
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets

from mpidist_slurm.checks import beyond, minutes, number, problem
from mpidist_slurm.description import Slurm
from mpidist_widgets.pacer import live_while_blocked
from mpidist_widgets.style import ALARM, FONT, muted

from .variables import name_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mpidist_slurm.offers import Partition, Partitions

__all__ = ["Field", "Fields"]

LAUNCHERS = ("auto", "mpiexec", "pmi2", "pmix", "cray_shasta")
FIRST_RANKS = 16
"""The most ranks a node that the form proposes by itself: each takes some hundred MB."""
DEFAULTS: Mapping[str, Any] = {field.name: field.default for field in dataclasses.fields(Slurm)}


class Field(ipywidgets.HBox):  # type: ignore[misc]  # no type information
    """An input with its label; `complain` says what is wrong with it."""

    def __init__(self, label: str, entry: Any, hint: str = "") -> None:
        super().__init__(layout=ipywidgets.Layout(align_items="center", overflow="hidden"))
        self.entry = entry
        entry.description = label
        entry.style.description_width = "116px"
        entry.layout.width = "330px"
        if entry.has_trait("continuous_update"):
            entry.continuous_update = True  # numbers would wait until the field is left
        if hint:
            entry.placeholder = hint
        live_while_blocked(entry)
        self.problem = ""
        self._words = ipywidgets.HTML(layout=ipywidgets.Layout(margin="0 0 0 8px", max_width="250px"))
        self._words.add_class("mpidist-field-problem")
        self.children = (entry, self._words)

    @property
    def value(self) -> Any:
        """What was chosen; None for an empty text."""
        value = self.entry.value
        return (value.strip() or None) if isinstance(value, str) else value

    def complain(self, problem: str) -> None:
        """Show what is wrong; "" for nothing."""
        if problem == self.problem:
            return
        self.problem = problem
        self._words.value = problem and (
            f'<div role="alert" style="{FONT};color:{ALARM};white-space:normal">{escape(problem)}</div>'
        )


class Fields(ipywidgets.VBox):  # type: ignore[misc]  # no type information
    """What is asked for. `changed` is called after each change; `slurm` is None while something is wrong."""

    def __init__(self, namespace: Mapping[str, Any], name: str, changed: Callable[[], None]) -> None:
        # A width of its own, so that nothing moves when words appear beside a field.
        super().__init__(layout=ipywidgets.Layout(flex="0 0 auto", width="600px", max_width="100%"))
        self._namespace = namespace
        self._known: dict[str, Partition] = {}
        self.partition = Field("partition", ipywidgets.Dropdown(options=[("...", None)], disabled=True))
        self.partition.entry.layout.width = "440px"
        self._limits = ipywidgets.HTML(layout=ipywidgets.Layout(margin="0 0 4px 122px"))
        number = ipywidgets.IntText
        text = ipywidgets.Text
        self.by_name: dict[str, Field] = {
            "partition": self.partition,
            "nodes": Field("nodes", number(1)),
            "ranks_per_node": Field("ranks a node", number(1)),
            "cpus_per_rank": Field("CPUs a rank", number(1)),
            "time": Field("time", text(), "such as 30 or 2:00:00"),
            "mem_per_rank": Field("memory a rank", text(), "such as 2G"),
            "account": Field("account", text()),
            "qos": Field("qos", text()),
            "constraint": Field("constraint", text(), "such as haswell"),
            "reservation": Field("reservation", text()),
            "cache": Field("memory kept", text(), "of each node, such as 4 GB; 0 for none"),
            "spill": Field("disk for the rest", text(), "a folder on each node, such as $TMPDIR"),
            "launcher": Field("launcher", ipywidgets.Dropdown(options=LAUNCHERS)),
        }
        self.variable = Field("variable", text(name))
        for name_of, field in {**self.by_name, "variable": self.variable}.items():
            field.add_class(f"mpidist-field-{name_of.replace('_', '-')}")
            field.entry.observe(lambda _: changed(), "value")
        first, *others = self.by_name.values()
        self.children = (first, self._limits, *others, self.variable)

    # ------------------------------------------------------------------ what there is

    def offer(self, partitions: Partitions) -> None:
        """Let the user choose between `partitions`; keeps a choice that is still there."""
        known = {each.name: each for each in partitions}
        entry = self.partition.entry
        before = entry.value
        default = next((each.name for each in partitions if each.default), next(iter(known), None))
        first, self._known = not self._known, known  # before the choice: its observers look there
        entry.options = [(_label(each), each.name) for each in partitions] or [("...", None)]
        entry.value = before if before in known else default
        entry.disabled = not known
        ranks = self.by_name["ranks_per_node"]
        if first and default is not None and ranks.value == 1:
            ranks.entry.value = min(number(known[default].processors), FIRST_RANKS)

    @property
    def chosen(self) -> Partition | None:
        """The partition that is chosen; None before there is any."""
        return self._known.get(self.partition.value)

    # ------------------------------------------------------------------ what is asked for

    def slurm(self) -> Slurm | None:
        """What is asked for, with its problems shown beside the fields; None if there are any."""
        values = {name: field.value for name, field in self.by_name.items()}
        for name, field in self.by_name.items():
            field.complain(problem(name, values[name]))
            if field.problem:
                values[name] = DEFAULTS[name]
        self.variable.complain(name_problem(self._namespace, self.variable.value or ""))
        chosen = self.chosen
        if chosen is None:
            return None
        self._show_limits(chosen)
        for name, words in beyond(values, chosen).items():
            if not self.by_name[name].problem:
                self.by_name[name].complain(words)
        if any(field.problem for field in (*self.by_name.values(), self.variable)):
            return None
        return Slurm(**values)

    def _show_limits(self, chosen: Partition) -> None:
        plus = " or more" if chosen.processors.endswith("+") else ""
        words = f"{chosen.processors.rstrip('+')}{plus} processors and {number(chosen.megabytes) / 1000:.3g} GB a node"
        if minutes(chosen.default_time) is not None:
            words += f"; time, if none is given: {chosen.default_time}"
        self._limits.value = f'<div style="{FONT}">{muted(words)}</div>'

    def enable(self, enabled: bool) -> None:  # noqa: FBT001 (as the widgets' own trait)
        """Let the user change things, or not."""
        for field in (*self.by_name.values(), self.variable):
            field.entry.disabled = not enabled or (field is self.partition and not self._known)


def _label(partition: Partition) -> str:
    words = (
        f"{partition.name}: {partition.idle} of {partition.nodes} nodes idle, up to {partition.longest_time}"
    )
    return words if partition.up else f"{words} (closed)"
