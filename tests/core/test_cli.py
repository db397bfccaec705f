"""The command line in this process (no MPI), with its words and exit codes; and as a process where that matters."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import pytest

import mpidist as md
from mpidist import cli
from mpidist.threadworld import ThreadWorld

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
EXAMPLES, DATA = ROOT / "examples", ROOT / "tests" / "data"
DIMUON = EXAMPLES / "data" / "dimuon.root"
Called = tuple[int, str, str]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Called]:
    """Call the command; gives exit code, output and errors."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "path", list(sys.path))

    def called(*arguments: object) -> Called:
        with pytest.raises(SystemExit) as ended:
            cli.main([str(each) for each in arguments])
        code = ended.value.code
        captured = capsys.readouterr()
        return 0 if code is None else int(code), captured.out, captured.err

    return called


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], Path]:
    """Write a script that starts with the usual lines; `copies` of the events are read."""

    def written(text: str, data: object = DIMUON, copies: int = 1) -> Path:
        path = tmp_path / "analysis.py"
        if copies > 1:
            data = tmp_path / "copy*.root"
            for number in range(copies):
                (tmp_path / f"copy{number}.root").symlink_to(DIMUON)
        head = f'import awkward as ak\nimport mpidist as md\nevents = md.open("{data}:Events")\n'
        path.write_text(head + text)
        return path

    return written


GOOD = """
pt_cut = md.param("pt_cut", 20.0, min=0, max=100)
side = md.param("side", "both", options=["both", "left"])
muons = events.Muon[events.Muon.pt > pt_cut]
results = {"n": md.count(muons.pt), "pt": md.hist(muons.pt, md.axis.Regular(10, 0, 100, label="p_T [GeV]"))}
"""


def entries(text: str) -> int:
    return int(next(line for line in text.splitlines() if line.startswith("n = ")).removeprefix("n = "))


def test_an_example_runs(call: Callable[..., Called]) -> None:
    code, out, err = call("run", EXAMPLES / "adl" / "q1.py", "--ranks", 0)
    assert (code, err) == (0, "")
    assert "1000 of 1000 events, 0 failed" in out
    assert "MET [GeV]" in out


def test_parameters_are_set(call: Callable[..., Called], script: Callable[..., Path]) -> None:
    path = script(GOOD)
    default = entries(call("run", path, "-n", 0)[1])
    assert entries(call("run", path, "-n", 0, "--set", "pt_cut=50")[1]) < default
    more = entries(call("run", path, "-n", 0, "--set", "pt_cut=0", "--set", 'side="left"')[1])
    assert (
        more == entries(call("run", path, "-n", 0, "--set", "pt_cut=0.0", "--set", "side=left")[1]) > default
    )


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("pt_cat=5", "has no md.param 'pt_cat'. There are pt_cut."),
        ("unrelated=5", "has no md.param 'unrelated'. There are pt_cut, side."),
        ("pt_cut", "--set takes name=value, not 'pt_cut'"),
        ("=5", "--set takes name=value"),
        ("pt cut=5", "--set takes name=value"),
        ("pt_cut=high", "'pt_cut' is a float, not 'high'"),
        ("pt_cut=500", "from 0 to 100"),
        ("side=right", "one of ['both', 'left']"),
    ],
)
def test_settings_that_cannot_be(
    setting: str, message: str, call: Callable[..., Called], script: Callable[..., Path]
) -> None:
    code, out, err = call("run", script(GOOD), "-n", 0, "--set", setting)
    assert code == 2
    assert message in err.replace("\n", " ")
    assert "Traceback" not in err + out


def test_a_script_without_parameters(call: Callable[..., Called], script: Callable[..., Path]) -> None:
    code, _, err = call("run", script("results = {'n': md.count(events.nMuon)}"), "-n", 0, "--set", "x=1")
    assert (code, "It has none." in err) == (2, True)


@pytest.mark.parametrize("text", ["", "results = {}", "results = 5"])
def test_a_script_without_results(
    text: str, call: Callable[..., Called], script: Callable[..., Path]
) -> None:
    code, _, err = call("run", script(text), "-n", 0)
    assert code == 2
    assert "defines no `results`" in err
    assert 'results = {"pt": md.hist(' in err


