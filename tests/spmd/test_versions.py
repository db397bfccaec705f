from __future__ import annotations

from mpidist.world.versions import compare, installed

KERNEL = {"Python": "3.11.4", "awkward": "2.8.1", "numpy": "2.4.6", "mpi4py": "4.1.2", "hist": "2.12.1"}


def test_equal_versions_need_no_table() -> None:
    same = compare(KERNEL, [KERNEL, dict(KERNEL)])
    assert same.table == ""
    assert same.matter == ()


def test_small_differences_are_shown_but_do_not_matter() -> None:
    ranks = [KERNEL, {**KERNEL, "Python": "3.11.9", "numpy": "2.0.0", "mpi4py": "3.1.6"}]
    found = compare(KERNEL, ranks)
    assert found.matter == ()
    assert found.table.splitlines() == [
        "        kernel  ranks",
        "Python  3.11.4  3.11.4 (ranks 0); 3.11.9 (ranks 1)  may differ",
        "numpy   2.4.6   2.4.6 (ranks 0); 2.0.0 (ranks 1)    may differ",
        "mpi4py  4.1.2   4.1.2 (ranks 0); 3.1.6 (ranks 1)    may differ",
    ]


def test_what_is_pickled_must_agree() -> None:
    other = {**KERNEL, "Python": "3.12.4", "awkward": "2.8.2", "numpy": "1.26.4"}
    found = compare(KERNEL, [other, other, KERNEL, other])
    assert found.matter == ("Python", "awkward", "numpy")
    assert "3.12.4 (ranks 0-1, 3); 3.11.4 (ranks 2)" in found.table


def test_a_missing_package_differs() -> None:
    without = {name: version for name, version in KERNEL.items() if name != "awkward"}
    assert compare(KERNEL, [without]).matter == ("awkward",)


def test_this_process_has_versions() -> None:
    found = installed()
    assert found["numpy"].count(".") == 2
    assert {"Python", "mpidist", "awkward", "uproot", "cloudpickle", "ipyparallel"} <= found.keys()
