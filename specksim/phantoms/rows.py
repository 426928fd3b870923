"""Which samples of a map's row a body covers."""

import numpy as np

from specksim.compiled import kernel


@kernel
def columns_between(low, high, start, step, columns):
    """The columns j, as first and stop, on which low ≤ start + j · step ≤ high."""
    if step == 0.0:
        return 0, columns if low <= start <= high else 0
    a, b = (low - start) / step, (high - start) / step
    if a > b:
        a, b = b, a
    first = int(np.ceil(min(max(a, 0.0), columns)))
    stop = int(np.floor(min(max(b, -1.0), columns - 1.0))) + 1
    return first, max(first, stop)
