"""Every field of a training's configuration reaches what it names."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scoreinv import build
from scoreinv.build import training
from scoreinv.datasets.augmentation import Appearance
from scoreinv.datasets.views import view
from scoreinv.training import losses
from tests.training import tiny


class Network(nn.Module):
    """Compiles in a moment."""

    dropout: float = 0.0

    @nn.compact
    def __call__(self, x, sigma):
        return nn.Conv(x.shape[-1], (3, 3))(x) / sigma[:, None, None, None]


@pytest.fixture
def config():
    return tiny.get_config()


@pytest.fixture(scope="module")
def network():
    model, image = Network(), jax.random.uniform(jax.random.key(1), (8, 8, 1))
    return model, model.init(jax.random.key(0), image[None], jnp.ones(1))["params"], image


def test_mean_and_standard_deviation_of_log_sigma(config, network):
    model, params, image = network
    config.train.update({"log_sigma_mean": -1.0, "log_sigma_std": 0.25})
    config.model.sigma_data = 0.7
    loss, loss_at = build.loss(config, model)
    key_sigma, key_z = jax.random.split(jax.random.key(2))
    sigma = jnp.exp(-1.0 + 0.25 * jax.random.normal(key_sigma))
    assert float(loss(jax.random.key(2), params, image)) == pytest.approx(
        float(loss_at(key_z, params, image, sigma)), rel=1e-5
    )


def test_t_min(config, network):
    model, params, image = network
    config.model.parameterization, config.train.t_min = "score", 0.9999
    loss, _ = build.loss(config, model)
    diffusion = build.sde(config.sde)
    _, key_z = jax.random.split(jax.random.key(2))

    def score(x, t):
        return model.apply({"params": params}, x[None], diffusion.marginal_prob(t)[1][None])[0]

    expected = losses.score_matching_at(key_z, score, diffusion, image, jnp.float32(1.0))
    assert float(loss(jax.random.key(2), params, image)) == pytest.approx(float(expected), rel=1e-2)


def test_the_seed_of_views_and_parameters(config):
    config.data.rotation = 30.0
    pools = []
    for seed in (0, 0, 1):
        config.seed = seed
        pools.append(np.asarray(next(build.batches(config).data)))
        assert build.training_settings(config).seed == seed
    np.testing.assert_array_equal(pools[0], pools[1])
    assert np.abs(pools[0] - pools[2]).max() > 0.1


def test_the_seed_of_a_stream(config, tmp_path):
    config.data.on_device = False
    streams = []
    for seed in (0, 0, 1):
        config.seed = seed
        streams.append(next(build.batches(config).data))
    np.testing.assert_array_equal(streams[0], streams[1])
    assert streams[0].shape == (jax.local_device_count(), 1, 4 // jax.device_count(), 16, 16, 1)
    assert np.abs(streams[0] - streams[2]).max() > 0.1


def test_every_field_of_the_loop(config):
    fields = {"batch_size": 8, "steps_per_call": 3, "ema": 0.7, "init_from": "a", "checkpoint_every": 11}
    fields |= {"keep_checkpoints": 5, "log_every": 7, "sample_every": 13}
    schedule = {"warmup": 17, "decay": "cosine", "steps": 19, "seconds": 23.0}
    descent = {"optimizer": "muon", "clip": 29.0}
    config.train.update(fields | schedule | descent)
    config.train.update({"learning_rate": 0.5, "adam_beta1": 0.31, "adam_beta2": 0.37, "adam_eps": 0.41})
    found = build.training_settings(config)
    assert {name: getattr(found, name) for name in fields} == fields
    assert {name: getattr(found.schedule, name) for name in schedule} == schedule and found.schedule.peak == 0.5
    assert {name: getattr(found.descent, name) for name in descent} == descent
    assert (found.descent.beta1, found.descent.beta2, found.descent.eps) == (0.31, 0.37, 0.41)


def test_every_field_of_views_and_appearance(config):
    config.data.update({"size": 24, "zoom": (0.3, 0.9), "rotation": 5.0, "native": 0.2})
    config.data.update({"blur": 1.5, "gamma": 0.4, "recoloured": 0.6, "phases": 0.7, "flip": False})
    found = build.views(config.data)
    assert (found.size, found.zoom, found.rotation, found.native) == (24, (0.3, 0.9), 5.0, 0.2)
    expected = Appearance(recoloured=0.6, blur=1.5, gamma=0.4, phases=0.7, flip=False, channels=2)
    assert build.appearance(config.data, 2) == expected


def test_validation_losses_are_of_the_named_noise_levels_and_pixel_sizes(config, network, monkeypatch):
    model, params, _ = network
    config.data.update({"size": 16, "phantoms": 2, "packed_size": 32})
    config.train.update({"validation_sigmas": (0.1, 1.0), "validation_pixels": (1.0, 1.5, 8.0)})
    sets = build.validation_sets(config)
    assert list(sets) == ["", "x1", "x1.5"]  # no slice of 32 pixels fills 16 pixels of 8
    whole = build.split_slices(config.data, "validation")
    np.testing.assert_array_equal(sets["x1"][0, ..., 0], whole[0].image[8:24, 8:24])
    np.testing.assert_allclose(sets["x1.5"][0, ..., 0], view(whole[0].image, 16, 0.75), atol=1e-6)
    monkeypatch.setattr(training, "model", lambda config: model)
    trained = build.prior_training(config)
    assert trained.columns == ("0.1", "1", "x1 0.1", "x1 1", "x1.5 0.1", "x1.5 1")
    found = trained.validate(params)
    assert tuple(found) == trained.columns
    _, loss_at = build.loss(config, model)
    keys = jax.random.split(jax.random.key(0), len(sets["x1"]))
    by_hand = jax.jit(jax.vmap(lambda key, image: loss_at(key, params, image, jnp.float32(1.0))))(
        keys, jnp.asarray(sets["x1"])
    )
    assert found["x1 1"] == pytest.approx(float(by_hand.mean()), rel=1e-4)


def test_two_channels_are_validated_under_phases(config):
    sets = build.validation_sets(config, 2)
    real = build.validation_sets(config, 1)
    assert sets[""].shape == (*real[""].shape[:3], 2)
    np.testing.assert_allclose(np.hypot(*np.moveaxis(sets[""], -1, 0)), real[""][..., 0], atol=1e-5)
    assert np.abs(sets[""][..., 1]).max() > 0.3


def test_pictures_come_from_the_parameters_they_are_given(config):
    config.train.update({"samples": 2, "sample_steps": 2})
    trained = build.prior_training(config)
    params = jax.tree.map(np.asarray, jax.jit(trained.init)(jax.random.key(0)))
    one, other = (np.asarray(trained.sample(jax.tree.map(lambda p, c=c: p + np.float32(c), params))) for c in (0, 0.1))
    assert one.shape == (2, 32, 32, 1) and np.abs(one - other).max() > 1e-3