def test_a_misspelt_column_is_named_with_the_line(
    call: Callable[..., Called], script: Callable[..., Path]
) -> None:
    path = script("\nhard = events.Moun.pt > 5\n")
    code, out, err = call("run", path, "-n", 0)
    assert code == 2
    assert "ColumnNotFound: no column 'Moun'" in err
    assert "'Muon'" in err
    assert f"in {path}, line 5: hard = events.Moun.pt > 5" in err
    assert "Traceback" not in err + out


def test_an_impossible_plan_is_said_in_one_line(
    call: Callable[..., Called], script: Callable[..., Path]
) -> None:
    code, _, err = call("run", script("results = {'x': events.nMuon}"), "-n", 0)
    assert code == 2
    assert err.startswith("ResultError: x= is a lazy array, not a result")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1 / 0", 'analysis.py", line 4, in <module>'),
        ("def (", "SyntaxError"),
        ("import no_such_module", "No module named 'no_such_module'"),
    ],
)
def test_other_errors_of_the_script_show_the_scripts_lines(
    text: str, message: str, call: Callable[..., Called], script: Callable[..., Path]
) -> None:
    code, _, err = call("run", script(text), "-n", 0)
    assert code == 2
    assert message in err
    assert "cli.py" not in err
    assert "runpy" not in err


def test_errors_of_finish_are_the_scripts(call: Callable[..., Called], script: Callable[..., Path]) -> None:
    path = script(GOOD + "def finish(results, folder):\n    return [folder / results.pt_]\n")
    code, out, err = call("run", path, "-n", 0)
    assert code == 2
    assert "100000 of 100000 events" in out
    assert "return [folder / results.pt_]" in err
    assert "did you mean pt" in err
    assert "batch.py" not in err


def test_finish_gets_values_and_folder(
    call: Callable[..., Called], script: Callable[..., Path], tmp_path: Path
) -> None:
    path = script(
        GOOD
        + "def finish(results, folder):\n"
        + "    (folder / 'n.txt').write_text(str(results.n))\n    return [folder / 'n.txt']\n"
    )
    target = tmp_path / "new" / "out.h5"
    code, out, _ = call("run", path, "-n", 0, "--out", target)
    assert code == 0
    assert f"saved {target}" in out
    assert f"saved {target.parent / 'n.txt'}" in out
    assert (target.parent / "n.txt").read_text() == str(entries(out))
    assert md.load(target).results.n == entries(out)


