"""
Draws and intervals against the truth
=====================================

Draws of the posterior, the intervals that they make, and how often those hold the truth.
"""

# %%
# Two slices of a brain from a quarter of k-space, eight draws each.
import jax
import matplotlib.pyplot as plt
import numpy as np

import scoreinv
from scoreinv.evaluation.intervals import interval
from scoreinv.evaluation.uncertainty import object_region

images = [scoreinv.brain_mri(index).image for index in (9, 13)]
operator = scoreinv.LinearOperator(scoreinv.equispaced_mask(images[0].shape[:2], 4, 0.04), scoreinv.FourierTransform())
prior = scoreinv.load_prior("brain-mri")
results = [
    scoreinv.reconstruct(
        scoreinv.simulate(jax.random.key(number), operator, image, noise_std=0.03), prior,
        method="posterior_langevin", samples=8, interval={"draws": 0}, steps=39, sigma_max=1.0, sigma_min=0.01,
        start="pseudo_inverse",
    )
    for number, image in enumerate(images)
]  # fmt: skip

# %%
# An interval of level p should hold the truth in a share p of the pixels. Student's factor accounts
# for the small number of draws; the background, where nothing is uncertain, is left out.
levels = np.array([0.5, 0.6, 0.7, 0.8, 0.9, 0.95])


def coverage(image, result, level):
    """Share of the object's pixels whose interval holds the truth."""
    half_width = interval(result.draws, level).half_width
    return np.mean((abs(result.image - image) <= half_width)[object_region(image)])


held = [[coverage(*pair, level) for level in levels] for pair in zip(images, results, strict=True)]
print("90 %:", np.round([row[4] for row in held], 3))

# %%
# Every draw looks like an image and fits the data; they differ where the image is not known. Points
# on the dotted line would be intervals that hold exactly what they promise. `--mode=calibrate`
# makes a correction from subjects of yours.
draws, truth = results[0].draws[..., 0], images[0][..., 0]
shown = {"truth": truth, "draw 1": draws[0], "draw 2": draws[1], "std over draws": draws.std(0, ddof=1)}
shown["|error| of the mean"] = abs(draws.mean(0) - truth)
figure, axes = plt.subplots(1, 6, figsize=(14, 3.1), layout="constrained")
for axis, (name, values) in zip(axes, shown.items(), strict=False):
    gray = {"cmap": "gray", "vmin": 0, "vmax": 1} if name[0] in "td" else {"cmap": "inferno", "vmin": 0, "vmax": 0.15}
    axis.imshow(values, **gray)
    axis.set_title(name)
    axis.set_axis_off()
axes[5].plot([0.45, 1], [0.45, 1], "k:", levels, np.transpose(held), "o-")
axes[5].set(xlabel="level", ylabel="share of pixels held", aspect="equal")
plt.show()
