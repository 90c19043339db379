"""Checks every jaxtyping signature of the package at run time, in all tests."""

from jaxtyping import install_import_hook

with install_import_hook("scoreinv", "beartype.beartype"):
    import scoreinv  # noqa: F401
