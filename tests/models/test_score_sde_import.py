"""The published network, number for number, from a checkpoint in the published format."""

import json
from pathlib import Path

import flax.serialization
import jax.numpy as jnp
import numpy as np
import pytest

from scoreinv import load_prior
from scoreinv.checkpoints import import_score_sde

REFERENCE = Path(__file__).parents[1] / "data" / "ncsnpp_small"


@pytest.fixture(scope="module")
def config():
    return json.loads((REFERENCE / "config.json").read_text())


def test_reproduces_the_published_forward(config):
    model, params = import_score_sde(REFERENCE / "checkpoint_1", config)
    expected = np.load(REFERENCE / "io.npz")
    found = model.apply({"params": params}, expected["x"], expected["sigma"])
    assert np.abs(found - expected["y"]).max() < 1e-4 * np.ptp(expected["y"])


def test_a_folder_with_checkpoint_and_config_is_a_prior():
    prior, expected = load_prior(str(REFERENCE)), np.load(REFERENCE / "io.npz")
    assert prior.shape == (32, 32, 1)
    for x, sigma, y in zip(expected["x"], expected["sigma"], expected["y"], strict=True):
        found = prior.score_fn(jnp.asarray(x), prior.sde.time_at(jnp.asarray(sigma)))
        assert np.abs(found - y).max() < 1e-4 * np.ptp(expected["y"])


def test_another_config_is_refused(config):
    with pytest.raises(ValueError) as error:
        import_score_sde(REFERENCE / "checkpoint_1", {**config, "nf": 16})
    assert "\n" not in str(error.value)


def test_missing_and_foreign_files_are_refused(config, tmp_path):
    with pytest.raises(ValueError, match="missing"):
        import_score_sde(tmp_path / "missing", config)
    (tmp_path / "text").write_bytes(b"not msgpack at all")
    with pytest.raises(ValueError) as error:
        import_score_sde(tmp_path / "text", config)
    assert "\n" not in str(error.value)
    (tmp_path / "other").write_bytes(flax.serialization.msgpack_serialize({"params": np.zeros(3)}))
    with pytest.raises(ValueError) as error:
        import_score_sde(tmp_path / "other", config)
    assert "\n" not in str(error.value)
