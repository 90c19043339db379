"""Samplers of deepinv (https://deepinv.org) on a measurement of this package, with one of its priors as their denoiser.

The measurement is divided by the norm of its operator, the scale in which deepinv's defaults are meant. What the
samplers themselves do, noise schedules and weights included, is deepinv's.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import deepinv
import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch import Tensor

from scoreinv.operators.base import Measurement
from scoreinv.prior import Prior, cycle_spinning
from scoreinv.samplers.base import tweedie
from scoreinv.samplers.data_terms import squared_norm

SMALLEST_LEVEL = 2e-3  # that the bundled priors were trained for


def to_torch(x: jax.Array) -> Tensor:
    """An image [H, W, C] as [1, C, H, W]."""
    return torch.from_numpy(np.array(x, np.float32)).permute(2, 0, 1)[None]


def to_jax(x: Tensor) -> jax.Array:
    """[1, C, H, W] as an image [H, W, C]."""
    return jnp.asarray(x.detach()[0].permute(1, 2, 0).numpy(), jnp.float32)


def real_parts(y: jax.Array) -> Tensor:
    """Coefficients as [1, ...] real numbers, the parts of complex ones along the last axis."""
    parts = jnp.stack([y.real, y.imag], -1) if jnp.iscomplexobj(y) else y
    return torch.from_numpy(np.array(parts, np.float32))[None]


def coefficients(y: Tensor, like: jax.Array) -> jax.Array:
    """The inverse of `real_parts`."""
    values = jnp.asarray(y.detach()[0].numpy(), jnp.float32)
    return jax.lax.complex(values[..., 0], values[..., 1]) if jnp.iscomplexobj(like) else values


class Linked(torch.autograd.Function):
    """A function of JAX inside a program of torch, with its vector-Jacobian product."""

    @staticmethod
    def forward(ctx, x: Tensor, function: Callable[[Tensor], Tensor], pull_back: Callable) -> Tensor:
        """function(x), in the precision of x."""
        ctx.save_for_backward(x)
        ctx.pull_back = pull_back
        return function(x).to(x.dtype)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        """pull_back(x, gradient)."""
        (x,) = ctx.saved_tensors
        return ctx.pull_back(x, gradient).to(x.dtype), None, None


@jax.jit
def _denoise(prior: Prior, x, sigma):
    t = jnp.asarray(prior.sde.time_at(sigma))
    return tweedie(prior, prior.sde.marginal_prob(t)[0] * x, t)


@jax.jit
def _denoise_pull_back(prior: Prior, x, sigma, gradient):
    return jax.vjp(lambda v: _denoise(prior, v, sigma), x)[1](gradient)[0]


class PriorDenoiser(deepinv.models.Denoiser):
    """E[x_0 | x_0 + sigma z = x] of a prior of real images; of two channels the second, imaginary one becomes zero.

    Attributes:
        calls: network calls so far.
    """

    def __init__(self, prior: Prior):
        super().__init__()
        self.prior, self.calls = prior, 0

    def forward(self, x: Tensor, sigma: Tensor | float, *arguments, **named) -> Tensor:
        """The denoised image."""
        level = jnp.float32(max(float(torch.as_tensor(sigma).reshape(-1)[0]), SMALLEST_LEVEL))
        self.calls += 1
        denoised = Linked.apply(x[:, :1], partial(self._denoised, level), partial(self._pulled_back, level))
        return torch.cat([denoised, torch.zeros_like(x[:, 1:])], 1)

    def _denoised(self, level, x: Tensor) -> Tensor:
        return to_torch(_denoise(self.prior, to_jax(x), level))

    def _pulled_back(self, level, x: Tensor, gradient: Tensor) -> Tensor:
        return to_torch(_denoise_pull_back(self.prior, to_jax(x), level, to_jax(gradient)))


class Operator(deepinv.physics.LinearPhysics):
    """The operator of a measurement, divided by its norm."""

    def __init__(self, measurement: Measurement):
        operator = measurement.operator
        self.scale = float(jnp.sqrt(squared_norm(measurement)))
        noise = deepinv.physics.GaussianNoise(float(measurement.noise_std) / self.scale)
        super().__init__(noise_model=noise)
        self._y = measurement.y
        self._forward = jax.jit(lambda x: operator(x) / self.scale)
        self._adjoint = jax.jit(lambda y: operator.adjoint(y) / self.scale)

    def A(self, x: Tensor, **named) -> Tensor:
        """A x."""
        return Linked.apply(x, self._image_to_data, lambda _, gradient: self._data_to_image(gradient))

    def A_adjoint(self, y: Tensor, **named) -> Tensor:
        """A^H y."""
        return Linked.apply(y, self._data_to_image, lambda _, gradient: self._image_to_data(gradient))

    def _image_to_data(self, x: Tensor) -> Tensor:
        return real_parts(self._forward(to_jax(x)))

    def _data_to_image(self, y: Tensor) -> Tensor:
        return to_torch(self._adjoint(coefficients(y, self._y)))


class Drawn(NamedTuple):
    """One image [H, W, 1] and the network calls that it took."""

    image: jax.Array
    calls: int


def _draw(sampler_of: Callable, prior: Prior, measurement: Measurement, seed: int, steps: int) -> Drawn:
    torch.manual_seed(seed)
    denoiser, physics = PriorDenoiser(cycle_spinning(prior, 4)), Operator(measurement)
    x = sampler_of(denoiser, steps)(real_parts(measurement.y) / physics.scale, physics)
    return Drawn(to_jax(x)[..., :1], denoiser.calls)


def diffpir(prior: Prior, measurement: Measurement, seed: int, steps: int) -> Drawn:
    """deepinv.sampling.DiffPIR (Zhu et al. 2023) with its default weights; the noise must be above 0."""

    def sampler_of(denoiser, steps):
        return deepinv.sampling.DiffPIR(denoiser, deepinv.optim.data_fidelity.L2(), max_iter=steps)

    return _draw(sampler_of, prior, measurement, seed, steps)


def dps(prior: Prior, measurement: Measurement, seed: int, steps: int) -> Drawn:
    """deepinv.sampling.DPS (Chung et al. 2023): variance-preserving, ancestral, weight 1, its "annealed" likelihood.

    Its default form, the residual's norm, is weighed by the step of the diffusion: at weight 1 the data change nothing.
    """

    def sampler_of(denoiser, steps):
        return deepinv.sampling.DPS(denoiser, num_steps=steps, guidance="annealed")

    return _draw(sampler_of, prior, measurement, seed, steps)


def ddrm(prior: Prior, measurement: Measurement, seed: int, steps: int) -> Drawn:
    """deepinv.sampling.DDRM (Kawar et al. 2022) with deepinv's own Fourier operator; Cartesian MRI of one coil."""
    torch.manual_seed(seed)
    denoiser = PriorDenoiser(cycle_spinning(prior, 4))
    physics, y = fourier_operator(measurement)
    sampler = deepinv.sampling.DDRM(denoiser, sigmas=np.linspace(1, 0, steps))
    return Drawn(to_jax(sampler(y, physics))[..., :1], denoiser.calls)


def fourier_operator(measurement: Measurement) -> tuple[deepinv.physics.MRI, Tensor]:
    """deepinv's operator of a Cartesian measurement of one coil, and the data as it takes them."""
    y, operator, noise_std = measurement
    mask = torch.from_numpy(np.broadcast_to(np.asarray(operator.mask, np.float32), y.shape).copy())
    physics = deepinv.physics.MRI(mask=mask, noise_model=deepinv.physics.GaussianNoise(float(noise_std)))
    return physics, real_parts(y).permute(0, 3, 1, 2)


PEERS: dict[str, Callable[[Prior, Measurement, int, int], Drawn]] = {
    "deepinv_ddrm": ddrm,
    "deepinv_diffpir": diffpir,
    "deepinv_dps": dps,
}
