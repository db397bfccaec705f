"""Runs of a kernel, told and steered through the server."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import mpidist as md
from mpidist.desk import Desk
from mpidist.desk.past import remember
from mpidist.desk.record import record_of
from mpidist.plan import make_plan
from mpidist.run import Run
from mpidist.threadworld import ThreadWorld
from mpidist.world.processes import ProcessId
from mpidist_labext.root import below, set_root

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    Ask = Callable[..., Awaitable[Any]]

DIMUON = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, jp_root_dir: Path) -> Iterator[Desk]:
    """The desk of a notebook's kernel in the server's folder."""
    monkeypatch.setenv("MPIDIST_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("JPY_SESSION_NAME", str(jp_root_dir / "work" / "higgs.ipynb"))
    made = Desk()
    yield made
    made.close()


async def test_runs_of_all_kernels(ask: Ask, desk: Desk) -> None:
    assert json.loads((await ask("runs")).body) == {"kernels": []}
    run = Run(make_plan({"n": md.count(md.open(f"{DIMUON}:Events").nMuon)}), ThreadWorld(1))
    desk.put(run, "abc")
    run.wait(60)
    (kernel,) = json.loads((await ask("runs")).body)["kernels"]
    assert (kernel["notebook"], kernel["problem"]) == ("work/higgs.ipynb", "")
    (told,) = kernel["runs"]
    assert (told["id"], told["state"], told["done"]) == (run.id, "done", 100_000)
    body = {"pid": kernel["pid"], "run": run.id, "act": "stop"}
    response = await ask("runs", "act", method="POST", body=json.dumps(body))
    assert response.code == 409
    assert "has ended" in json.loads(response.body)["message"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"pid": 1, "run": "x", "act": "stop"}, 404),
        ({"pid": 1, "run": "../x", "act": "stop"}, 400),
        ({"pid": 1, "run": "x", "act": "exec"}, 400),
        ({"pid": "1", "run": "x", "act": "stop"}, 400),
    ],
)
async def test_what_cannot_be_done(ask: Ask, desk: Desk, body: Any, code: int) -> None:
    assert (await ask("runs", "act", method="POST", body=json.dumps(body))).code == code


async def test_a_kernel_that_does_not_answer_hides_no_other(ask: Ask, desk: Desk) -> None:
    run = Run(make_plan({"n": md.count(md.open(f"{DIMUON}:Events").nMuon)}), ThreadWorld(1))
    desk.put(run, "abc")
    assert desk._server is not None
    desk._server.shutdown()
    desk._server.server_close()
    (kernel,) = json.loads((await ask("runs")).body)["kernels"]
    assert "higgs.ipynb does not answer" in kernel["problem"]
    assert kernel["runs"] == []


def test_a_notebook_elsewhere_has_its_name(tmp_path: Path) -> None:
    set_root(tmp_path)
    assert below("/somewhere/else.ipynb") == "else.ipynb"
    assert below("") == ""


async def test_runs_of_kernels_that_have_ended_are_told_until_they_are_forgotten(
    ask: Ask, desk: Desk, jp_root_dir: Path
) -> None:
    (jp_root_dir / "out.h5").touch()
    record = {
        **record_of(
            run := Run(make_plan({"n": md.count(md.open(f"{DIMUON}:Events").nMuon)}), ThreadWorld(1)), "abc"
        ),
        "files": [str(jp_root_dir / "out.h5"), str(jp_root_dir / "gone.h5"), "/etc/passwd"],
    }
    run.wait()
    notebook = str(jp_root_dir / "work" / "higgs.ipynb")
    remember({**record, "state": "running"}, ProcessId(os.getpid(), 1.0), notebook)
    remember({"id": "other", "started": 1.0}, ProcessId(os.getpid(), 1.0), notebook)  # of another version
    (kernel,) = json.loads((await ask("runs")).body)["kernels"]
    assert (kernel["notebook"], kernel["ended"]) == ("work/higgs.ipynb", True)
    (told,) = kernel["runs"]
    assert (told["id"], told["state"], told["files"]) == (run.id, "lost", ["out.h5"])
    assert (await ask("runs", "past", run.id, method="DELETE")).code == 200
    assert (await ask("runs", "past", run.id, method="DELETE")).code == 404
    assert (await ask("runs", "past", "..%2Fx", method="DELETE")).code == 400
    assert (jp_root_dir / "out.h5").exists()
