"""`Parameters`: a control for each `md.param` of a run. Moving one computes the run anew with the new value.

While a slider moves, only the newest values are given to `run.set`; what came in between is never computed. Until the first
snapshot with the values that were asked for, "computing ..." is shown; a value that is refused stays in its control with the
reason below it.
"""

from __future__ import annotations

import threading
import time
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets

from .bundle import HTML
from .live import Part, put
from .pacer import live_while_blocked
from .style import FAINT, FONT, message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mpidist.lazy import Param
    from mpidist.run import Run
    from mpidist.snapshot import Snapshot

__all__ = ["Parameters", "control_for"]

WIDE = {"description_width": "150px"}
STEPS = 200
"""Steps of a slider for which none was given."""


class Parameters(Part):
    """Sliders, menus, boxes and fields for the parameters of a run; not there if it has none."""

    pause = 0.05
    """Seconds between two calls of `run.set` at least."""

    def __init__(self) -> None:
        super().__init__(width="100%", overflow="visible", display="none")
        self.add_class("mpidist-parameters")
        self.controls: dict[str, Any] = {}
        self._errors: dict[str, Any] = {}
        self._status = HTML(layout=ipywidgets.Layout(height="18px", margin="0 0 0 4px"))
        self._status.add_class("mpidist-computing")
        self._asked: dict[str, object] = {}
        self._awaited: dict[str, object] = {}
        self._sending = False
        self._quiet = False

    def attach(self, run: Run) -> None:
        """Make the controls for the parameters of `run`, with its present values."""
        self._run = run
        self.controls, self._errors = {}, {}
        self._add_controls(run)

    def _add_controls(self, run: Run) -> None:
        """Controls for the parameters that have none yet, and none for those that are no more."""
        params = run.plan.params
        for name in self.controls.keys() - params.keys():
            del self.controls[name], self._errors[name]
            self._asked.pop(name, None)
            self._awaited.pop(name, None)
        for name, param in params.items():
            if name not in self.controls:
                control = control_for(param, run.parameters.get(name, param.value))
                control.add_class(f"mpidist-parameter-{name}")
                control.observe(lambda change, name=name: self._on_change(name, change["new"]), "value")
                live_while_blocked(control)
                self.controls[name] = control
                self._errors[name] = HTML(layout=ipywidgets.Layout(display="none", margin="0"))
        rows = [widget for name in self.controls for widget in (self.controls[name], self._errors[name])]
        self.children = (*rows, self._status)
        self.layout.display = "" if rows else "none"

    def show(self, snapshot: Snapshot) -> None:
        """Take "computing ..." away if `snapshot` has the values asked for; follow values that code has set."""
        values = snapshot.parameters
        if self._run is not None and values.keys() != self.controls.keys():  # a result was added or removed
            self._add_controls(self._run)
        if all(values.get(name) == value for name, value in self._awaited.items()) and not self._asked:
            self._awaited = {}
            self._status.value = ""
            self._follow_code(values)

    def _follow_code(self, values: Mapping[str, Any]) -> None:
        """Show the values that somebody else has set; one that was refused stays, to be corrected."""
        self._quiet = True
        try:
            for name, control in self.controls.items():
                if name in values and control.value != values[name] and not self._errors[name].value:
                    control.value = values[name]
        finally:
            self._quiet = False

    def _on_change(self, name: str, value: object) -> None:
        with self._lock:
            if self._quiet or self._run is None:
                return
            self._asked[name] = value
            self._awaited[name] = value
            self._complain(name, "")
            self._status.value = f'<span role="status" style="{FONT};color:{FAINT}">computing ...</span>'
            if self._sending:
                return
            self._sending = True
        threading.Thread(target=self._give, args=(self._run,), name="mpidist-parameters", daemon=True).start()

    def _give(self, run: Run) -> None:
        """Give the newest values to the run, as long as there are new ones."""
        while True:
            with self._lock:
                values, self._asked = self._asked, {}
                if not values:
                    self._sending = False
                    return
            try:
                run.set(**values)
            except Exception as error:  # noqa: BLE001  # nobody sees what this thread raises, so show it
                self._refused(values, error)
            time.sleep(self.pause)

    def _refused(self, values: Mapping[str, object], error: Exception) -> None:
        with self._lock:
            for name in values:
                if name not in self._asked:  # there is a newer value
                    self._awaited.pop(name, None)
                    self._complain(name, str(error))
            if not self._awaited:
                self._status.value = ""

    def _complain(self, name: str, words: str) -> None:
        field = self._errors[name]
        field.value = message(words) if words else ""
        put(field.layout, display="" if words else "none")


def control_for(param: Param, value: object) -> Any:
    """The control for a parameter, by its kind and limits, at `value`."""
    more: dict[str, Any] = {
        "description": f"{param.name} [{param.unit}]" if param.unit else param.name,
        "tooltip": f"parameter {param.name}",
        "style": WIDE,
        "layout": ipywidgets.Layout(width="520px", max_width="100%"),
    }
    if param.options is not None:
        options = [(escape(str(option)), option) for option in param.options]
        return ipywidgets.Dropdown(options=options, value=value, **more)
    if isinstance(value, bool):
        return ipywidgets.Checkbox(value=value, indent=True, **more)
    if isinstance(value, str):
        return ipywidgets.Text(value=value, continuous_update=False, **more)
    low, high, step = param.min, param.max, param.step
    whole = all(isinstance(one, int) for one in (param.value, value, low, high, step or 1) if one is not None)
    if low is None or high is None:
        field = ipywidgets.IntText if whole else ipywidgets.FloatText
        return field(value=value, continuous_update=False, **({"step": step} if step else {}), **more)
    if whole:
        return ipywidgets.IntSlider(value=value, min=low, max=high, step=step or 1, **more)
    step = step or (high - low) / STEPS
    return ipywidgets.FloatSlider(
        value=value, min=low, max=high, step=step, readout_format=_readout(step), **more
    )


def _readout(step: float) -> str:
    """The format of a number that moves by `step`: as many digits as that has, up to six."""
    digits = f"{step:.6f}".rstrip("0").partition(".")[2]
    return f".{len(digits)}f" if step >= 1e-6 else ".3e"
