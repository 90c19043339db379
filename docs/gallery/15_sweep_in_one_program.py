"""
A sweep in one compiled program
===============================

Masks, noise and weights are data, not structure: accelerations from 2 to 12 go through one program
that is compiled once.
"""

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import scoreinv
from scoreinv.baselines.tv import tv_start

image = jnp.asarray(scoreinv.brain_mri().image)
prior = scoreinv.load_prior("brain-mri")
traces = 0


# %%
# A measurement is simulated and reconstructed inside of one function of the mask and of the weight
# of the prior. It is traced once: `traces` counts.
@jax.jit
def reconstructed(prior, mask, lam):
    """The image of total variation and that of DPIR, which starts from it."""
    global traces
    traces += 1
    operator = scoreinv.LinearOperator(mask, scoreinv.FourierTransform())
    measurement = scoreinv.simulate(jax.random.key(0), operator, image, noise_std=0.03)
    times = scoreinv.geometric_times(prior.sde, 20, 0.01, 0.2)
    sampler = scoreinv.dpir(prior, times=times, lam=lam, churn=0.5, start=tv_start)
    return tv_start(measurement), sampler(jax.random.key(1), measurement)


accelerations = (2, 3, 4, 6, 8, 12)
images = {r: reconstructed(prior, scoreinv.equispaced_mask(image.shape[:2], r, 0.04), 0.3) for r in accelerations}
weights = {
    lam: reconstructed(prior, scoreinv.equispaced_mask(image.shape[:2], 4, 0.04), lam)[1] for lam in (0.03, 0.1, 1.0)
}
print(f"{len(images) + len(weights)} reconstructions, {traces} trace")

# %%
# Both curves fall together, the prior's above. At 12x a sharp outline with little inside is left: nothing brings
# back what neither the scan nor the prior knows.
scores = [[scoreinv.psnr(x, image) for x in pair] for pair in images.values()]
figure, axes = plt.subplots(1, 4, figsize=(13, 2.8), layout="constrained")
for line, name in zip(zip(*scores, strict=True), ("TV", "scoreinv"), strict=True):
    axes[0].plot(accelerations, line, "o-", label=name)
axes[0].set(xlabel="acceleration", ylabel="PSNR, dB")
axes[0].legend()
for axis, r in zip(axes[1:], (2, 6, 12), strict=True):
    axis.imshow(images[r][1][..., 0], cmap="gray", vmin=0, vmax=1)
    axis.set_title(f"{r}x, {scoreinv.psnr(images[r][1], image):.1f} dB")
    axis.set_axis_off()
plt.show()
