"""Looking a name up."""

from collections.abc import Mapping
from typing import Any


def choose(table: Mapping[str, Any], name: str, what: str) -> Any:
    """table[name], or a ValueError that shows the name and the choices."""
    if name not in table:
        raise ValueError(f"unknown {what} {name!r}; choose one of {', '.join(sorted(table))}")
    return table[name]
