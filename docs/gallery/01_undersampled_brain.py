"""
Undersampled MRI
================

A brain slice from a quarter of k-space: the zero-filled image, total variation, and the mean of two draws with
an interval.
"""

# %%
# The image comes with nibabel. It is measured with noise at every fourth column and a fully measured centre.
import jax
import matplotlib.pyplot as plt

import scoreinv

image = scoreinv.brain_mri().image
operator = scoreinv.LinearOperator(scoreinv.equispaced_mask(image.shape[:2], 4, 0.04), scoreinv.FourierTransform())
measurement = scoreinv.simulate(jax.random.key(0), operator, image, noise_std=0.03)

# %%
# `reconstruct` derives noise level, steps and start from the measurement.
result = scoreinv.reconstruct(measurement, prior="brain-mri", samples=2, seed=0)
zero_filled = operator.inverse(measurement.y)
total_variation = jax.jit(scoreinv.tv(lam=0.003))(jax.random.key(1), measurement)

# %%
images = {"truth": image, "zero-filled": zero_filled, "TV": total_variation, "scoreinv": result.image}
figure, axes = plt.subplots(1, len(images) + 1, figsize=(12, 3), layout="constrained")
for axis, (name, shown) in zip(axes, images.items(), strict=False):
    axis.imshow(shown[..., 0], cmap="gray", vmin=0, vmax=1)
    score = "" if name == "truth" else f"\n{scoreinv.psnr(shown, image):.1f} dB"
    axis.set_title(name + score)
    axis.set_axis_off()
axes[-1].imshow(result.high[..., 0] - result.low[..., 0])
axes[-1].set_title("width of the interval")
axes[-1].set_axis_off()
plt.show()
