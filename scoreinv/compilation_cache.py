"""JAX's persistent compilation cache, so that a second run of a program starts at once."""

import os
from pathlib import Path

import jax


def enable() -> None:
    """Turns the cache on in ~/.cache/scoreinv, unless JAX_COMPILATION_CACHE_DIR already names another place."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
        jax.config.update("jax_compilation_cache_dir", str(home / "scoreinv"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
