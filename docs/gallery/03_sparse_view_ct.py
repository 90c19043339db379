"""
CT from few views
=================

A slice of a spine from 23 parallel views with noise: filtered back-projection, total variation and
one draw.
"""

# %%
# The slice comes with pydicom, in Hounsfield units; -1024 to 1024 HU are 0 to 1 here. A hospital's
# scanner measures about a thousand views.
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import scoreinv
from scoreinv.datasets.examples import spine_ct

image = spine_ct().image
transform = scoreinv.radon_transform(scoreinv.uniform_angles(23), image.shape[:2])
operator = scoreinv.LinearOperator(jnp.ones((23, 1)), transform)
measurement = scoreinv.simulate(jax.random.key(0), operator, image, noise_std=0.2)

# %%
# One draw, without an interval.
result = scoreinv.reconstruct(measurement, prior="body-ct", samples=1, interval={"draws": 0})
fbp = operator.inverse(measurement.y)
total_variation = jax.jit(scoreinv.tv(lam=3e-4))(jax.random.key(1), measurement)

# %%
# Filtered back-projection shows the views as streaks and the noise as grain. Total variation has
# neither, and paints tissue in patches of one gray; the prior keeps the soft edges of muscle and
# bone. The finest grain of the vertebra, and the scanner's own noise in the truth, no method brings
# back.
images = {"truth": image, "FBP": fbp, "TV": total_variation, "scoreinv": result.image}
figure, axes = plt.subplots(1, 4, figsize=(11, 3.1), layout="constrained")
for axis, (name, shown) in zip(axes, images.items(), strict=True):
    axis.imshow(shown[..., 0], cmap="gray", vmin=0.35, vmax=0.75)
    axis.set_title(name if name == "truth" else f"{name}, {scoreinv.psnr(shown, image):.1f} dB")
    axis.set_axis_off()
plt.show()
