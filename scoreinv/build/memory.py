"""What several fields make together, against the machine's memory: refused before it is allocated."""

import math
from collections.abc import Sequence

from scoreinv import parallel


def check_memory(shape: Sequence[int], what: str, copies: int = 8) -> None:
    """Refuses float32 arrays of which work takes more than the machine's memory.

    Args:
        shape: all that is held at once.
        what: the fields that make it, and what they may be changed to.
        copies: how many of its size the work on it takes.

    Raises:
        ValueError: too large.
    """
    size, most = 4 * math.prod(shape), parallel.machine_memory() // copies
    if size > most:
        raise ValueError(
            f"{' x '.join(map(str, shape))} numbers take {size / 2**30:.3g} GiB, allowed on this machine: "
            f"{most / 2**30:.3g}; {what}"
        )
