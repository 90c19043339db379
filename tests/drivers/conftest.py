"""One tiny untrained prior for all tests of drivers."""

import jax
import jax.numpy as jnp
import pytest

from configs import default
from scoreinv import build
from scoreinv.formats.prior_file import save_prior


@pytest.fixture(scope="session")
def tiny_prior_file(tmp_path_factory):
    config = default.get_config()
    config.model.update({"nf": 8, "ch_mult": (1,), "patch_size": 4})
    model = build.model(config.model)
    params = jax.jit(lambda key: model.init(key, jnp.zeros((1, 32, 32, 1)), jnp.ones(1))["params"])(jax.random.key(0))
    path = tmp_path_factory.mktemp("prior") / "tiny.safetensors"
    save_prior(path, params, build.prior_metadata(config))
    return path
