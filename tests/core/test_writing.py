"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mpidist.errors import DatasetError
from mpidist.writing import check_writable, write_whole


def test_new_files_and_folders(tmp_path: Path) -> None:
    write_whole(tmp_path / "a" / "b" / "x", b"12")
    assert (tmp_path / "a" / "b" / "x").read_bytes() == b"12"
    assert list((tmp_path / "a" / "b").iterdir()) == [tmp_path / "a" / "b" / "x"]
    (tmp_path / "plain").touch()
    assert (tmp_path / "a" / "b" / "x").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_an_earlier_file_is_replaced_with_its_mode(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"old")
    (tmp_path / "x").chmod(0o640)
    write_whole(tmp_path / "x", b"new")
    assert (tmp_path / "x").read_bytes() == b"new"
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there/real")
    for content in (b"first", b"second"):
        write_whole(tmp_path / "link", content)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "there" / "real").read_bytes() == content


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(DatasetError, match="no ordinary file"):
            write_whole(path, b"")
    (tmp_path / "x").touch()
    with pytest.raises(DatasetError, match=r"cannot write .*/x/y"):
        write_whole(tmp_path / "x" / "y", b"")
    with pytest.raises(DatasetError, match=r"cannot write .*/x/y"):
        check_writable(tmp_path / "x" / "y")
    with pytest.raises(DatasetError, match="no ordinary file"):
        check_writable(tmp_path)
    check_writable(tmp_path / "new" / "z")
    assert list((tmp_path / "new").iterdir()) == []


FULL = """
import resource
from pathlib import Path
import mpidist as md

events = md.open(DIMUON)
run = md.entry.Run(md.entry.make_plan({"h": md.hist(events.Muon.pt, bins=90)}), md.entry.ThreadWorld(1))
run.result()
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
for write in (lambda: run.save("run.h5"), lambda: md.to_root(run.result(), "run.root")):
    try:
        write()
    except md.errors.DatasetError as error:
        print(error)
print(run.result().h.sum() > 0)
"""


def test_a_disk_that_is_full_leaves_the_earlier_file_and_the_process(tmp_path: Path) -> None:
    for name in ("run.h5", "run.root"):
        (tmp_path / name).write_bytes(b"earlier")
    dimuon = Path(__file__).parents[2] / "examples" / "data" / "dimuon.root"
    done = subprocess.run(
        [sys.executable, "-c", FULL.replace("DIMUON", repr(f"{dimuon}:Events"))],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    h5, root, end = done.stdout.splitlines()
    assert h5.startswith("cannot write run.h5: File too large. Hint: nothing was changed there")
    assert root.startswith("cannot write run.root: File too large. Hint: ")
    assert end == "True"
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {
        "run.h5": b"earlier",
        "run.root": b"earlier",
    }
