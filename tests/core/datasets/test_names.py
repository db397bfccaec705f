from __future__ import annotations

from pathlib import Path

import pytest

from mpidist.datasets.names import Target, expand, split
from mpidist.errors import DatasetError


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name in ("a1.root", "a2.root", "deep/er/b.root", "run:7/c.root"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "path", "tree"),
    [
        ("a.root", "a.root", ""),
        ("a.root:Events", "a.root", "Events"),
        ("d/*.root:one/two/tree;3", "d/*.root", "one/two/tree;3"),
        ("a.h5:/Events", "a.h5", "/Events"),
        ("run:7/a.root", "run:7/a.root", ""),
        ("run:7/*.root", "run:7/*.root", ""),
        ("root://host:1094//x/a.root", "root://host:1094//x/a.root", ""),
        ("root://host:1094//x/a.root:Events", "root://host:1094//x/a.root", "Events"),
        ("https://host/a.root:t", "https://host/a.root", "t"),
    ],
)
def test_split(name: str, path: str, tree: str) -> None:
    assert split(name) == Target(path, tree)


def test_patterns_are_sorted_and_absolute(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files)
    assert expand("a*.root:Events") == [Target(str(files / f"a{i}.root"), "Events") for i in (1, 2)]
    assert [Path(t.path).name for t in expand("**/*.root")] == ["a1.root", "a2.root", "b.root", "c.root"]
    assert expand("deep/../a1.root", tree="t") == [Target(str(files / "a1.root"), "t")]
    assert expand("run:7/c.root")[0].tree == ""


def test_home_and_paths(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(files))
    assert expand("~/a1.root") == expand(files / "a1.root") == expand([f"file://{files}/a1.root"])


def test_remote_names_pass_unchanged() -> None:
    assert expand(["root://h//a*.root:t"]) == [Target("root://h//a*.root", "t")]


def test_text_file_names_files_relative_to_itself(files: Path) -> None:
    (files / "list.txt").write_text("# comment\n a1.root\ndeep/**/b.root:other  # one more\n\n")
    assert expand(str(files / "list.txt"), tree=None) == [
        Target(str(files / "a1.root"), ""),
        Target(str(files / "deep/er/b.root"), "other"),
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a3.root", "did you mean .*'a1.root'"),
        ("x*.root", "no file matches"),
        ("deeq/b.root", "has no folder 'deeq'"),
        ("deep", "is a folder"),
        ("", "empty string"),
        ([], "no file names"),
        (["a1.root", "*1.root"], "named twice"),
    ],
)
def test_errors(files: Path, monkeypatch: pytest.MonkeyPatch, name: str | list[str], message: str) -> None:
    monkeypatch.chdir(files)
    with pytest.raises(DatasetError, match=message):
        expand(name)


def test_two_trees_for_one_name(files: Path) -> None:
    with pytest.raises(DatasetError, match="tree='b' was given"):
        expand(f"{files}/a1.root:a", "b")


def test_a_number_is_no_name() -> None:
    with pytest.raises(TypeError, match="not int"):
        expand([3])  # type: ignore[list-item]


def test_a_link_that_leads_nowhere_is_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "a.root").touch()
    (tmp_path / "b.root").symlink_to("/nowhere/gone.root")
    (tmp_path / "c.root").mkdir()
    assert [Path(target.path).name for target in expand(f"{tmp_path}/*.root")] == ["a.root", "b.root"]
