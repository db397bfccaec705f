"""Whatever happens to the files on both sides: a push brings the nodes in step, again it does nothing, and no bytes are lost."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpidist.sync import Sync
from mpidist.sync.manifest import Entry, changes

from .worlds import Nodes

NAMES = st.sampled_from(["a.py", "b.txt", "p/a.py", "p/q/c.txt", "results/r.txt", "results/s/t.txt"])
TEXT = st.binary(max_size=4)
ENTRIES = st.dictionaries(NAMES, st.builds(lambda digest: Entry(0, 0, 0, digest), st.sampled_from("xyz")))
SIDES = st.sampled_from(["notebook", "a", "b"])
EVENTS = st.lists(
    st.one_of(
        st.tuples(SIDES, NAMES, TEXT),
        st.tuples(SIDES, NAMES, st.none()),
        st.tuples(st.just("push"), st.none(), st.none()),
        st.tuples(st.just("pull"), st.none(), st.none()),
    ),
    max_size=12,
)


@given(ENTRIES, ENTRIES)
def test_changes_make_one_side_like_the_other(there: dict[str, Entry], here: dict[str, Entry]) -> None:
    digests = {path: entry.digest for path, entry in there.items()}
    wanted = changes(digests, here)
    for path in wanted.removed:
        del digests[path]
    for path in wanted.written:
        assert digests.get(path) != here[path].digest
        digests[path] = here[path].digest
    assert digests == {path: entry.digest for path, entry in here.items()}
    assert len(changes(digests, here)) == 0


@given(EVENTS)
@settings(max_examples=60)
def test_pushes_and_pulls_lose_nothing(events: list[tuple[str, str | None, bytes | None]]) -> None:
    base = Path(tempfile.mkdtemp())
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MPIDIST_FILES", str(base))
            _play(base / "analysis", events)
    finally:
        shutil.rmtree(base)


def _play(folder: Path, events: list[tuple[str, str | None, bytes | None]]) -> None:
    folder.mkdir()
    world = Nodes("a", "b")
    sync = Sync(folder, lambda: [world], copy=True)
    sync.push()
    sides = {node.node: Path(node.folder) for node in sync.status().nodes} | {"notebook": folder}
    # What each side has written, and has not itself replaced or removed since: it must be somewhere in the end.
    wanted: dict[tuple[str, str], bytes] = {}
    for side, name, data in events:
        if side == "push":
            sync.push()
        elif side == "pull":
            sync.pull()
        elif name is not None:
            file = sides[side] / name
            if data is None:
                wanted.pop((side, name), None)
                file.unlink(missing_ok=True)
            else:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
                wanted[side, name] = data
    assert all(node.behind == 0 for node in sync.push().nodes)
    sync.pull()
    world.calls.clear()
    sync.push()
    assert world.calls == []
    held = _contents(folder) | {value for node in "ab" for value in _contents(sides[node])}
    assert {value for (side, _), value in wanted.items() if side == "notebook"} <= _contents(folder)
    assert set(wanted.values()) <= held


def _contents(folder: Path) -> set[bytes]:
    return {path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}
