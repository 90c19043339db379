"""What several fields make together, against the machine's memory: refused before it is allocated."""

import math
from collections.abc import Sequence

from scoreinv import parallel

SHARE = 8  # of the memory that one array may take: work on it takes several of its size


def check_memory(shape: Sequence[int], what: str) -> None:
    """Refuses float32 arrays of more than an eighth of the machine's memory.

    Args:
        shape: all that is held at once.
        what: the fields that make it, and what they may be changed to.

    Raises:
        ValueError: too large.
    """
    size, most = 4 * math.prod(shape), parallel.machine_memory() // SHARE
    if size > most:
        raise ValueError(
            f"{' x '.join(map(str, shape))} numbers take {size / 2**30:.3g} GiB, allowed on this machine: "
            f"{most / 2**30:.3g}; {what}"
        )
