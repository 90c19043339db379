"""
A fan beam in millimetres
=========================

A sinogram of a fan-beam scanner with its distances, written as a file and read back: the image has
pixels in mm.
"""

# %%
# 120 views of a Shepp-Logan phantom of 192 mm, from a source 500 mm from the axis onto a detector
# of 180 columns of 3 mm; the phantom has pixels a quarter as wide as the image will have.
from pathlib import Path
from tempfile import mkdtemp

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import scoreinv
from scoreinv.operators.geometry import BeamGeometry, projector
from scoreinv.simulation.phantoms import shepp_logan

angles = np.linspace(0, 2 * np.pi, 120, endpoint=False)
beam = BeamGeometry(angles, (384, 384), 180, pixel=0.5, pitch=3.0, source_to_axis=500.0, source_to_detector=900.0)
sinogram = np.asarray(projector(beam).forward(jnp.asarray(shepp_logan((384, 384))))) * beam.pixel
sinogram += 0.2 * np.random.default_rng(0).standard_normal(sinogram.shape)
path = Path(mkdtemp()) / "scan.npz"
np.savez(
    path, sinogram=sinogram, angles=angles, source_to_axis=500.0, source_to_detector=900.0, detector_pitch=3.0,
    pixel=2.0, shape=(96, 96),
)  # fmt: skip

# %%
# The distances make the beam a fan; the axis of rotation is found in the data, and all of it is
# said.
scan = scoreinv.read_scan(path)
print(*scan.notes, sep="\n")
print("pixel spacing, mm:", scan.spacing, "unit:", scan.unit)
fbp = scan.measurement.operator.inverse(scan.measurement.y)
total_variation = jax.jit(scoreinv.tv(lam=3e-4))(jax.random.key(0), scan.measurement)

# %%
# The phantom is 0.92 of 192 mm long, and so it is here. Every method takes a fan as it takes
# parallel rays.
truth = np.asarray(shepp_logan((96, 96)))
images = {"filtered back-projection": fbp, "total variation": total_variation}
figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
axes[0].imshow(sinogram, cmap="gray", aspect="auto")
axes[0].set(title="sinogram", xlabel="column", ylabel="view")
for axis, (name, image) in zip(axes[1:], images.items(), strict=True):
    shown = scan.scale * image
    axis.imshow(shown[..., 0], cmap="gray", vmin=0, vmax=0.5, extent=(-96, 96, -96, 96))
    axis.set(title=f"{name}, {scoreinv.psnr(shown, truth):.1f} dB", xlabel="mm")
plt.show()
