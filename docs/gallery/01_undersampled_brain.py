"""
Undersampled MRI
================

A brain slice from a quarter of k-space: the zero-filled image, total variation, and the mean of two
draws with an interval for every pixel.
"""

# %%
# The image comes with nibabel. It is measured at every fifth column or so and at a fully measured
# centre, a quarter of k-space in all, with noise.
import jax
import matplotlib.pyplot as plt

import scoreinv

image = scoreinv.brain_mri().image
operator = scoreinv.LinearOperator(scoreinv.equispaced_mask(image.shape[:2], 4, 0.04), scoreinv.FourierTransform())
measurement = scoreinv.simulate(jax.random.key(0), operator, image, noise_std=0.03)

# %%
# `reconstruct` derives noise levels, steps and the first image from the measurement. The interval
# rests on four draws of the posterior that it makes besides.
result = scoreinv.reconstruct(measurement, prior="brain-mri", samples=2, seed=0)
total_variation = jax.jit(scoreinv.tv(lam=0.01))(jax.random.key(1), measurement)
print(result.interval.about)

# %%
# Columns that were not measured fold the zero-filled image over itself. Total variation unfolds it
# into patches of one gray, the prior into tissue. The interval is wide where the gray of a detail
# is not known: along the folds of the cortex and the ventricles.
images = {
    "truth": image,
    "zero-filled": operator.inverse(measurement.y),
    "TV": total_variation,
    "scoreinv": result.image,
}
figure, axes = plt.subplots(1, 5, figsize=(13, 2.6), layout="constrained")
for axis, (name, shown) in zip(axes, images.items(), strict=False):
    axis.imshow(shown[..., 0], cmap="gray", vmin=0, vmax=1)
    axis.set_title(name if name == "truth" else f"{name}, {scoreinv.psnr(shown, image):.1f} dB")
width = axes[-1].imshow((result.high - result.low)[..., 0], cmap="inferno", vmin=0)
axes[-1].set_title("width of the interval")
figure.colorbar(width)
for axis in axes:
    axis.set_axis_off()
plt.show()
