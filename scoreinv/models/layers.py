"""Layers of the NCSN++ network: FIR resampling, normalisation, attention, residual blocks, noise embeddings.

Song et al., "Score-Based Generative Modeling through Stochastic Differential Equations", ICLR 2021, appendix H. Tensors
are [N, H, W, C]; convolutions run in `dtype`, parameters and normalisation statistics stay in float32.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from scoreinv.models import resample
from scoreinv.models.resample import convolve

Features = Float[Array, "N H W C"]
Activation = Callable[[Array], Array]
DType = Any


def uniform_init(scale: float = 1.0):
    """Uniform variance scaling by the mean of fan-in and fan-out; scale 0 stands for 1e-10, as published."""
    return nn.initializers.variance_scaling(max(scale, 1e-10), "fan_avg", "uniform")


class Conv(nn.Module):
    """A convolution of odd size with zero padding, stride 1 and bias.

    Attributes:
        features: output channels.
        size: height and width of the kernel.
        dtype: type it is computed in.
        init_scale: variance scaling of the initial kernel.
    """

    features: int
    size: int
    dtype: DType
    init_scale: float = 1.0

    @nn.compact
    def __call__(self, x: Features) -> Float[Array, "N H W D"]:
        shape = (self.size, self.size, x.shape[-1], self.features)
        kernel = self.param("kernel", uniform_init(self.init_scale), shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return convolve(x.astype(self.dtype), kernel.astype(self.dtype), 1, "SAME") + bias.astype(self.dtype)


def number_of_groups(channels: int) -> int:
    """min(channels / 4, 32) as published, or the next smaller number that divides the channels."""
    return next(g for g in range(max(1, min(channels // 4, 32)), 0, -1) if channels % g == 0)


@partial(jax.custom_jvp, nondiff_argnums=(3,))
def group_norm(
    x: Features, scale: Float[Array, " C"], bias: Float[Array, " C"], groups: int
) -> Float[Array, "N H W C"]:
    """Group normalisation (Wu and He 2018): (x - mean) / sqrt(variance + 1e-6) scale + bias.

    Written as a x + b with a, b [N, 1, 1, C], so that XLA makes two passes over x. The derivative is the closed form,
    arranged so that its transpose also takes two sums over the pixels, which serve x, scale and bias alike.

    Args:
        x: features, float32.
        scale: weight of every channel.
        bias: offset of every channel.
        groups: number of groups of channels.

    Returns:
        Features normalised over each group of channels of each image.
    """
    mean, deviation = _group_statistics(x, groups)
    a = scale / deviation
    return x * a + (bias - mean * a)


@group_norm.defjvp
def _group_norm_jvp(groups, primals, tangents):
    (x, scale, bias), (dx, dscale, dbias) = primals, tangents
    mean, deviation = _group_statistics(x, groups)
    a, normal = scale / deviation, (x - mean) / deviation
    shift, stretch = _group_mean(dx, groups), _group_mean(normal * dx, groups)
    return x * a + (bias - mean * a), dx * a + (dbias - a * shift) + normal * (dscale - a * stretch)


def _group_mean(x, groups):
    """The mean over the pixels and channels of each group, for every channel [N, 1, 1, C]."""
    n, _, _, channels = x.shape
    mean = x.mean((1, 2)).reshape(n, groups, channels // groups).mean(-1, keepdims=True)
    return jnp.broadcast_to(mean, (n, groups, channels // groups)).reshape(n, 1, 1, channels)


def _group_statistics(x, groups):
    mean = _group_mean(x, groups)
    variance = jnp.maximum(_group_mean(x * x, groups) - mean * mean, 0.0)
    return mean, jnp.sqrt(variance + 1e-6)


class GroupNorm(nn.Module):
    """Group normalisation, then an activation; statistics, scale and shift are computed in float32."""

    act: Activation | None
    dtype: DType

    @nn.compact
    def __call__(self, x: Features) -> Features:
        channels = x.shape[-1]
        scale = self.param("scale", nn.initializers.ones, (channels,))
        bias = self.param("bias", nn.initializers.zeros, (channels,))
        y = group_norm(x.astype(jnp.float32), scale, bias, number_of_groups(channels))
        return (self.act(y) if self.act else y).astype(self.dtype)


class Attention(nn.Module):
    """Single-head self-attention over all pixels, with 1 x 1 projections and a residual connection."""

    init_scale: float
    skip_rescale: bool
    dtype: DType

    @nn.compact
    def __call__(self, x: Features) -> Features:
        n, h, w, c = x.shape
        hidden = GroupNorm(None, self.dtype, name="norm")(x).reshape(n, h * w, 1, c)

        def project(name, y, init_scale=0.1):
            return nn.Dense(c, dtype=self.dtype, kernel_init=uniform_init(init_scale), name=name)(y)

        query, key, value = (project(name, hidden) for name in ("query", "key", "value"))
        hidden = jax.nn.dot_product_attention(query, key, value)
        return add_residual(x, project("out", hidden, self.init_scale).reshape(x.shape), self.skip_rescale)


def add_residual(x, h, rescale: bool):
    """x + h, divided by sqrt(2) when `rescale`, so that the variance does not grow with depth."""
    return (x + h) * np.float32(np.sqrt(0.5)) if rescale else x + h


class ResnetBlock(nn.Module):
    """A residual block: norm, act, (resample), conv, + noise embedding, norm, act, dropout, conv, + shortcut.

    Attributes:
        features: output channels; None keeps the input's.
        act: activation.
        dropout: dropout rate before the second convolution.
        init_scale: initial scale of the second convolution.
        skip_rescale: divides the sum with the shortcut by sqrt(2).
        dtype: type of the convolutions.
        shortcut_scale: initial scale of the 1 x 1 shortcut, 1 in BigGAN blocks and 0.1 in DDPM blocks.
        resample: None, or a function that doubles or halves height and width of hidden features and shortcut.
    """

    features: int | None
    act: Activation
    dropout: float
    init_scale: float
    skip_rescale: bool
    dtype: DType
    shortcut_scale: float = 1.0
    resample: Callable[[Array], Array] | None = None

    @nn.compact
    def __call__(self, x: Features, embedding: Float[Array, "N E"] | None, train: bool) -> Float[Array, "N H2 W2 D"]:
        features = self.features or x.shape[-1]
        h = GroupNorm(self.act, self.dtype, name="norm_0")(x)
        if self.resample:
            h, x = self.resample(h), self.resample(x)
        h = Conv(features, 3, self.dtype, name="conv_0")(h)
        if embedding is not None:
            shift = nn.Dense(features, kernel_init=uniform_init(), name="embedding")(self.act(embedding))
            h = h + shift[:, None, None].astype(h.dtype)
        h = GroupNorm(self.act, self.dtype, name="norm_1")(h)
        h = nn.Dropout(self.dropout, deterministic=not train)(h)
        h = Conv(features, 3, self.dtype, self.init_scale, name="conv_1")(h)
        if features != x.shape[-1] or self.resample:
            x = Conv(features, 1, self.dtype, self.shortcut_scale, name="shortcut")(x)
        return add_residual(x, h, self.skip_rescale)


class ResampleConv(nn.Module):
    """Resampling by two joined with a 3 x 3 convolution.

    Attributes:
        features: output channels.
        up: double, or halve, height and width.
        fir_kernel: FIR filter; None repeats pixels before, or strides in, a zero-padded convolution.
        dtype: type of the convolution.
    """

    features: int
    up: bool
    fir_kernel: tuple[int | float, ...] | None
    dtype: DType

    @nn.compact
    def __call__(self, x: Features) -> Float[Array, "N H2 W2 D"]:
        kernel = self.param("kernel", uniform_init(), (3, 3, x.shape[-1], self.features)).astype(self.dtype)
        bias = self.param("bias", nn.initializers.zeros, (self.features,)).astype(self.dtype)
        x = x.astype(self.dtype)
        if self.fir_kernel is not None:
            fir_conv = resample.upsample_fir_conv if self.up else resample.downsample_fir_conv
            return fir_conv(x, kernel, self.fir_kernel) + bias
        if self.up:
            return convolve(resample.upsample_nearest(x), kernel, 1, "SAME") + bias
        return convolve(x, kernel, 2, "SAME") + bias


class FourierEmbedding(nn.Module):
    """sin and cos of 2 pi w v for fixed random frequencies w ~ N(0, scale^2) (Song et al. 2021, appendix H)."""

    size: int
    scale: float

    @nn.compact
    def __call__(self, v: Float[Array, " N"]) -> Float[Array, "N E"]:
        frequencies = self.param("frequencies", nn.initializers.normal(self.scale), (self.size,))
        # In this order, as published: at frequencies of 16 a rounding of the angle shows in the output.
        angle = v[:, None] * jax.lax.stop_gradient(frequencies) * (2 * jnp.pi)
        return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], -1)


def positional_embedding(v: Float[Array, " N"], size: int) -> Float[Array, "N E"]:
    """Sinusoids of a label at frequencies from 1 to 1e-4 in geometric progression (Vaswani et al. 2017)."""
    half = size // 2
    frequencies = jnp.exp(jnp.arange(half) * -(math.log(10000.0) / (half - 1)))
    angle = v[:, None] * frequencies
    return jnp.pad(jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], -1), ((0, 0), (0, size % 2)))
