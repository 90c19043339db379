"""Priors with exact scores, operators that decouple the coefficients, and the posteriors that follow."""

from functools import partial

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Float

from scoreinv.operators.base import LinearOperator, Measurement
from scoreinv.prior import Prior
from scoreinv.sde import VESDE

# Tests compile without optimisation (tests/conftest.py); a program of hundreds of steps is worth it.
OPTIMISED = {"xla_backend_optimization_level": 3, "xla_llvm_disable_expensive_passes": False}
compile_long = partial(jax.jit, compiler_options=OPTIMISED)
SHAPE = (512, 8, 1)  # short rows: the dense cosine transform along them is cheap
TAU = 0.5


def gaussian_score(sde, tau, mean, x, t):
    """Score of alpha x_0 + sigma z with x_0 ~ N(mean, tau^2 I)."""
    alpha, sigma = sde.marginal_prob(t)
    return (alpha * mean - x) / (alpha**2 * tau**2 + sigma**2)


def gaussian_prior(sde=None, tau=TAU, mean=0.0, shape=SHAPE):
    """The prior N(mean, tau^2 I)."""
    sde = VESDE(0.01, 10.0) if sde is None else sde
    return Prior(sde, Partial(gaussian_score, sde, jnp.float32(tau), jnp.full(shape, mean, jnp.float32)), shape)


def mixture_score(sde, centers, weights, tau, x, t):
    """Score of independent pixels x_0 ~ sum_k weights_k N(centers_k, tau^2)."""
    alpha, sigma = sde.marginal_prob(t)
    variance = (alpha * tau) ** 2 + sigma**2
    pull = alpha * centers - x[..., None]
    share = jax.nn.softmax(jnp.log(weights) - pull**2 / (2 * variance), axis=-1)
    return (share * pull).sum(-1) / variance


def mixture_prior(sde=None, centers=(-1.0, 1.0), weights=(0.4, 0.6), tau=0.3, shape=SHAPE):
    """The prior of independent pixels sum_k weights_k N(centers_k, tau^2)."""
    sde = VESDE(0.01, 10.0) if sde is None else sde
    constants = (jnp.float32(centers), jnp.float32(weights), jnp.float32(tau))
    return Prior(sde, Partial(mixture_score, sde, *constants), shape)


def mixture_posterior(y, gain, noise_std, centers=(-1.0, 1.0), weights=(0.4, 0.6), tau=0.3):
    """(mean, std) of a pixel of `mixture_prior` given y = gain x + noise_std n."""
    centers, weights = np.array(centers), np.array(weights)
    evidence = (gain * tau) ** 2 + noise_std**2
    share = weights * np.exp(-((y - gain * centers) ** 2) / (2 * evidence))
    share /= share.sum()
    means = centers + gain * tau**2 * (y - gain * centers) / evidence
    variance = tau**2 * noise_std**2 / evidence
    mean = (share * means).sum()
    return mean, np.sqrt(variance + (share * (means - mean) ** 2).sum())


def cosine_matrix(n):
    """The orthonormal DCT-II matrix."""
    k, i = np.arange(n)[:, None], np.arange(n)[None, :]
    matrix = np.sqrt(2 / n) * np.cos(np.pi * (2 * i + 1) * k / (2 * n))
    matrix[0] /= np.sqrt(2)
    return jnp.asarray(matrix, jnp.float32)


@flax.struct.dataclass
class GainedCosine:
    """A cosine transform along the rows times a gain per coefficient; orthonormal where the gain is 1."""

    matrix: Float[Array, "W W"]
    gain: Float[Array, "H W 1"]

    def forward(self, x):
        return self.gain * jnp.einsum("kw,hwc->hkc", self.matrix, x)

    def adjoint(self, z):
        return jnp.einsum("kw,hkc->hwc", self.matrix, self.gain * z)

    def inverse(self, z, mask=None):
        return jnp.einsum("kw,hkc->hwc", self.matrix, z / self.gain)

    def pseudo_inverse(self, mask, z):
        return self.inverse(mask * z)


def half_mask(key, shape=SHAPE):
    """A random half of the coefficients."""
    return jax.random.bernoulli(key, 0.5, shape).astype(jnp.float32)


def masked_cosine(mask, gain=1.0):
    """A = P(mask) T with T orthonormal up to the gain."""
    return _masked(mask, cosine_matrix(mask.shape[1]), gain)


def masked_pixels(mask, gain=1.0):
    """A = P(mask) gain, which measures pixels."""
    return _masked(mask, jnp.eye(mask.shape[1], dtype=jnp.float32), gain)


def _masked(mask, matrix, gain):
    return LinearOperator(mask, GainedCosine(matrix, jnp.broadcast_to(jnp.float32(gain), mask.shape)))


def constant_measurement(operator, value, noise_std=0.0):
    """A measurement of `value` in every measured coefficient."""
    return Measurement(value * operator.mask, operator, jnp.float32(noise_std))


def gaussian_posterior(value, noise_std, gain=1.0, tau=TAU):
    """(mean, std) of a coefficient x ~ N(0, tau^2) given value = gain x + noise_std n."""
    evidence = (gain * tau) ** 2 + noise_std**2
    return gain * tau**2 * value / evidence, tau * noise_std / np.sqrt(evidence)
