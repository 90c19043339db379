"""
CT from few views
=================

A slice of a spine from 23 parallel views with noise: filtered back-projection, total variation and one draw.
"""

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import scoreinv
from scoreinv.datasets.examples import spine_ct

image = spine_ct().image
transform = scoreinv.radon_transform(scoreinv.uniform_angles(23), image.shape[:2])
operator = scoreinv.LinearOperator(jnp.ones((23, 1)), transform)
measurement = scoreinv.simulate(jax.random.key(0), operator, image, noise_std=0.2)
result = scoreinv.reconstruct(measurement, prior="body-ct", samples=1)

# %%
fbp = operator.inverse(measurement.y)
total_variation = jax.jit(scoreinv.tv(lam=0.003))(jax.random.key(1), measurement)
images = {"truth": image, "FBP": fbp, "TV": total_variation, "scoreinv": result.image}
figure, axes = plt.subplots(1, 4, figsize=(10, 3), layout="constrained")
for axis, (name, shown) in zip(axes, images.items(), strict=True):
    axis.imshow(shown[..., 0], cmap="gray", vmin=0.3, vmax=0.8)
    axis.set_title(name if name == "truth" else f"{name}\n{scoreinv.psnr(shown, image):.1f} dB")
    axis.set_axis_off()
plt.show()
