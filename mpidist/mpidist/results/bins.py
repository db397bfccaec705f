"""The bins of a histogram as arrays: what views draw, without the `hist.Hist` that takes longer to make than to draw."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import boost_histogram as bh
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["Bins", "bins_of"]


@dataclass(frozen=True, eq=False, slots=True)
class Bins:
    """The bins of a histogram, flow bins included.

    `values` and `variances` are float64 with a dimension for each of `axes`, and before these one for `samples` if there are
    any. Variances are nan where they are unknown. `mean`: the values are means, as in a profile; `counts`: they are entries or
    sums without variances of their own. The axes are those of the result itself, not to be changed.
    """

    axes: tuple[Any, ...]
    values: NDArray[np.float64]
    variances: NDArray[np.float64]
    mean: bool = False
    counts: bool = False
    samples: tuple[str, ...] = ()

    @staticmethod
    def stacked(parts: Mapping[str, Bins]) -> Bins:
        """Those of several samples with equal axes as one."""
        first, *_ = every = list(parts.values())
        return replace(
            first,
            values=np.stack([part.values for part in every]),
            variances=np.stack([part.variances for part in every]),
            samples=tuple(parts),
        )


def bins_of(value: object) -> Bins | None:
    """The bins of a `hist.Hist`; None for anything else."""
    if not isinstance(value, bh.Histogram):
        return None
    values = np.asarray(value.values(flow=True), dtype=np.float64)
    found = value.variances(flow=True)
    return Bins(
        tuple(value.axes),
        values,
        np.full_like(values, np.nan) if found is None else np.asarray(found, dtype=np.float64),
        mean=str(value.kind).endswith("MEAN"),
        counts=value.storage_type.__name__ in ("Int64", "Double"),
    )
