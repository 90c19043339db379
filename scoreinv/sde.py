"""Forward diffusions dx = f(t) x dt + g(t) dw on t in [0, 1], as frozen pytrees of their constants.

Song et al., "Score-Based Generative Modeling through Stochastic Differential Equations", ICLR 2021, section 3.4 and
appendix B. t = 0 is data; every marginal is x_t | x_0 ~ N(alpha(t) x_0, sigma(t)^2 I). No step count lives here: a time
grid belongs to the sampler.

`name` is part of the pytree's structure: JAX 0.10 calls the structures of two dataclasses with equally many leaves
equal whatever their classes, and then takes, now and then, the compiled program of one for the other.
"""

from typing import Protocol, runtime_checkable

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from scoreinv.typing import Scalar


@runtime_checkable
class SDE(Protocol):
    """What samplers and losses need of a diffusion."""

    def marginal_prob(self, t: Scalar) -> tuple[Scalar, Scalar]:
        """(alpha, sigma) of x_t = alpha x_0 + sigma z."""
        ...

    def sde(self, x: Float[Array, "*shape"], t: Scalar) -> tuple[Float[Array, "*shape"], Scalar]:
        """(drift f(t) x, diffusion g(t)) of the forward equation."""
        ...

    def prior_sample(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
        """A draw from the marginal at t = 1 with the data's mean neglected."""
        ...

    def time_at(self, noise_to_signal: Scalar) -> Scalar:
        """The t at which sigma(t) / alpha(t) equals `noise_to_signal`."""
        ...


@flax.struct.dataclass
class VESDE:
    """Variance exploding (Song et al. 2021, app. C): alpha = 1, sigma(t) = sigma_min (sigma_max / sigma_min)^t."""

    sigma_min: Scalar = 0.01
    sigma_max: Scalar = 128.0
    name: str = flax.struct.field(pytree_node=False, default="ve")

    def marginal_prob(self, t: Scalar) -> tuple[Scalar, Scalar]:
        ratio = self.sigma_max / self.sigma_min
        return jnp.ones_like(t), self.sigma_min * ratio**t

    def sde(self, x: Float[Array, "*shape"], t: Scalar) -> tuple[Float[Array, "*shape"], Scalar]:
        _, sigma = self.marginal_prob(t)
        return jnp.zeros_like(x), sigma * jnp.sqrt(2 * jnp.log(self.sigma_max / self.sigma_min))

    def prior_sample(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
        return self.sigma_max * jax.random.normal(key, shape)

    def time_at(self, noise_to_signal: Scalar) -> Scalar:
        return jnp.log(noise_to_signal / self.sigma_min) / jnp.log(self.sigma_max / self.sigma_min)


@flax.struct.dataclass
class VPSDE:
    """Variance preserving (Song et al. 2021, eq. 11): beta(t) is linear in t, sigma^2 = 1 - alpha^2."""

    beta_min: Scalar = 0.1
    beta_max: Scalar = 20.0
    name: str = flax.struct.field(pytree_node=False, default="vp")

    def beta(self, t: Scalar) -> Scalar:
        """Noise rate beta(t)."""
        return self.beta_min + t * (self.beta_max - self.beta_min)

    def log_alpha(self, t: Scalar) -> Scalar:
        """log alpha(t) = -1/2 int_0^t beta."""
        return -(t**2) * (self.beta_max - self.beta_min) / 4 - t * self.beta_min / 2

    def marginal_prob(self, t: Scalar) -> tuple[Scalar, Scalar]:
        log_alpha = self.log_alpha(t)
        return jnp.exp(log_alpha), jnp.sqrt(-jnp.expm1(2 * log_alpha))

    def sde(self, x: Float[Array, "*shape"], t: Scalar) -> tuple[Float[Array, "*shape"], Scalar]:
        return -self.beta(t) * x / 2, jnp.sqrt(self.beta(t))

    def prior_sample(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
        return jax.random.normal(key, shape)

    def time_at(self, noise_to_signal: Scalar) -> Scalar:
        return self._time_at_log_alpha(-jnp.log1p(noise_to_signal**2) / 2)

    def _time_at_log_alpha(self, log_alpha: Scalar) -> Scalar:
        # The root of t^2 delta/4 + t beta_min/2 + log_alpha = 0, in the form that does not cancel for small t.
        delta = self.beta_max - self.beta_min
        root = jnp.sqrt(self.beta_min**2 - 4 * delta * log_alpha)
        return -4 * log_alpha / (self.beta_min + root)


@flax.struct.dataclass
class SubVPSDE(VPSDE):
    """Sub-VP: alpha as VP, sigma = 1 - alpha^2, g^2 = beta (1 - alpha^4) (Song et al. 2021, eq. 29)."""

    name: str = flax.struct.field(pytree_node=False, default="subvp")

    def marginal_prob(self, t: Scalar) -> tuple[Scalar, Scalar]:
        log_alpha = self.log_alpha(t)
        return jnp.exp(log_alpha), -jnp.expm1(2 * log_alpha)

    def sde(self, x: Float[Array, "*shape"], t: Scalar) -> tuple[Float[Array, "*shape"], Scalar]:
        variance_rate = -self.beta(t) * jnp.expm1(4 * self.log_alpha(t))
        return -self.beta(t) * x / 2, jnp.sqrt(variance_rate)

    def time_at(self, noise_to_signal: Scalar) -> Scalar:
        # sigma/alpha = (1 - alpha^2)/alpha = r  <=>  alpha = (sqrt(r^2 + 4) - r)/2  <=>  log alpha = -asinh(r/2)
        return self._time_at_log_alpha(-jnp.arcsinh(noise_to_signal / 2))
