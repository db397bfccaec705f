"""`%slurm` and the form without Slurm: what the options mean, what is refused, what is said."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.error import UsageError

import mpidist as md
from mpidist.errors import WorldError
from mpidist_slurm import Entry, Partition, Partitions, Queue, Slurm
from mpidist_slurm.checks import beyond, minutes, sizes
from mpidist_slurm.notebook.fields import Fields
from mpidist_slurm.notebook.form import AllocationForm
from mpidist_slurm.notebook.options import COMMANDS, explain, launcher, parse
from mpidist_slurm.notebook.output import Text, log_of_job
from mpidist_slurm.notebook.variables import define, free_name, name_problem, sessions, taken, world_of

if TYPE_CHECKING:
    from collections.abc import Callable

DEBUG = Partition("debug", True, True, "1:00", "5:00", 1, 3, 0, 4, "4", "4000")
LONG = Partition("long", True, False, "n/a", "2-00:00:00", 4, 0, 0, 4, "8+", "16000+")
CLOSED = Partition("closed", False, False, "n/a", "infinite", 0, 0, 4, 4, "8", "16000")


def eventually(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# ------------------------------------------------------------------------------ options


def test_what_the_options_of_connect_mean() -> None:
    line = "connect -p debug -N 2 -n 8 -t 10:00 -A atlas -q normal -c 2 -m 2G -C 'a|b' --reservation school"
    more = " --module gcc/13 --module mpich --launcher pmi2 --wait 60 --lease 30 --name mine"
    more += " --cache '4 GB' --spill '$TMPDIR' --spill-limit 50GB"
    assert parse(line + more).name == "mine"
    assert launcher(parse(line + more)) == Slurm(
        partition="debug",
        account="atlas",
        qos="normal",
        nodes=2,
        ranks_per_node=4,
        cpus_per_rank=2,
        time="10:00",
        mem_per_rank="2G",
        constraint="a|b",
        reservation="school",
        modules=("gcc/13", "mpich"),
        launcher="pmi2",
        wait=60.0,
        lease=30.0,
        cache="4 GB",
        spill="$TMPDIR",
        spill_limit="50GB",
    )
    assert launcher(parse(line.replace("connect", "script", 1) + more)) == launcher(parse(line + more))
    assert launcher(parse("connect")) == Slurm()
    assert launcher(parse("add -N 3")) == Slurm(nodes=3)
    before = Slurm(
        partition="debug", time="9", modules=("gcc/13",), prologue="source x", nodes=2, ranks_per_node=4
    )
    assert launcher(parse("add"), before) == replace(before, nodes=1, ranks_per_node=1)
    assert launcher(parse("add -N 3 -t 4 --module mpich"), before) == replace(
        before, nodes=3, ranks_per_node=1, time="4", modules=("mpich",)
    )
    assert launcher(parse("script -n 3")) == Slurm(ranks_per_node=3)
    assert parse("estimate -N 1,2,4 -t 10:00,30").nodes == (1, 2, 4)
    assert parse("estimate -N 1,2,4 -t 10:00,30").time == ("10:00", "30")


@given(st.integers(1, 50), st.integers(1, 200))
def test_ranks_are_even_on_the_nodes_or_refused(nodes: int, ranks: int) -> None:
    given = parse(f"connect -N {nodes} -n {ranks}")
    if ranks % nodes:
        with pytest.raises(UsageError, match=f"-n {ranks} on -N {nodes} nodes: each node gets") as caught:
            launcher(given)
        for word in str(caught.value).partition("Hint: ")[2].split("-n ")[1:]:
            assert launcher(parse(f"connect -N {nodes} -n {int(word.split()[0])}")).nodes == nodes
    else:
        assert launcher(given).size == ranks


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("nope", "invalid choice: 'nope'"),
        ("connect --nope", "unrecognized arguments: --nope"),
        ("connect -N two", "%slurm connect: argument -N/--nodes: invalid int value: 'two'"),
        ("connect --name 1x", "'1x' is no name of a variable"),
        ("connect --name class", "'class' is no name of a variable"),
        ("estimate -N 1,x", "'1,x' is not numbers with commas"),
        ("cancel", "the following arguments are required: job"),
        ("log 'x", "No closing quotation"),
        ("help nope", "invalid choice: 'nope'"),
    ],
)
def test_a_wrong_line_is_a_usage_error_with_a_hint(line: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(line)
    assert words in str(caught.value)
    assert "Hint: %slurm help" in str(caught.value)


def test_values_that_slurm_would_not_take_are_refused_by_name() -> None:
    for line, words in (("-N 0", "nodes=0"), ("-m 2", "mem_per_rank='2'"), ("-t soon", "time='soon'")):
        with pytest.raises(WorldError, match=words):
            launcher(parse(f"connect {line}"))


def test_help_names_everything() -> None:
    for name in COMMANDS:
        assert name in explain()
        assert explain(name).startswith(f"usage: %slurm {name}")
    assert "%%" not in explain() + explain("connect")


def test_what_the_documentation_shows_can_be_written() -> None:
    page = (Path(__file__).parents[2] / "docs" / "slurm.md").read_text(encoding="utf-8")
    shown = [parse(line).command for line in re.findall(r"`%slurm ([^`]+)`", page)]
    assert set(shown) == set(COMMANDS)


# ------------------------------------------------------------------------------ tables and texts


def test_a_queue_as_text_and_as_html() -> None:
    waiting = Entry(
        "7", "<b>|", "debug", "PENDING", 2, "0:00", "5:00", "2026-11-27T10:00:00", "", "Resources"
    )
    mine = Entry(
        "8",
        "mpidist-x",
        "long",
        "RUNNING",
        1,
        "1:02",
        "5:00",
        "2026-11-27T09:00:00",
        "n1",
        "None",
        "ab",
        True,
    )
    queue = Queue((waiting, mine))
    head, first, second = str(queue).splitlines()
    assert head.split() == [
        "job",
        "name",
        "partition",
        "state",
        "nodes",
        "used",
        "limit",
        "why,",
        "or",
        "where",
        "expected",
        "start",
    ]
    assert "it waits for nodes to become free (Resources)" in first
    assert first.endswith("2026-11-27 10:00:00")
    assert "mpidist session ab (of this kernel)" in second
    assert second.endswith("on n1")  # it has begun: nothing is expected
    html = queue._repr_html_()
    assert "&lt;b&gt;|" in html
    assert "<b>" not in html
    assert html.count("<tr>") == 3
    assert str(Queue()) == "no jobs"
    assert "no jobs" in Queue()._repr_html_()
    assert str(Partitions((DEBUG,))).splitlines()[1].split()[:5] == ["debug", "(default)", "3", "of", "4"]
    assert Text("<a>")._repr_html_().endswith("&lt;a&gt;</pre>")


def test_a_log_needs_a_number() -> None:
    with pytest.raises(WorldError, match="neither a session of this notebook nor a number"):
        log_of_job("7; rm -rf /")


# ------------------------------------------------------------------------------ variables


class Ranks:
    """What the variables look at of a world."""

    def __init__(self, job: str = "", alive: bool = True) -> None:
        self.job, self.alive, self.size, self.words = job, alive, 2, "2 ranks"
        self.activated = 0

    def activate(self, suffix: str) -> None:
        self.activated += 1

    def close(self) -> None:
        self.alive = False


def session(*worlds: Ranks) -> md.Session:
    return md.Session(*worlds)  # type: ignore[arg-type]


def test_a_session_that_is_alive_is_never_overwritten() -> None:
    up, down = session(Ranks("job 7")), session(Ranks("job 6", alive=False))
    names: dict[str, Any] = {"session": up, "old": down, "x": 3, "_": up, "same": up}
    assert "`session` is a session that is alive" in taken(names, "session")
    assert "%slurm add" in taken(names, "session")
    assert "`x` is a variable of yours (int)" in taken(names, "x")
    assert taken(names, "old") == taken(names, "new") == ""
    assert free_name(names) == "session2"
    assert name_problem(names, "session") == "session is a session that is alive; choose another name"
    assert name_problem(names, "for") == name_problem(names, "") == "the name of a variable is needed"
    assert name_problem(names, "new") == ""
    assert sessions(names) == {"old": down, "same": up}
    found = world_of(names, "7")
    assert found is not None
    assert found[:2] == ("same", up)
    assert world_of(names, "6") is None
    new = Ranks()
    define(names, "old", session(new))
    assert new.activated == 1
    assert taken(names, "old")


# ------------------------------------------------------------------------------ the form


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30", 30), ("5:00", 5), ("0:30", 0.5), ("1:00:00", 60), ("2-00:00:00", 2880), ("1-12", 2160),
        ("1-12:30", 2190), ("infinite", None), ("n/a", None), ("", None), ("UNLIMITED", None),
    ],
)  # fmt: skip
def test_times_of_slurm_in_minutes(text: str, expected: float | None) -> None:
    assert minutes(text) == expected


def test_what_a_partition_does_not_have() -> None:
    asked = {"nodes": 1, "time": None, "ranks_per_node": 4, "cpus_per_rank": 1}
    assert beyond(asked, DEBUG) == {}
    assert beyond({**asked, "nodes": 5}, DEBUG) == {"nodes": "debug has 4"}
    assert beyond({**asked, "time": "5:01"}, DEBUG) == {"time": "debug allows 5:00"}
    assert beyond({**asked, "time": "5"}, DEBUG) == {}
    assert beyond({**asked, "cpus_per_rank": 2}, DEBUG) == {"ranks_per_node": "8 CPUs a node; a node has 4"}
    assert beyond({**asked, "cpus_per_rank": 99}, LONG) == {}  # some of its nodes have more
    assert beyond({**asked, "time": "9-0"}, CLOSED) == {"partition": "it is closed"}


@pytest.mark.parametrize(
    ("nodes", "most", "expected"), [(1, 4, (1, 2)), (4, 4, (1, 2, 4)), (3, 9, (1, 3, 6))]
)
def test_sizes_worth_asking_about(nodes: int, most: int, expected: tuple[int, ...]) -> None:
    assert sizes(nodes, most) == expected


def test_fields_are_a_slurm_or_say_what_is_wrong_with_each() -> None:
    changes: list[int] = []
    fields = Fields({"taken": 1}, "session", lambda: changes.append(1))
    assert fields.slurm() is None  # no partition yet
    fields.offer(Partitions((DEBUG, LONG, CLOSED)))
    assert fields.slurm() == Slurm(partition="debug", ranks_per_node=4)
    assert [label for label, _ in fields.partition.entry.options] == [
        "debug: 3 of 4 nodes idle, up to 5:00",
        "long: 0 of 4 nodes idle, up to 2-00:00:00",
        "closed: 0 of 4 nodes idle, up to infinite (closed)",
    ]
    entries = {name: field.entry for name, field in fields.by_name.items()}
    seen = len(changes)
    entries["nodes"].value = 0
    assert len(changes) == seen + 1
    entries["mem_per_rank"].value = "2 GB"
    entries["time"].value = "6"
    fields.variable.entry.value = "taken"
    assert fields.slurm() is None
    problems = {name: field.problem for name, field in fields.by_name.items() if field.problem}
    assert problems == {
        "nodes": "a whole number, 1 or more is needed.",
        "mem_per_rank": 'such as "2G" (units K, M, G, T) is needed.',
        "time": "debug allows 5:00",
    }
    assert fields.variable.problem == "taken is a variable of yours; choose another name"
    entries["partition"].value = "long"
    entries["nodes"].value, entries["mem_per_rank"].value = 2, " 2G "
    fields.variable.entry.value = "mine"
    assert fields.slurm() == Slurm(partition="long", nodes=2, ranks_per_node=4, time="6", mem_per_rank="2G")
    entries["cache"].value = "much"
    assert fields.slurm() is None
    assert "much" in fields.by_name["cache"].problem
    entries["cache"].value, entries["spill"].value, entries["reservation"].value = "4 GB", "$TMPDIR", "course"
    asked = fields.slurm()
    assert asked is not None
    assert (asked.cache, asked.spill, asked.reservation) == ("4 GB", "$TMPDIR", "course")
    fields.offer(Partitions((DEBUG, LONG)))
    assert fields.partition.value == "long"  # a choice that is still there stays


def test_whatever_is_typed_is_words_and_no_exception() -> None:
    fields = Fields({}, "session", lambda: None)
    fields.offer(Partitions((DEBUG,)))

    @given(st.text(max_size=20))
    def typed(text: str) -> None:
        for name in ("time", "mem_per_rank", "account", "qos", "constraint", "reservation", "cache", "spill"):
            fields.by_name[name].entry.value = text
        fields.variable.entry.value = text
        asked = fields.slurm()
        assert (asked is None) == any(field.problem for field in (*fields.by_name.values(), fields.variable))

    typed()


def test_a_form_without_slurm_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    form = AllocationForm()
    eventually(lambda: "there is no sinfo on PATH. Hint: start Jupyter where jobs" in form.starts.value)
    eventually(lambda: not form.buttons["refresh"].disabled)
    assert form.buttons["submit"].disabled
    form.submit()
    assert form.request is None


def test_importing_the_package_imports_no_widgets() -> None:
    code = "import sys, mpidist_slurm; print({'IPython', 'ipywidgets', 'mpidist_widgets'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "set()\n"
