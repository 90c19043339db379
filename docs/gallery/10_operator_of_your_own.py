"""
An operator of your own
=======================

A modality is a pytree with four methods. Here: an image seen at half its resolution. Every sampler
works at once.
"""

# %%
# Each coefficient is the mean over 2 x 2 pixels, whose rows are orthogonal: A A^T = 1/4, so that
# A^+ = 4 A^T exactly. Where nothing of this kind is known, `scoreinv.operators.base.least_squares`
# is the pseudo-inverse.
import flax.struct
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import scoreinv


@flax.struct.dataclass
class Coarsening:
    """Block means over 2 x 2 pixels, image [H, W, 1] -> [H / 2, W / 2]."""

    def forward(self, x):
        return x[..., 0].reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2).mean((1, 3))

    def adjoint(self, z):
        return jnp.repeat(jnp.repeat(z, 2, 0), 2, 1)[..., None] / 4

    def inverse(self, z, mask=None):
        return 4 * self.adjoint(z)

    def pseudo_inverse(self, mask, z):
        return 4 * self.adjoint(mask * z)


# %%
# The two lines of algebra that everything rests on, checked: <A x, z> = <x, A^T z>, and A A^+ = 1.
image = jnp.asarray(scoreinv.brain_mri().image)
operator = scoreinv.LinearOperator(jnp.ones((1, 1)), Coarsening())
x, z = jax.random.normal(jax.random.key(0), image.shape), jax.random.normal(jax.random.key(1), (48, 64))
np.testing.assert_allclose(jnp.vdot(operator(x), z), jnp.vdot(x, operator.adjoint(z)), rtol=1e-4)
np.testing.assert_allclose(operator(operator.pseudo_inverse(z)), z, rtol=1e-5)

# %%
measurement = scoreinv.simulate(jax.random.key(2), operator, image, noise_std=0.01)
images = {"truth": image, "measured": operator.inverse(measurement.y)}
images["TV"] = jax.jit(scoreinv.tv(lam=0.003))(jax.random.key(3), measurement)
prior = scoreinv.load_prior("brain-mri")
for method in ("dpir", "ddnm"):
    images[method] = scoreinv.reconstruct(measurement, prior, method, samples=1, interval={"draws": 0}, calls=40).image

# %%
# The samplers know of no scanner and of no resolution: they ask the operator for A x, A^T z and A^+
# z alone.
figure, axes = plt.subplots(1, 5, figsize=(13, 2.4), layout="constrained")
for axis, (name, shown) in zip(axes, images.items(), strict=True):
    axis.imshow(shown[16:80, 24:104, 0], cmap="gray", vmin=0, vmax=1)
    axis.set_title(name if name == "truth" else f"{name}, {scoreinv.psnr(shown, image):.1f} dB")
    axis.set_axis_off()
plt.show()
