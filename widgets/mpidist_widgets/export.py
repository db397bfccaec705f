"""`Export`: a card's menu. Pictures go to the browser as downloads, values into the notebook's namespace, files beside it.

Pictures are drawn anew by `svg` from the newest snapshot. Nothing that exists is overwritten: neither a file nor a variable that
this menu has not made itself.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hist
import ipywidgets
import traitlets
from IPython import get_ipython

import mpidist
from mpidist.checkpoint import save

from .card import PlotCard
from .code import plot_code
from .look import Look
from .pacer import live_while_blocked
from .scripted import Scripted, script
from .svg import svg
from .wording import coverage_text

if TYPE_CHECKING:
    from mpidist.run import Run
    from mpidist.snapshot import Snapshot

    from .live import Part

__all__ = ["Export"]

_HERE = Path(__file__).parent
PICTURES = (("png", "PNG picture"), ("svg", "SVG picture"), ("code", "matplotlib code"))
HISTOGRAM = (("variable", "as a variable"), ("root", "ROOT file"), ("hdf5", "HDF5 file of the whole run"))
VALUE = (HISTOGRAM[0], HISTOGRAM[2])
SCALE = 3
"""Pixels of a PNG for one of the picture's."""


class Export(Scripted):
    """The menu of one result, shown by `part`. The browser sends {"ask": key, "by": view}; an empty key closes the menu.

    Answers are texts (`said`, `code`) or, for pictures, a message {"by", "file", "svg", "scale"}.
    """

    _esm = script("export.js")
    _css = (_HERE / "export.css").read_text()
    subject = traitlets.Unicode("").tag(sync=True)
    items: Any = traitlets.List().tag(sync=True)
    said = traitlets.Unicode("").tag(sync=True)
    code = traitlets.Unicode("").tag(sync=True)

    def __init__(self, name: str, value: object, part: Part, run: Run) -> None:
        drawn = isinstance(value, hist.BaseHist)
        items: tuple[tuple[str, str], ...] = (*PICTURES, *HISTOGRAM) if drawn else VALUE
        super().__init__(
            subject=name,
            items=[list(item) for item in items],
            layout=ipywidgets.Layout(width="100%", height="18px", overflow="visible"),
        )
        self._part, self._run = part, run
        self._variable = ""
        self._answers = {
            "png": self._png,
            "svg": self._svg,
            "code": self._code,
            "variable": self._insert,
            "root": self._root,
            "hdf5": self._hdf5,
        }
        self.on_msg(self._on_message)
        live_while_blocked(self)

    def _on_message(self, _: object, content: dict[str, Any], __: object) -> None:
        self.said, self.code = "", ""
        answer = self._answers.get(str(content.get("ask")))
        if answer is None:
            return
        try:
            answer(self._snapshot(), str(content.get("by")))
        except Exception as error:  # noqa: BLE001  # nobody sees what a handler raises, so show it
            self.said = f"This did not work: {type(error).__name__}: {error}"

    def _snapshot(self) -> Snapshot:
        snapshot = self._run.snapshot
        if snapshot is None or self.subject not in snapshot.results:
            msg = "the run has no such result yet"
            raise ValueError(msg)
        return snapshot

    @property
    def _look(self) -> Look:
        return self._part.look if isinstance(self._part, PlotCard) else Look()

    @property
    def _stem(self) -> str:
        return re.sub(r"\W+", "_", self.subject).strip("_") or "result"

    def _picture(self, snapshot: Snapshot) -> str:
        name, look = self.subject, self._look
        drawing = look.drawing(snapshot.results[name], snapshot.estimate(name))
        return svg(
            name,
            drawing,
            coverage_text(snapshot, name),
            options=look.options,
            sample=look.sample,
            fixed=True,
            ghost=look.ghost(name, drawing, snapshot),
        )

    def _png(self, snapshot: Snapshot, by: str) -> None:
        self.send({"by": by, "file": f"{self._stem}.png", "svg": self._picture(snapshot), "scale": SCALE})

    def _svg(self, snapshot: Snapshot, by: str) -> None:
        self.send({"by": by, "file": f"{self._stem}.svg", "svg": self._picture(snapshot)})

    def _code(self, snapshot: Snapshot, _: str) -> None:
        name, look = self.subject, self._look
        value = snapshot.results[name]
        drawing = look.drawing(value, snapshot.estimate(name))
        self.code = plot_code(
            name,
            value,
            drawing,
            run=self._run_name(),
            options=look.options,
            sample=look.sample,
            ghost=look.ghost(name, drawing, snapshot),
        )

    def _insert(self, snapshot: Snapshot, _: str) -> None:
        shell = get_ipython()
        if shell is None:
            msg = "there is no notebook to put it into"
            raise ValueError(msg)
        value = snapshot.evaluate()[self.subject]
        if not self._variable:
            stem = self._stem if not self._stem[0].isdigit() else f"result_{self._stem}"
            stem += "_hist" if isinstance(value, hist.BaseHist) else "_value"
            self._variable = _free(stem, shell.user_ns)
        shell.user_ns[self._variable] = value
        words = coverage_text(snapshot, self.subject)
        self.said = f"{self._variable} is now a {_kind(value)} with {words}"

    def _root(self, snapshot: Snapshot, _: str) -> None:
        path = _free_path(f"{self._stem}.root")
        names = mpidist.to_root({self.subject: snapshot.results[self.subject]}, path)
        self.said = f"{', '.join(names)} written to {path.resolve()}"

    def _hdf5(self, snapshot: Snapshot, _: str) -> None:
        path = _free_path(f"run-{self._run.id}.h5")
        save(snapshot, path, started=self._run.started)
        self.said = f"written to {path.resolve()}; mpidist.load reads it"

    def _run_name(self) -> str:
        """The variable that holds the run."""
        shell = get_ipython()
        names = {} if shell is None else shell.user_ns
        own = (name for name, value in list(names.items()) if value is self._run and not name.startswith("_"))
        return next(own, "run")


def _kind(value: object) -> str:
    return "hist.Hist" if isinstance(value, hist.BaseHist) else type(value).__name__


def _free(stem: str, taken: dict[str, object]) -> str:
    number = 1
    name = stem
    while name in taken:
        number += 1
        name = f"{stem}_{number}"
    return name


def _free_path(name: str) -> Path:
    """A file of this name in the kernel's folder, numbered if there is one already."""
    path = first = Path(name)
    number = 1
    while path.exists():
        number += 1
        path = first.with_stem(f"{first.stem}-{number}")
    return path
