"""Plots as SVG: valid, self-contained, and with the numbers of the histogram."""

from __future__ import annotations

import base64
import itertools
import re
import xml.etree.ElementTree as ET
import zlib
from typing import Any

import hist
import numpy as np
import pytest

from mpidist_widgets.drawing import draw_histogram
from mpidist_widgets.options import Options
from mpidist_widgets.svg import Frame, svg
from mpidist_widgets.tex import Piece, pieces, plain_text, svg_spans

NAMES = ["data", "t<t>&bar"]


def filled(kind: str) -> Any:
    rng = np.random.default_rng(3)
    if kind == "counts":
        return hist.Hist.new.Reg(30, 0, 90, label=r"$m_{\mu\mu}$ [GeV]").Int64().fill(rng.normal(50, 9, 999))
    if kind == "samples":
        found = hist.Hist.new.StrCat(NAMES).Reg(20, -1, 1).Weight()
        return found.fill(NAMES[0], rng.normal(size=99)).fill(NAMES[1], rng.normal(size=99), weight=0.3)
    if kind == "cells":
        return (
            hist.Hist.new.Reg(8, 0, 1).Var([0, 1, 5], name="y").Int64().fill(rng.random(50), rng.random(50))
        )
    if kind == "profile":
        return hist.Hist.new.Reg(5, 0, 1).Mean().fill(rng.random(9), sample=rng.random(9))
    return hist.Hist.new.StrCat(["all", "cut & <b>"]).Int64().fill(["all"] * 4 + ["cut & <b>"])


KINDS = ["counts", "samples", "cells", "profile", "rows"]


def drawn(kind: str, **options: Any) -> ET.Element:
    return ET.fromstring(svg("a<b", draw_histogram(filled(kind)), "3 % of data", **options))


def words(root: ET.Element) -> str:
    return " ".join("".join(each.itertext()) for each in root.iter("{http://www.w3.org/2000/svg}text"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("log", [False, True])
def test_each_kind_is_valid_and_asks_for_nothing(kind: str, log: bool) -> None:
    text = svg(
        "a<b", draw_histogram(filled(kind)), "3 % of data", options=Options(log=log, stack=log, ratio=True)
    )
    root = ET.fromstring(text)
    assert "a<b" in words(root)
    assert "3 % of data" in words(root)
    assert "nan" not in text
    assert all(link.startswith("data:") for link in re.findall(r'href="([^"]*)', text))
    assert "script" not in text


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_histogram_is_drawn(kind: str) -> None:
    value = filled(kind)
    value.reset()
    ET.fromstring(svg("empty", draw_histogram(value), options=Options(log=True)))


def walked(path: str) -> list[tuple[float, float]]:
    """The points of a path of M, H and V."""
    found, x, y = [], 0.0, 0.0
    for command, first, second in re.findall(r"([MHV])([\d.]+)(?: ([\d.]+))?", path):
        x = float(first) if command in "MH" else x
        y = float(second) if command == "M" else float(first) if command == "V" else y
        found.append((x, y))
    return found


def test_the_outline_is_the_histogram() -> None:
    value = filled("counts").values()
    outline = next(one for one in drawn("counts").iter() if one.get("class") == "area")
    points = walked(outline.get("d", ""))
    frame = Frame()
    middle = frame.left + (np.arange(30) + 0.5) * frame.across / 30
    tops = [
        min(max(a[1], b[1]) for a, b in itertools.pairwise(points) if min(a[0], b[0]) < x < max(a[0], b[0]))
        for x in middle
    ]
    heights = frame.top + frame.down - np.array(tops)
    assert np.abs(heights / heights.max() - value / value.max()).max() < 0.002
    assert {points[0][0], max(x for x, _ in points)} == {frame.left, frame.width - frame.right}


def test_samples_have_a_legend_and_colours_of_their_own() -> None:
    root = drawn("samples", options=Options(stack=True))
    assert all(name in words(root) for name in NAMES)
    assert {one.get("fill") for one in root.iter() if one.get("class") == "dots"} == {"var(--ink)"}
    lines = {one.get("stroke") for one in root.iter() if one.get("stroke-width") == "1.5"}
    assert len(lines) == 2


def test_cells_are_a_picture_with_a_pixel_each() -> None:
    image = next(drawn("cells").iter("{http://www.w3.org/2000/svg}image"))
    data = base64.b64decode(image.get("href", "").split(",")[1])
    drawing: Any = draw_histogram(filled("cells"))
    rows, columns = drawing.values[""].shape
    assert int.from_bytes(data[16:20], "big") == columns
    assert int.from_bytes(data[20:24], "big") == rows
    start = data.index(b"IDAT")
    length = int.from_bytes(data[start - 4 : start], "big")
    pixels = np.frombuffer(zlib.decompress(data[start + 4 : start + 4 + length]), np.uint8)
    green = pixels.reshape(rows, 1 + 3 * columns)[::-1, 2::3]
    order = np.argsort(drawing.values[""].ravel(), kind="stable")
    assert (np.diff(green.ravel()[order].astype(int)) >= 0).all()  # viridis grows in green


def test_exported_pictures_have_light_paper_everywhere() -> None:
    drawing = draw_histogram(filled("counts"))
    assert "prefers-color-scheme" in svg("n", drawing)
    assert "prefers-color-scheme" not in svg("n", drawing, fixed=True)
    assert "var(" not in svg("n", drawing, fixed=True)


@pytest.mark.parametrize(
    ("label", "plain"),
    [
        (r"$m_{\mu\mu}$ [GeV]", "mμμ [GeV]"),
        (r"$p_\mathrm{T}^{miss}$", "pTmiss"),
        (r"$\Delta R(i, j) \geq 0.4$", "ΔR(i, j) ≥0.4"),
        (r"$\unknown x$", "unknownx"),
        ("no $ formula", "no $ formula"),
        ("100 % _of_ x^2", "100 % _of_ x^2"),
        ("", ""),
    ],
)
def test_labels_lose_their_tex(label: str, plain: str) -> None:
    assert plain_text(label) == plain


def test_raised_and_lowered_pieces_come_back_to_the_line() -> None:
    assert pieces(r"$m_{\mu}^2$ x") == (Piece("m", 0), Piece("μ", -1), Piece("2", 1), Piece(" x", 0))
    assert [int(step) for step in re.findall(r'dy="(-?\d+)"', svg_spans(r"$m_{\mu}^2$ x"))] == [4, -8, 4]
