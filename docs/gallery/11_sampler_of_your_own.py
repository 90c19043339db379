"""
A sampler of your own
=====================

A method is composed of kernels, and is tried first on a prior whose posterior is known in closed
form.
"""

# %%
# Here the state moves onto the diffused measurement before each step of DDIM: a proximal step and a
# predictor, chained. `from_noise` brings the loop along the noise levels.
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import scoreinv
from scoreinv.samplers.base import chain, tweedie
from scoreinv.samplers.conditioning import project, proximal, zero_start
from scoreinv.samplers.frame import Iteration, from_noise
from scoreinv.samplers.predictors import ddim
from scoreinv.sde import VESDE


def mine(prior, *, times, lam=1.0, eta=1.0, start=zero_start):
    """DDIM with the proximal step of Song et al. 2022."""

    def method(measurement):
        kernel = chain(proximal(prior.sde, measurement, lam), ddim(prior, eta))
        return Iteration(kernel, lambda x: project(measurement, tweedie(prior, x, times[-1]), lam))

    return from_noise(prior.sde, times, start, method)


# %%
# Complex images of N(0.5, 0.2^2) in each pixel, of which every other column of k-space is measured
# without noise: what is measured is known exactly, and all else keeps the width of the prior, so
# each pixel's variance is halved. Steps of finite length cost some of the width; more of them cost
# less.
sde = VESDE(0.01, 10.0)
gaussian = scoreinv.Prior(sde, lambda x, t: (0.5 - x) / (0.2**2 + sde.marginal_prob(t)[1] ** 2), (8, 8, 2))
operator = scoreinv.LinearOperator(jnp.arange(8)[None] % 2, scoreinv.FourierTransform(channels=2))
measurement = scoreinv.simulate(jax.random.key(0), operator, 0.2 * jax.random.normal(jax.random.key(1), (8, 8, 2)), 0)
mean = project(measurement, jnp.full((8, 8, 2), 0.5))
sampler = mine(gaussian, times=scoreinv.geometric_times(sde, 100, 0.01, 10.0))
draws = jax.jit(jax.vmap(sampler, (0, None)))(jax.random.split(jax.random.key(2), 1000), measurement)
print(f"standard deviation {draws.std(0).mean():.4f}, exact {0.2 / 2**0.5:.4f}; "
      f"largest error of the mean {abs(draws.mean(0) - mean).max():.4f}")  # fmt: skip

# %%
# Then on an image, with noise: a lam below 1 trusts the data less.
image = scoreinv.brain_mri().image
mask = scoreinv.equispaced_mask(image.shape[:2], 4, 0.04)
scan = scoreinv.simulate(jax.random.key(0), scoreinv.LinearOperator(mask, scoreinv.FourierTransform()), image, 0.03)
prior = scoreinv.load_prior("brain-mri")
times = scoreinv.geometric_times(prior.sde, 60, 0.01, 10.0)
drawn = {f"lam {lam}": jax.jit(mine(prior, times=times, lam=lam))(jax.random.key(3), scan) for lam in (1.0, 0.5)}

# %%
# At lam = 1 the noise of k-space is in the image; a smaller one lets the prior take it out.
figure, axes = plt.subplots(1, 4, figsize=(12, 2.8), layout="constrained")
axes[0].hist(draws.std(0).ravel(), bins=20)
axes[0].axvline(0.2 / 2**0.5, color="k", linestyle=":")
axes[0].set(title="closed form", xlabel="standard deviation of a pixel")
for axis, (name, shown) in zip(axes[1:], {"truth": image, **drawn}.items(), strict=True):
    axis.imshow(shown[..., 0], cmap="gray", vmin=0, vmax=1)
    axis.set_title(name if name == "truth" else f"{name}, {scoreinv.psnr(shown, image):.1f} dB")
    axis.set_axis_off()
plt.show()
