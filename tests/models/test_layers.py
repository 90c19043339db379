"""Layers against plain references: zero-stuffing in numpy, XLA's own convolution, textbook normalisation."""

import dataclasses

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import convolve2d

from configs import default
from scoreinv import build
from scoreinv.models import resample
from scoreinv.models.edm import edm_denoise, edm_score
from scoreinv.models.layers import GroupNorm, group_norm
from scoreinv.models.ncsnpp import NCSNpp
from scoreinv.sde import VESDE, VPSDE

KERNEL = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64.0


def normal(seed, shape):
    return jax.random.normal(jax.random.key(seed), shape)


def test_fir_upsampling_is_zero_stuffing_and_a_filter():
    x = np.asarray(normal(0, (2, 6, 4, 3)))
    stuffed = np.zeros((2, 12, 8, 3))
    stuffed[:, ::2, ::2] = x
    found = resample.upsample_fir(jnp.asarray(x))
    for n in range(2):
        for c in range(3):
            # upfirdn with padding (2, 1): of the full convolution, drop one in front and two behind
            full = convolve2d(stuffed[n, :, :, c], 4 * KERNEL, mode="full")
            np.testing.assert_allclose(found[n, :, :, c], full[1:-2, 1:-2], atol=1e-6)


def test_fir_downsampling_is_a_filter_and_every_second_pixel():
    x = np.asarray(normal(1, (2, 6, 8, 3)))
    found = resample.downsample_fir(jnp.asarray(x))
    for n in range(2):
        for c in range(3):
            padded = np.pad(x[n, :, :, c], 1)
            np.testing.assert_allclose(found[n, :, :, c], convolve2d(padded, KERNEL, mode="valid")[::2, ::2], atol=1e-6)


def test_patches_come_back():
    x = normal(2, (2, 8, 12, 3))
    patches = resample.space_to_depth(x, 4)
    assert patches.shape == (2, 2, 3, 48)
    np.testing.assert_array_equal(patches[0, 1, 2].reshape(4, 4, 3), x[0, 4:8, 8:12])
    np.testing.assert_array_equal(resample.depth_to_space(patches, 4), x)


