"""
A fan beam in millimetres
=========================

A sinogram of a fan-beam scanner with its distances, written as a file and read back: the image has pixels in mm.
"""

# %%
from pathlib import Path
from tempfile import mkdtemp

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import scoreinv
from scoreinv.operators.geometry import BeamGeometry, projector
from scoreinv.simulation.phantoms import shepp_logan

angles = np.linspace(0, 2 * np.pi, 120, endpoint=False)
beam = BeamGeometry(angles, (96, 96), 180, pixel=2.0, pitch=3.0, source_to_axis=500.0, source_to_detector=900.0)
sinogram = np.asarray(projector(beam).forward(jnp.asarray(shepp_logan((96, 96))))) * beam.pixel
sinogram += 0.2 * np.random.default_rng(0).standard_normal(sinogram.shape)
path = Path(mkdtemp()) / "scan.npz"
np.savez(
    path, sinogram=sinogram, angles=angles, source_to_axis=500.0, source_to_detector=900.0, detector_pitch=3.0,
    pixel=2.0, shape=(96, 96),
)  # fmt: skip

# %%
scan = scoreinv.read_scan(path)
print(*scan.notes, sep="\n")
print("pixel spacing, mm:", scan.spacing, "unit:", scan.unit)
image = scan.measurement.operator.inverse(scan.measurement.y)

# %%
figure, axes = plt.subplots(1, 2, figsize=(8, 3.5), layout="constrained")
axes[0].imshow(sinogram, cmap="gray", aspect="auto")
axes[0].set(title="sinogram", xlabel="column", ylabel="view")
axes[1].imshow(scan.scale * image[..., 0], cmap="gray")
axes[1].set_title("filtered back-projection")
axes[1].set_axis_off()
plt.show()
