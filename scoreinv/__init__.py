"""Medical image reconstruction with score-based priors (Song, Shen, Xing and Ermon, ICLR 2022) in JAX."""

__all__ = ["load_prior"]


def __getattr__(name):
    # Loaded on first use, so that importing an operator or an SDE does not load the networks and file readers.
    if name == "load_prior":
        from scoreinv.build import load_prior

        return load_prior
    raise AttributeError(f"module 'scoreinv' has no attribute {name!r}")