def test_a_convolution_of_one_pixel_is_a_matrix_product():
    x, weight = normal(3, (2, 5, 6, 8)), normal(4, (1, 1, 8, 3))
    expected = jax.lax.conv_general_dilated(x, weight, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    np.testing.assert_allclose(resample.convolve(x, weight, 1, "SAME"), expected, rtol=1e-4, atol=1e-5)


def test_group_norm_and_swish():
    x = 3 + 2 * normal(8, (2, 5, 6, 8))
    layer = GroupNorm(jax.nn.swish, jnp.float32)
    found = layer.apply(layer.init(jax.random.key(0), x), x)
    groups = np.asarray(x, np.float64).reshape(2, 30, 2, 4)  # min(channels / 4, 32) groups
    mean, variance = groups.mean((1, 3), keepdims=True), groups.var((1, 3), keepdims=True)
    y = ((groups - mean) / np.sqrt(variance + 1e-6)).reshape(x.shape)
    np.testing.assert_allclose(found, y / (1 + np.exp(-y)), atol=1e-5)


def test_group_norm_derivatives_are_those_of_its_definition():
    x, scale, bias = 3 + 2 * normal(8, (2, 3, 4, 8)), normal(12, (8,)), normal(13, (8,))

    def definition(x, scale, bias):
        groups = x.reshape(2, 3, 4, 2, 4)
        centred = groups - groups.mean((1, 2, 4), keepdims=True)
        deviation = jnp.sqrt((centred**2).mean((1, 2, 4), keepdims=True) + 1e-6)
        return (centred / deviation).reshape(x.shape) * scale + bias

    def ours(x, scale, bias):
        return group_norm(x, scale, bias, 2)

    args, tangents = (x, scale, bias), (normal(14, x.shape), normal(15, (8,)), normal(16, (8,)))
    weights = normal(17, x.shape)

    def derivatives(fn):
        def bent(x):
            return jnp.sum(jax.grad(lambda x: jnp.sum(weights * fn(x, scale, bias) ** 2))(x) ** 2)

        return (*jax.jvp(fn, args, tangents), *jax.vjp(fn, *args)[1](weights)), jax.grad(bent)(x)

    compiled = jax.jit(derivatives, static_argnums=0)
    (first, second), (expected_first, expected_second) = compiled(ours), compiled(definition)
    for found, expected in zip(first, expected_first, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_allclose(second, expected_second, atol=1e-3 * float(jnp.abs(expected_second).max()))


def ideal_network(tau):
    """The network F that makes the EDM denoiser of N(0, tau^2) with sigma_data = tau the ideal one: F = 0."""
    return lambda x, label: jnp.zeros_like(x)


@pytest.mark.parametrize("sigma", [0.01, 0.5, 20.0])
def test_edm_denoiser_of_gaussian_data(sigma):
    tau, x = 0.7, normal(9, (2, 4, 4, 1))
    found = edm_denoise(ideal_network(tau), x, jnp.full(2, sigma), tau)
    np.testing.assert_allclose(found, tau**2 / (tau**2 + sigma**2) * x, rtol=1e-5)


@pytest.mark.parametrize("sde", [VESDE(0.01, 50.0), VPSDE()], ids=["ve", "vp"])
def test_edm_score_of_gaussian_data(sde):
    tau, x, t = 0.7, normal(10, (1, 4, 4, 1)), jnp.float32(0.4)
    alpha, sigma = sde.marginal_prob(t)
    found = edm_score(ideal_network(tau), sde, x, t, tau)
    np.testing.assert_allclose(found, -x / (alpha**2 * tau**2 + sigma**2), rtol=1e-4)


def test_the_network_is_told_the_noise_level():
    seen = []
    edm_denoise(lambda x, label: seen.append(label) or x, jnp.ones((1, 4, 4, 1)), jnp.full(1, 0.2), 0.5)
    np.testing.assert_allclose(4 * jnp.log(seen[0]), jnp.log(0.2), rtol=1e-5)


def small_network(**changes):
    fields = {"nf": 8, "ch_mult": (1, 2), "num_res_blocks": 1, "image_size": 16, "attn_resolutions": (8,), **changes}
    model = NCSNpp(**fields)
    x, sigma = normal(11, (2, 16, 16, fields.get("num_channels", 1))), jnp.array([0.1, 2.0])
    shapes = jax.eval_shape(model.init, jax.random.key(0), x, sigma)["params"]
    # The published initialisation makes every branch zero; random weights exercise them.
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda p: np.float32(rng.normal(0, 0.15, p.shape)), shapes)
    return model, params, x, sigma


def test_bfloat16_keeps_float32_parameters_and_nearly_the_output():
    model, params, x, sigma = small_network(ch_mult=(1,), attn_resolutions=())
    expected = jax.jit(model.apply)({"params": params}, x, sigma)
    found = jax.jit(model.clone(dtype=jnp.bfloat16).apply)({"params": params}, x, sigma)
    assert all(p.dtype == jnp.float32 for p in jax.tree.leaves(params))
    assert found.dtype == jnp.float32
    assert 0 < np.abs(found - expected).max() < 0.05 * np.ptp(expected)


@pytest.mark.slow
def test_rematerialisation_changes_no_gradient_and_stores_less_for_it():
    x = normal(18, (2, 16, 16, 1))

    def loss(model, params, sigma):
        return jnp.sum(model.apply({"params": params}, x, sigma) ** 2)

    model, params, _, sigma = small_network(ch_mult=(1,), attn_resolutions=())
    plain, recomputed = (
        jax.flatten_util.ravel_pytree(jax.jit(jax.grad(loss, 1), static_argnums=0)(m, params, sigma))[0]
        for m in (model, model.clone(remat=True))
    )
    np.testing.assert_allclose(recomputed, plain, atol=1e-4 * float(jnp.abs(plain).max()))

    # What the backward pass is given. The memory of compiled CPU programs shows nothing: XLA's CPU backend finds
    # that the recomputed blocks equal the first ones and merges them.
    model, params, _, sigma = small_network(ch_mult=(1,), num_res_blocks=2, attn_resolutions=())
    stored, less = (
        jax.tree.leaves(jax.eval_shape(lambda p, m=m: jax.vjp(lambda p: loss(m, p, sigma), p)[1], params))
        for m in (model, model.clone(remat=True))
    )
    assert sum(a.size for a in less) < 0.6 * sum(a.size for a in stored)


def test_config_fields_reach_the_network():
    config = default.get_config().model
    changes = {"nf": 16, "ch_mult": (1, 2), "resblock_type": "ddpm", "fir": False, "progressive": "residual"}
    changes |= {"progressive_input": "none", "progressive_combine": "cat", "skip_rescale": False, "remat": True}
    changes |= {"nonlinearity": "elu", "conditional": False, "embedding_type": "positional", "dropout": 0.2}
    config.update({**changes, "dtype": "bfloat16", "parameterization": "score"})
    model = build.model(config)
    assert {name: getattr(model, name) for name in changes} == changes
    assert model.dtype == jnp.bfloat16 and model.scale_by_sigma and not model.data_centered
    fields = {f.name for f in dataclasses.fields(NCSNpp)} - {"parent", "name", "label_sigmas"}
    assert fields - {"scale_by_sigma", "data_centered"} <= set(config.to_dict())


def test_dropout_acts_in_the_training_loss_alone():
    config = default.get_config()
    config.model.update({"nf": 4, "ch_mult": (1,), "patch_size": 1, "dropout": 0.5})
    model, x = build.model(config.model), normal(19, (8, 8, 1))
    shapes = jax.eval_shape(model.init, jax.random.key(0), x[None], jnp.ones(1))["params"]
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda p: np.float32(rng.normal(0, 0.3, p.shape)), shapes)
    key, values = jax.random.key(1), {}
    for rate in (0.0, 0.5):
        loss, loss_at = build.loss(config, model.clone(dropout=rate))
        values[rate] = jax.jit(loss)(key, params, x), jax.jit(loss_at)(key, params, x, jnp.float32(0.3))
    assert abs(values[0.0][0] - values[0.5][0]) > 1e-3
    assert values[0.0][1] == values[0.5][1]


def test_each_image_of_a_batch_is_on_its_own():
    model, params, x, sigma = small_network(num_channels=2)
    apply = jax.jit(model.apply)
    both = apply({"params": params}, x, sigma)
    np.testing.assert_allclose(both[1:], apply({"params": params}, x[1:], sigma[1:]), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("changes", "shape", "message"),
    [
        ({}, (1, 17, 16, 1), "17 x 16 pixels, but both must be multiples of 2"),
        ({}, (1, 16, 16, 2), "image has 2 channels, but num_channels=1"),
        ({"nonlinearity": "gelu"}, (1, 16, 16, 1), "nonlinearity='gelu' is not one of"),
    ],
)
def test_mistakes_get_one_line(changes, shape, message):
    with pytest.raises(ValueError, match=message):
        NCSNpp(nf=8, ch_mult=(1, 2), **changes).init(jax.random.key(0), jnp.zeros(shape), jnp.ones(1))
