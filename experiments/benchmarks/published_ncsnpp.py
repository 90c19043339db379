"""The operations of the published NCSN++ (Song et al. 2021, appendix H), written plainly: a reference, not for use.

FIR resampling stuffs zeros and runs a grouped convolution with the two-dimensional filter, 1 x 1 projections are
products over the last axis, attention holds all its weights, normalisation is two-pass. Parameters carry the names of
the published checkpoints: every module is called after its class and numbered by its scope in the order of use, so the
names follow from the order of operations alone and not from the table that the importer has.
"""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

ACTIVATIONS = {
    "swish": lambda x: x * jax.nn.sigmoid(x),
    "relu": lambda x: jnp.maximum(x, 0),
    "elu": lambda x: jnp.where(x > 0, x, jnp.expm1(jnp.minimum(x, 0))),
    "lrelu": lambda x: jnp.where(x >= 0, x, 0.2 * x),
}


class Scope:
    """Parameters by published name, seen from inside one module; `rng` makes those that are not there yet."""

    def __init__(self, params: dict, prefix: str = "", rng: np.random.Generator | None = None):
        self.params, self.prefix, self.rng, self.count = params, prefix, rng, Counter[str]()

    def child(self, kind: str) -> "Scope":
        """The next module of a class."""
        self.count[kind] += 1
        return Scope(self.params, f"{self.prefix}{kind}_{self.count[kind] - 1}/", self.rng)

    def param(self, name: str, *shape: int, mean: float = 0.0, std: float = 0.1) -> jax.Array:
        """One parameter of this module."""
        key = self.prefix + name
        if self.rng is not None and key not in self.params:
            self.params[key] = (mean + std * self.rng.standard_normal(shape)).astype(np.float32)
        return self.params[key]


def conv(scope, x, features, size, stride=1, kind="Conv"):
    """flax.linen.Conv with "SAME" padding, or the Conv2d of StyleGAN2 without it."""
    scope = scope.child(kind)
    std = 1 / math.sqrt(size * size * x.shape[-1])
    weight = scope.param("kernel", size, size, x.shape[-1], features, std=std)
    bias = scope.param("bias", features)
    return convolve(x, weight, stride, "SAME") + bias


def convolve(x, weight, stride, padding, **options):
    """A convolution in [N, H, W, C] layout."""
    numbers = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, weight, (stride, stride), padding, dimension_numbers=numbers, **options)


def dense(scope, x, features, kind="Dense", names=("kernel", "bias")):
    """A matrix product over the last axis: Dense, or NIN with its own names."""
    scope = scope.child(kind)
    weight = scope.param(names[0], x.shape[-1], features, std=1 / math.sqrt(x.shape[-1]))
    return jnp.einsum("...c,cd->...d", x, weight) + scope.param(names[1], features)


def nin(scope, x, features):
    """ "Network in network": a matrix product over channels."""
    return dense(scope, x, features, "NIN", ("W", "b"))