def test_a_corrupt_file_makes_the_run_incomplete(call: Callable[..., Called], tmp_path: Path) -> None:
    good = DIMUON.read_bytes()
    (tmp_path / "a.root").write_bytes(good)
    (tmp_path / "b.root").write_bytes(good[: len(good) // 2])
    path = tmp_path / "analysis.py"
    path.write_text(
        f'import mpidist as md\nevents = md.open("{tmp_path}/*.root:Events")\n'
        'results = {"n": md.count(events.nMuon)}\n'
    )
    code, out, _ = call("run", path, "-n", 0, "--out", tmp_path / "out.h5")
    assert code == 1
    assert (
        "100000 of 100000 events, 1 failed (1 of 2 files could not be used: their events are unknown)" in out
    )
    assert str(tmp_path / "b.root") in out
    assert not md.load(tmp_path / "out.h5").card["receipt"]["complete"]
    code, out, _ = call("run", path, "-n", 0, "--partial")
    assert code == 0
    assert "1 failed" in out


def test_a_function_that_raises_is_shown(call: Callable[..., Called], script: Callable[..., Path]) -> None:
    path = script(
        "def picky(pt):\n"
        "    if ak.backend(pt) == 'cpu' and len(pt):\n"
        "        raise ValueError('my mistake')\n"
        "    return pt\n"
        "results = {'n': md.count(md.apply(picky, events.Muon.pt))}\n"
    )
    code, out, _ = call("run", path, "-n", 0)
    assert code == 1
    assert "0 of 100000 events" in out
    assert "ValueError: my mistake" in out
    assert f'File "{path}", line 6, in picky' in out


def test_a_result_that_cannot_be_added_makes_the_run_incomplete(
    call: Callable[..., Called], script: Callable[..., Path]
) -> None:
    path = script(
        "def late(a, b):\n"
        "    if a and b:\n"
        "        raise OverflowError('cannot add')\n"
        "    return a or b\n"
        "results = {'n': md.count(events.nMuon), 'own': md.reduce(len, events.nMuon, zero=0, add=late)}\n",
        copies=2,
    )
    code, out, _ = call("run", path, "-n", 0)
    assert code == 1
    assert "n = 200000" in out
    assert "own could not be made:" in out
    assert "OverflowError: cannot add" in out


def test_files_that_are_not_there(call: Callable[..., Called], script: Callable[..., Path]) -> None:
    assert call("run", "no_script.py")[0] == 2
    code, _, err = call("run", script("", "/none/*.root"), "-n", 0)
    assert code == 2
    assert err.startswith("DatasetError:")
    assert "line 3: events = md.open(" in err
    assert call("show", "no_file.h5")[0] == 2
    code, _, err = call("show", DIMUON)
    assert code == 2
    assert err.startswith("DatasetError: cannot read")


def test_what_was_saved_is_shown(
    call: Callable[..., Called], script: Callable[..., Path], tmp_path: Path
) -> None:
    target = tmp_path / "out.h5"
    path = script(GOOD + "results['first'] = md.take(muons.pt, 2)\n")
    call("run", path, "-n", 0, "-o", target, "--set", "pt_cut=30")
    code, out, _ = call("show", target)
    assert code == 0
    assert "100000 of 100000 events, 0 failed" in out
    assert "p_T [GeV]" in out
    assert "n = " in out
    assert "first = <Array" in out
    assert f"dataset: {DIMUON}" in out
    code, out, _ = call("show", target, "--card")
    card = json.loads(out)
    assert card["parameters"] == {"pt_cut": 30}
    assert card["plan"]["digest"] == md.load(target).card["plan"]["digest"]


def test_a_newer_file_is_refused(call: Callable[..., Called], tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.attrs["mpidist_format"] = 99
    code, _, err = call("show", tmp_path / "x.h5")
    assert code == 2
    assert "newer mpidist" in err


@pytest.mark.parametrize("command", [(), ("run",), ("show",), ("demo",), ("doctor",)])
def test_help(command: tuple[str, ...], call: Callable[..., Called]) -> None:
    code, out, err = call(*command, "--help")
    assert (code, err) == (0, "")
    assert out.startswith("Usage: mpidist")
    assert call(*command, "-h")[1] == out
    if command == ("run",):
        assert "`results` maps names to md.hist(...)" in out
    if not command:
        assert all(f"\n  {each} " in out for each in ("run", "show", "demo", "doctor"))


def test_wrong_usage(call: Callable[..., Called]) -> None:
    assert call("--version")[1].startswith("mpidist")
    for wrong in (["fly"], ["run"], ["run", EXAMPLES / "adl" / "q1.py", "--ranks", -1], ["doctor", "-n", 0]):
        code, _, err = call(*wrong)
        assert code == 2
        assert "Usage: mpidist" in err


def test_ranks_that_do_not_start(call: Callable[..., Called], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise md.errors.WorldError("no 2 ranks on this machine: mpiexec was not found.")

    monkeypatch.setattr("mpidist.batch.connect", refuse)
    code, _, err = call("run", EXAMPLES / "adl" / "q1.py", "-n", 2)
    assert code == 3
    assert err == "WorldError: no 2 ranks on this machine: mpiexec was not found.\n"


class Dead(ThreadWorld):
    """Ranks that die when they get work."""

    def submit(self, run_id: str, task: bytes, on_message: Any, on_end: Any) -> None:
        on_end(md.errors.RankDied("a rank of 1 has ended"))


def test_ranks_that_die(call: Callable[..., Called], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mpidist.batch.ThreadWorld", Dead)
    code, _, err = call("run", EXAMPLES / "adl" / "q1.py", "-n", 0)
    assert code == 3
    assert "RankDied: a rank of 1 has ended" in err


SLOW = """
import pathlib, time
def slow(pt):
    if ak.backend(pt) == "cpu" and len(pt):
        pathlib.Path("reached").touch()
        time.sleep(0.2)
    return pt
results = {"n": md.count(md.apply(slow, events.Muon.pt)), "m": md.count(events.nMuon)}
"""


def signalled(script: Path, ranks: int, number: signal.Signals) -> Called:
    """Run a script of `SLOW` results, send it a signal when it is at work; code, output and errors."""
    folder = script.parent
    with subprocess.Popen(
        [
            str(Path(sys.executable).with_name("mpidist")),
            "run",
            script.name,
            "-n",
            str(ranks),
            "-o",
            "out.h5",
        ],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + 60
        while not (folder / "reached").exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.5)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    return process.returncode, out, err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_run_and_keeps_what_is_there(
    script: Callable[..., Path], tmp_path: Path, number: signal.Signals
) -> None:
    path = script(SLOW, copies=300)
    code, out, err = signalled(path, 0, number)
    assert code == 1, err
    assert (f"{number.name}: stopping the run" in err) == (number != signal.SIGINT)
    assert re.search(r"(chunks not reached|files not looked at) \(stopped\)", out)
    assert 0 < md.load(tmp_path / "out.h5").results.m < 30_000_000


def test_an_interrupt_of_the_script_itself(script: Callable[..., Path], tmp_path: Path) -> None:
    path = script("import pathlib, time\npathlib.Path('reached').touch()\ntime.sleep(60)\n")
    with subprocess.Popen(
        [str(Path(sys.executable).with_name("mpidist")), "run", path.name, "-n", "0"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + 60
        while not (tmp_path / "reached").exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err


# ------------------------------------------------------------------------- real ranks


@pytest.fixture
def state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where nothing is at first, whatever tests of this process have started before, and nothing may be left."""
    folder = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("MPIDIST_STATE", str(folder))
    return folder


def mpidist(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("mpidist")), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.mpi
def test_run_with_real_ranks(state: Path, tmp_path: Path) -> None:
    done = mpidist("run", EXAMPLES / "adl" / "q4.py", "--ranks", 2, "--out", "q4.h5", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1000 of 1000 events, 0 failed" in done.stdout
    assert "on 2 ranks" in done.stdout
    assert md.load(tmp_path / "q4.h5").results.met.sum(flow=True) == 116
    assert list(state.iterdir()) == []


@pytest.mark.mpi
def test_a_batch_systems_signal_leaves_no_ranks(
    state: Path, script: Callable[..., Path], tmp_path: Path
) -> None:
    path = script(SLOW, copies=300)
    code, out, err = signalled(path, 2, signal.SIGTERM)
    assert code == 1, err
    assert "SIGTERM: stopping the run" in err
    assert re.search(r"(chunks not reached|files not looked at) \(stopped\)", out)
    assert 0 < md.load(tmp_path / "out.h5").results.m < 30_000_000
    assert list(state.iterdir()) == []
    assert md.sessions() == ()


@pytest.mark.mpi
def test_demo(state: Path, tmp_path: Path) -> None:
    done = mpidist("demo", "--repeat", 3, "--out", "demo", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "300000 of 300000 events, 0 failed" in done.stdout
    assert {"dimuon.h5", "dimuon.png", "dimuon.root"} <= {file.name for file in (tmp_path / "demo").iterdir()}
    assert "make lab" in done.stdout
    shown = mpidist("show", "demo/dimuon.h5", cwd=tmp_path)
    assert shown.returncode == 0
    assert "300000 of 300000 events, 0 failed" in shown.stdout
    assert list(state.iterdir()) == []


@pytest.mark.mpi
def test_doctor(state: Path, tmp_path: Path) -> None:
    done = mpidist("doctor", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("mpidist ")
    assert "FAIL" not in done.stdout
    for check in ("packages", "mpiexec", "loopback port", "left-over ranks: none", "one MPI world on"):
        assert check in done.stdout
    assert list(state.iterdir()) == []
