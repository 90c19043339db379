"""
Methods at equal calls
======================

Four published methods, one prior, one measurement, 40 network calls each. A new method to compare
with is a name.
"""

# %%
import jax
import matplotlib.pyplot as plt

import scoreinv

image = scoreinv.brain_mri().image
operator = scoreinv.LinearOperator(scoreinv.equispaced_mask(image.shape[:2], 4, 0.04), scoreinv.FourierTransform())
measurement = scoreinv.simulate(jax.random.key(0), operator, image, noise_std=0.03)
prior = scoreinv.load_prior("brain-mri")

# %%
# `calls` chooses the number of steps, which differs from method to method; all else are a method's
# own defaults. Fields such as `settings="lam=0.5"` change them.
results = {
    method: scoreinv.reconstruct(measurement, prior, method=method, samples=1, calls=40, interval={"draws": 0})
    for method in ("dpir", "diffpir", "dds", "song2022")
}
for method, result in results.items():
    print(f"{method:8} {result.network_calls} calls {scoreinv.psnr(result.image, image):.2f} dB")

# %%
# Which work every one of them comes from:
print(scoreinv.citation("dds"))

# %%
# The first is an estimator made for a small error. The others draw images that agree with every
# sample of k-space, published for less noise or for more calls: the noise of the measurement stays
# in them as grain. Below, errors up to 0.2.
figure, axes = plt.subplots(2, 5, figsize=(12, 4.2), layout="constrained")
for column, (name, shown) in enumerate({"truth": image, **{k: v.image for k, v in results.items()}}.items()):
    axes[0, column].imshow(shown[..., 0], cmap="gray", vmin=0, vmax=1)
    axes[0, column].set_title(name if name == "truth" else f"{name}, {scoreinv.psnr(shown, image):.1f} dB")
    if name != "truth":
        axes[1, column].imshow(abs(shown - image)[..., 0], cmap="inferno", vmin=0, vmax=0.2)
for axis in axes.ravel():
    axis.set_axis_off()
plt.show()
