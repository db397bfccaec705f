"""The menu of a card: what it sends to the browser, puts into the notebook, and writes to disk."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import hist
import IPython
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import uproot

import mpidist as md
import mpidist_widgets.export
from mpidist.plan import make_plan
from mpidist.run import Run
from mpidist.threadworld import ThreadWorld
from mpidist_widgets import RunView
from mpidist_widgets.card import PlotCard

if TYPE_CHECKING:
    from mpidist_widgets.export import Export

mpl.use("agg")
DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"


def run_of(events: Any) -> Run:
    muons = events.Muon
    transform = hist.axis.transform.log
    results = {
        "pt": md.hist(muons.pt, md.axis.Regular(20, 0, 100, label="$p_T$ [GeV]")),
        "mu/pt log": md.hist(muons.pt, md.axis.Regular(10, 1, 100, transform=transform)),
        "map": md.hist(muons.eta, muons.pt, md.axis.Regular(8, -2.4, 2.4), md.axis.Regular(5, 0, 50)),
        "cube": md.hist(muons.eta, muons.phi, muons.pt, *[md.axis.Regular(4, -3, 3)] * 3),
        "mean": md.profile(muons.eta, muons.pt, md.axis.Regular(5, -3, 3)),
        "flow": md.cutflow({"two": ak.num(muons) == 2, "hard": ak.any(muons.pt > 20, axis=1)}),
        "first": md.take(muons.pt, 3),
    }
    return Run(make_plan(results), ThreadWorld(2)).wait()


@pytest.fixture(scope="module")
def run() -> Run:
    return run_of(md.open(f"{DIMUON}:Events"))


@pytest.fixture(scope="module")
def samples() -> Run:
    return run_of(md.open({"data": f"{DIMUON}:Events", "t t": md.open(f"{DIMUON}:Events", weight=0.5)}))


class Shell:
    """A notebook's kernel as far as the menu knows it."""

    def __init__(self, **names: object) -> None:
        self.user_ns: dict[str, object] = dict(names)


@pytest.fixture
def shell(run: Run, monkeypatch: pytest.MonkeyPatch) -> Shell:
    found = Shell(_=run, mine=run, pt_hist="precious")
    monkeypatch.setattr(mpidist_widgets.export, "get_ipython", lambda: found)
    return found


def menu_of(run: Run, name: str) -> Export:
    return RunView(run).menus[name]


def ask(menu: Export, key: str) -> list[dict[str, Any]]:
    """Choose an item as a browser does; gives the messages to it."""
    sent: list[dict[str, Any]] = []
    menu.send = sent.append
    menu._on_message(None, {"ask": key, "by": "me"}, [])
    return sent


@pytest.mark.parametrize(("key", "file"), [("png", "mu_pt_log.png"), ("svg", "mu_pt_log.svg")])
def test_pictures_go_to_the_browser_that_asked(run: Run, key: str, file: str) -> None:
    (answer,) = ask(menu_of(run, "mu/pt log"), key)
    assert answer["by"] == "me"
    assert answer["file"] == file
    ET.fromstring(answer["svg"])
    assert "prefers-color-scheme" not in answer["svg"]


def test_the_picture_has_the_scale_of_the_card(run: Run) -> None:
    view = RunView(run)
    linear = ask(view.menus["pt"], "svg")[0]["svg"]
    card = view.cards["pt"]
    assert isinstance(card, PlotCard)
    card.set(log=True)
    assert ask(view.menus["pt"], "svg")[0]["svg"] != linear


def test_a_value_goes_into_the_namespace_and_overwrites_nothing_of_the_user(run: Run, shell: Shell) -> None:
    menu = menu_of(run, "pt")
    ask(menu, "variable")
    assert shell.user_ns["pt_hist"] == "precious"
    assert shell.user_ns["pt_hist_2"] == run.result().pt
    assert menu.said.startswith("pt_hist_2 is now a hist.Hist with all 100")
    ask(menu, "variable")
    assert "pt_hist_3" not in shell.user_ns
    ask(menu_of(run, "first"), "variable")
    assert ak.array_equal(shell.user_ns["first_value"], run.result().first)