def group_norm(scope, x):
    """Group normalisation with min(C // 4, 32) groups."""
    scope = scope.child("GroupNorm")
    n, h, w, c = x.shape
    groups = min(c // 4, 32)
    grouped = x.reshape(n, h, w, groups, c // groups)
    mean = grouped.mean((1, 2, 4), keepdims=True)
    variance = ((grouped - mean) ** 2).mean((1, 2, 4), keepdims=True)
    normal = ((grouped - mean) / jnp.sqrt(variance + 1e-6)).reshape(x.shape)
    return normal * scope.param("scale", c, mean=1.0) + scope.param("bias", c)


def upfirdn(x, kernel, up, down, before, after):
    """Stuffs zeros, pads, convolves every channel with the two-dimensional filter, keeps every `down`-th pixel."""
    n, h, w, c = x.shape
    x = jnp.pad(x.reshape(n, h, 1, w, 1, c), ((0, 0), (0, 0), (0, up - 1), (0, 0), (0, up - 1), (0, 0)))
    x = jax.lax.pad(
        x.reshape(n, h * up, w * up, c), 0.0, ((0, 0, 0), (before, after, 0), (before, after, 0), (0, 0, 0))
    )
    weight = jnp.tile(jnp.asarray(kernel)[::-1, ::-1, None, None], (1, 1, 1, c))
    return convolve(x, weight, 1, "VALID", feature_group_count=c)[:, ::down, ::down]


def fir_filter(taps):
    """The two-dimensional filter of sum 1."""
    taps = np.asarray(taps, np.float32)
    return np.outer(taps, taps) / np.sum(np.outer(taps, taps))


def upsample(x, config):
    """Doubles height and width without parameters."""
    if not config["fir"]:
        return jnp.repeat(jnp.repeat(x, 2, 1), 2, 2)
    taps = config["fir_kernel"]
    p = len(taps) - 2
    return upfirdn(x, 4 * fir_filter(taps), 2, 1, (p + 1) // 2 + 1, p // 2)


def downsample(x, config):
    """Halves height and width without parameters."""
    if not config["fir"]:
        return (x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]) / 4
    taps = config["fir_kernel"]
    p = len(taps) - 2
    return upfirdn(x, fir_filter(taps), 1, 2, (p + 1) // 2, p // 2)


def upsample_module(scope, x, features, with_conv, config):
    """The published module Upsample, which is numbered also where it has no parameters."""
    scope = scope.child("Upsample")
    if not with_conv:
        return upsample(x, config)
    if not config["fir"]:
        return conv(scope, upsample(x, config), features, 3)
    scope, taps = scope.child("Conv2d"), config["fir_kernel"]
    weight = scope.param("weight", 3, 3, x.shape[-1], features, std=1 / math.sqrt(9 * x.shape[-1]))
    # The transposed convolution of StyleGAN2: zeros between the pixels, the kernel as it lies in the file.
    x = convolve(x, weight, 1, ((2, 2), (2, 2)), lhs_dilation=(2, 2))
    p = len(taps) - 2 - 2
    x = upfirdn(x, 4 * fir_filter(taps), 1, 1, (p + 1) // 2 + 1, p // 2 + 1)
    return x + scope.param("bias", features)


def downsample_module(scope, x, features, with_conv, config):
    """The published module Downsample."""
    scope = scope.child("Downsample")
    if not with_conv:
        return downsample(x, config)
    if not config["fir"]:
        return conv(scope, x, features, 3, stride=2)
    scope, taps = scope.child("Conv2d"), config["fir_kernel"]
    weight = scope.param("weight", 3, 3, x.shape[-1], features, std=1 / math.sqrt(9 * x.shape[-1]))
    p = len(taps) - 2 + 2
    x = upfirdn(x, fir_filter(taps), 1, 1, (p + 1) // 2, p // 2)
    return convolve(x, weight, 2, "VALID") + scope.param("bias", features)


def add(x, h, config):
    """A residual sum."""
    return (x + h) / np.float32(np.sqrt(2)) if config["skip_rescale"] else x + h


def residual_block(scope, x, embedding, config, features=None, resample=None):
    """ResnetBlockBigGANpp or ResnetBlockDDPMpp."""
    biggan, act = config["resblock_type"] == "biggan", ACTIVATIONS[config["nonlinearity"]]
    scope = scope.child("ResnetBlockBigGANpp" if biggan else "ResnetBlockDDPMpp")
    features = features or x.shape[-1]
    h = act(group_norm(scope, x))
    if resample:
        h, x = resample(h, config), resample(x, config)
    h = conv(scope, h, features, 3)
    if embedding is not None:
        h = h + dense(scope, act(embedding), features)[:, None, None]
    h = conv(scope, act(group_norm(scope, h)), features, 3)
    if x.shape[-1] != features or resample:
        x = conv(scope, x, features, 1) if biggan else nin(scope, x, features)
    return add(x, h, config)


def attention_block(scope, x, config):
    """AttnBlockpp: one head over all pixels."""
    scope, c = scope.child("AttnBlockpp"), x.shape[-1]
    h = group_norm(scope, x)
    q, k, v = (nin(scope, h, c) for _ in range(3))
    weights = jnp.einsum("nhwc,nijc->nhwij", q, k) / math.sqrt(c)
    weights = jax.nn.softmax(weights.reshape(*weights.shape[:3], -1), -1).reshape(weights.shape)
    h = jnp.einsum("nhwij,nijc->nhwc", weights, v)
    return add(x, nin(scope, h, c), config)


def embed(scope, label, config):
    """The noise embedding, and the noise level that the output is divided by."""
    nf, act = config["nf"], ACTIVATIONS[config["nonlinearity"]]
    if config["embedding_type"] == "fourier":
        frequencies = scope.child("GaussianFourierProjection").param("W", nf, std=config["fourier_scale"])
        angle, sigma = jnp.log(label)[:, None] * frequencies[None] * 2 * jnp.pi, label
        v = jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], -1)
    else:
        half = nf // 2
        angle = label[:, None] * jnp.exp(jnp.arange(half) * -(math.log(10000) / (half - 1)))[None]
        v = jnp.pad(jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], -1), ((0, 0), (0, nf % 2)))
        levels = np.linspace(np.log(config["sigma_max"]), np.log(config["sigma_min"]), config["num_scales"])
        sigma = jnp.exp(jnp.asarray(levels, jnp.float32))[label.astype(jnp.int32)]
    if not config["conditional"]:
        return None, sigma
    return dense(scope, act(dense(scope, v, 4 * nf)), 4 * nf), sigma


def forward(
    params: dict[str, Any],
    config: Mapping[str, Any],
    x: jax.Array,
    label: jax.Array,
    rng: np.random.Generator | None = None,
) -> jax.Array:
    """The published forward pass.

    Args:
        params: flat parameters by published name.
        config: the published `config.model` and `config.data` fields, flat.
        x: images [N, H, W, C].
        label: noise levels, or time steps for positional embedding [N].
        rng: where given, missing parameters are drawn from it and put into `params`.

    Returns:
        [N, H, W, C].
    """
    scope = Scope(params, rng=rng)
    embedding, sigma = embed(scope, label, config)
    x = x if config["data_centered"] else 2 * x - 1
    h, skips = way_down(scope, x, embedding, config)
    h = residual_block(scope, h, embedding, config)
    h = attention_block(scope, h, config)
    h = residual_block(scope, h, embedding, config)
    h = way_up(scope, h, skips, x.shape[-1], embedding, config)
    return h / sigma[:, None, None, None] if config["scale_by_sigma"] else h


def way_down(scope, x, embedding, config):
    """Features of the lowest level and the skip connections."""
    pyramid, h = x, conv(scope, x, config["nf"], 3)
    skips, kind = [h], config["progressive_input"]
    for level, multiplier in enumerate(config["ch_mult"]):
        for _ in range(config["num_res_blocks"]):
            h = residual_block(scope, h, embedding, config, config["nf"] * multiplier)
            if h.shape[1] in config["attn_resolutions"]:
                h = attention_block(scope, h, config)
            skips.append(h)
        if level == len(config["ch_mult"]) - 1:
            break
        if config["resblock_type"] == "ddpm":
            h = downsample_module(scope, h, h.shape[-1], config["resamp_with_conv"], config)
        else:
            h = residual_block(scope, h, embedding, config, resample=downsample)
        if kind == "input_skip":
            pyramid = downsample_module(scope, pyramid, None, False, config)
            projected = conv(scope.child("Combine"), pyramid, h.shape[-1], 1)
            h = projected + h if config["progressive_combine"] == "sum" else jnp.concatenate([projected, h], -1)
        elif kind == "residual":
            pyramid = h = add(downsample_module(scope, pyramid, h.shape[-1], True, config), h, config)
        skips.append(h)
    return h, skips


def way_up(scope, h, skips, channels, embedding, config):
    """The output before it is divided by sigma."""
    act, kind, pyramid = ACTIVATIONS[config["nonlinearity"]], config["progressive"], None
    for level in reversed(range(len(config["ch_mult"]))):
        for _ in range(config["num_res_blocks"] + 1):
            h = jnp.concatenate([h, skips.pop()], -1)
            h = residual_block(scope, h, embedding, config, config["nf"] * config["ch_mult"][level])
        if h.shape[1] in config["attn_resolutions"]:
            h = attention_block(scope, h, config)
        if pyramid is None and kind != "none":
            pyramid = conv(scope, act(group_norm(scope, h)), channels if kind == "output_skip" else h.shape[-1], 3)
        elif kind == "output_skip":
            pyramid = upsample_module(scope, pyramid, None, False, config)
            pyramid = pyramid + conv(scope, act(group_norm(scope, h)), channels, 3)
        elif kind == "residual":
            pyramid = h = add(upsample_module(scope, pyramid, h.shape[-1], True, config), h, config)
        if level > 0 and config["resblock_type"] == "ddpm":
            h = upsample_module(scope, h, h.shape[-1], config["resamp_with_conv"], config)
        elif level > 0:
            h = residual_block(scope, h, embedding, config, resample=upsample)
    return pyramid if kind == "output_skip" else conv(scope, act(group_norm(scope, h)), channels, 3)


def random_checkpoint(config: Mapping[str, Any], seed: int = 0) -> dict[str, Any]:
    """A checkpoint tree in the published layout with random parameters."""
    side = config["image_size"]
    flat: dict[str, Any] = {}
    rng = np.random.default_rng(seed)
    jax.eval_shape(lambda: forward(flat, config, jnp.zeros((1, side, side, config["num_channels"])), jnp.ones(1), rng))
    params = flax.traverse_util.unflatten_dict(flat, sep="/")
    state = {"step": np.int32(7), "lr": np.float32(2e-4), "ema_rate": np.float32(0.999), "rng": np.zeros(2, np.uint32)}
    return state | {"params_ema": params, "model_state": {}, "optimizer": {"target": params}}
