from __future__ import annotations

import pytest

from mpidist_widgets.plots import whole_cells


@pytest.mark.parametrize(
    ("pixels", "cells", "spare", "size"),
    [
        (266, 60, 0, 240),
        (218, 32, 6, 224),
        (218, 32, 5, 192),
        (266, 100, 0, 266),
        (200, 2, 0, 200),
        (266, 160, 0, 266),
    ],
)
def test_cells_get_whole_pixels_if_that_is_cheap(pixels: int, cells: int, spare: int, size: int) -> None:
    assert whole_cells(pixels, cells, spare) == size
