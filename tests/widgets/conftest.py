from __future__ import annotations

import warnings

# bqscales sets a trait's metadata in a way that traitlets deprecates: warnings are errors in our tests, but not this one.
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import bqplot  # noqa: F401
