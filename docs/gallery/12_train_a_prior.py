"""
Training a prior
================

A tiny network learns ellipses in seconds, and reconstructs them from a third of k-space. Priors of
patients are trained by the same few lines, with folders of volumes in place of formulas.
"""

# %%
# `scoreinv --mode=train --config=...` reads the same fields. Checkpoints are kept: the same call
# goes on where it was stopped.
from pathlib import Path
from tempfile import mkdtemp

import jax
import matplotlib.pyplot as plt
import pandas as pd

import scoreinv
from scoreinv.build.fields import default_config
from scoreinv.drivers.train import train
from scoreinv.simulation.phantoms import random_ellipses

config = default_config()
config.data.update({"source": "phantom", "phantoms": 48, "packed_size": 64, "size": 32, "crop": 32, "zoom": (0.9, 1.1)})
config.model.update({"nf": 32, "ch_mult": (1, 1), "patch_size": 2})
config.train.update({"steps": 300, "learning_rate": 3e-3, "checkpoint_every": 100, "sample_every": 0})
folder = Path(mkdtemp())
train(config, folder)

# %%
# Validation losses fall at every noise level; 1 would be a network that always answers zero.
losses = pd.read_csv(folder / "losses.csv")
print(losses.tail(3).to_string())

# %%
# An image that it has not seen, from a third of the columns of k-space.
image = random_ellipses(jax.random.key(1000), (32, 32))
operator = scoreinv.LinearOperator(scoreinv.equispaced_mask((32, 32), 3, 0.1), scoreinv.FourierTransform())
measurement = scoreinv.simulate(jax.random.key(0), operator, image, noise_std=0.02)
result = scoreinv.reconstruct(measurement, prior=str(folder), samples=1, interval={"draws": 0})
images = {"truth": image, "zero-filled": operator.inverse(measurement.y), "scoreinv": result.image}

# %%
# Ellipses that the zero-filled image has folded over each other stand where they belong; a network
# of so few steps leaves their edges soft.
figure, axes = plt.subplots(1, 4, figsize=(11, 2.8), layout="constrained")
axes[0].semilogy(losses["step"], losses.iloc[:, 2:], "o-", label=losses.columns[2:])
axes[0].set(xlabel="step", title="validation loss")
axes[0].legend(title="noise level", fontsize=7)
for axis, (name, shown) in zip(axes[1:], images.items(), strict=True):
    axis.imshow(shown[..., 0], cmap="gray", vmin=0, vmax=1)
    axis.set_title(name if name == "truth" else f"{name}, {scoreinv.psnr(shown, image):.1f} dB")
    axis.set_axis_off()
plt.show()
