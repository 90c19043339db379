"""
From counts to Hounsfield units
===============================

What a CT detector delivers: counts of photons, with a flat field, a dark field and a dead column.
The image comes back in Hounsfield units.
"""

# %%
# A spine of 60 parallel views with 40000 photons a ray, as a file. Attenuation of water is 0.02 per
# mm.
from pathlib import Path
from tempfile import mkdtemp

import matplotlib.pyplot as plt
import numpy as np

import scoreinv
from scoreinv.datasets.examples import spine_ct

spine, rng = spine_ct(), np.random.default_rng(0)
truth, pixel = 2048 * spine.image - 1024, spine.spacing[0]
transform = scoreinv.radon_transform(scoreinv.uniform_angles(60), truth.shape[:2])
integrals = np.asarray(transform.forward(0.02 * (1 + truth / 1000))) * pixel
beam = 40000 * rng.uniform(0.8, 1.2, integrals.shape[1])
beam[70] = 0
counts = rng.poisson(beam * np.exp(-integrals)) + 50
flats = rng.poisson(beam, (20, beam.size)) + 50
path = Path(mkdtemp()) / "scan.npz"
np.savez(path, counts=counts, flats=flats, darks=np.full(beam.size, 50.0), angles=np.pi * np.arange(60) / 60,
         detector_pitch=pixel, pixel=pixel, shape=truth.shape[:2], water=0.02)  # fmt: skip

# %%
# Every step from readings to line integrals is said. The weight of each ray follows from its
# counts: 10 % of the beam comes through the thickest rays, so they are three times noisier.
scan = scoreinv.read_scan(path)
print(*scan.notes, sep="\n")
result = scoreinv.reconstruct(scan, prior="body-ct", samples=1, interval={"draws": 0})
fbp = scan.scale * scan.measurement.operator.inverse(scan.measurement.y) + scan.offset
print("unit:", result.unit, "pixel, mm:", np.round(scan.spacing, 3))

# %%
# The number in each title is the root mean square error in Hounsfield units.
figure, axes = plt.subplots(1, 4, figsize=(11, 3), layout="constrained")
axes[0].imshow(counts, aspect="auto", cmap="gray")
axes[0].set_title("counts")
for axis, (name, shown) in zip(axes[1:], {"truth": truth, "FBP": fbp, "scoreinv": result.image}.items(), strict=True):
    axis.imshow(shown[..., 0], cmap="gray", vmin=-300, vmax=500)
    axis.set_title(name if name == "truth" else f"{name}, {scoreinv.rmse(shown, truth):.0f} HU")
    axis.set_axis_off()
plt.show()
