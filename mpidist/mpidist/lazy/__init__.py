"""Lazy awkward arrays: a computation is recorded, checked on types, and evaluated on chunks of events.

How it works, module by module:

1. `node`: an expression is a graph of frozen nodes: a function, its arguments, the nodes it uses.
2. `array`: `Lazy` hands every awkward and NumPy call, operator, field, slice and behaviour to
   `recording.record`, which makes a node on the user's own line.
3. `eventaxis`, `rules`, `slices`, `rows`: the guard. Chunks are processed apart, so what would look at several
   events at once, or combine arrays with different rows, is refused.
4. `tracing`: the same call on typetracers gives the type of the result, and every error that the
   types alone can cause, without reading anything.
5. `columns`: running the graph on reporting typetracers gives the buffers that must be read.
6. `evaluation`: a flat schedule computes each distinct step once per chunk and frees it after its
   last use; an exception names the user's line (`frames`). `quick` does the most frequent steps faster than awkward.
7. `tokens`: structural digests, by which equal steps are found and plans are identified; `trust`: whether they tell everything.
8. `reuse`: what of an evaluation is worth keeping for the next one, with another cut; `selecting` finds
   more of it under selections.
9. `parameters`, `apply`: named values that a run may change, and Python functions on chunks.
"""

from __future__ import annotations

from mpidist.lazy.apply import apply
from mpidist.lazy.array import Lazy, Value, source
from mpidist.lazy.columns import check_rows, digest, needed_buffers, origin_of, parameters_of
from mpidist.lazy.evaluation import Evaluator
from mpidist.lazy.frames import blame, user_frame
from mpidist.lazy.node import Origin
from mpidist.lazy.parameters import Param, overriding, param
from mpidist.lazy.quick import zeroed
from mpidist.lazy.reuse import Reevaluator, Remaining, Values, is_repeatable, shared
from mpidist.lazy.selecting import before_selection

__all__ = [
    "Evaluator",
    "Lazy",
    "Origin",
    "Param",
    "Reevaluator",
    "Remaining",
    "Value",
    "Values",
    "apply",
    "before_selection",
    "blame",
    "check_rows",
    "digest",
    "is_repeatable",
    "needed_buffers",
    "origin_of",
    "overriding",
    "param",
    "parameters_of",
    "shared",
    "source",
    "user_frame",
    "zeroed",
]