def test_files_are_written_beside_the_notebook_and_never_over_others(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    menu = menu_of(run, "pt")
    for _ in range(2):
        ask(menu, "root")
        ask(menu, "hdf5")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["pt.root", "pt-2.root", f"run-{run.id}.h5", f"run-{run.id}-2.h5"]
    )
    with uproot.open(tmp_path / "pt-2.root") as file:
        assert np.array_equal(file["pt"].values(), run.result().pt.values())
    assert md.load(tmp_path / f"run-{run.id}.h5").results.pt == run.result().pt
    assert f"run-{run.id}-2.h5" in menu.said


def drawn_by_code(run: Run, name: str, **options: object) -> Any:
    """The axes that the code of a card draws."""
    view = RunView(run)
    card = view.cards[name]
    if options:
        assert isinstance(card, PlotCard)
        card.set(**options)
    menu = view.menus[name]
    ask(menu, "code")
    assert menu.said == ""
    names: dict[str, Any] = {"run": run}
    exec(menu.code, names)
    plt.close("all")
    assert names["ax"].has_data()
    assert names["ax"].get_title() == name
    return names


@pytest.mark.parametrize("name", ["pt", "mu/pt log", "map", "cube", "mean", "flow"])
@pytest.mark.parametrize("several", [False, True])
def test_the_code_runs_and_draws(run: Run, samples: Run, name: str, several: bool) -> None:
    axes = drawn_by_code(samples if several else run, name)["ax"]
    assert (axes.get_xscale() == "log") == (name == "mu/pt log")
    assert axes.get_yscale() == "linear"
    if several and name in {"pt", "flow"}:
        assert [text.get_text() for text in axes.get_legend().get_texts()] == ["data", "t t"]


@pytest.mark.parametrize("name", ["pt", "map"])
def test_the_code_has_the_scale_of_the_card(run: Run, name: str) -> None:
    found = drawn_by_code(run, name, log=True)
    if name == "map":
        assert isinstance(found["mesh"].norm, mpl.colors.LogNorm)
    else:
        assert found["ax"].get_yscale() == "log"
        assert drawn_by_code(run, name, normalise=True)["values"].sum() == pytest.approx(1.0)
        assert drawn_by_code(run, name, stack=True, normalise=True)["values"][""].sum() == pytest.approx(1.0)


@pytest.mark.parametrize("stack", [False, True])
@pytest.mark.parametrize("normalise", [False, True])
def test_the_code_stacks_divides_joins_and_normalises(samples: Run, stack: bool, normalise: bool) -> None:
    found = drawn_by_code(samples, "pt", stack=stack, normalise=normalise, ratio=True, rebin=2)
    assert len(found["x"]) == 10
    data = found["values"]["data"]
    assert data.sum() == pytest.approx(1.0 if normalise else samples.result().pt[0, :].values().sum())
    assert found["below"].has_data()
    assert found["below"].get_ylabel()
    (hidden,) = drawn_by_code(samples, "pt", hidden=frozenset({"t t"}))["places"]
    assert hidden == "data"


def test_the_code_names_the_users_variable(run: Run, shell: Shell) -> None:
    menu = menu_of(run, "pt")
    ask(menu, "code")
    assert "h = mine.snapshot.results['pt']" in menu.code
    ask(menu, "")
    assert menu.code == ""


def test_what_does_not_work_is_said(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    menu = menu_of(run, "pt")
    ask(menu, "variable")
    assert menu.said == "This did not work: ValueError: there is no notebook to put it into"
    assert IPython.get_ipython() is None
    ask(menu, "nonsense")
    assert menu.said == ""


def test_what_is_text_has_no_picture(run: Run) -> None:
    assert [key for key, _ in menu_of(run, "first").items] == ["variable", "hdf5"]
