"""
Raw k-space of several coils
============================

What a scanner delivers: complex k-space of four coils in units of its own, without sensitivities and with a phase. The
file is made here and read as any other.
"""

# %%
# Four coils around the head, a smooth phase, numbers near 1e-5, every third column and a centre of 24.
from pathlib import Path
from tempfile import mkdtemp

import matplotlib.pyplot as plt
import numpy as np

import scoreinv

magnitude = scoreinv.brain_mri().image[..., 0]
rows, columns = np.meshgrid(*(np.linspace(-1, 1, n) for n in magnitude.shape), indexing="ij")
places = [(-1.2, 0), (1.2, 0), (0, -1.2), (0, 1.2)]
coils = np.stack([np.exp(-((rows - r) ** 2 + (columns - c) ** 2) / 1.5) for r, c in places])
image = magnitude * np.exp(1j * (1 + rows + 0.7 * columns**2))
axes = (-2, -1)
kspace = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(coils * image, axes), norm="ortho"), axes)
rng = np.random.default_rng(0)
kspace += 0.01 * (rng.standard_normal(kspace.shape) + 1j * rng.standard_normal(kspace.shape))
mask = np.zeros(magnitude.shape[1])
mask[::3] = mask[52:76] = 1
path = Path(mkdtemp()) / "scan.npz"
np.savez(path, kspace=1e-5 * kspace * mask, mask=mask)

# %%
# What was recognised and estimated is said in one line each.
scan = scoreinv.read_scan(path)
print(*scan.notes, sep="\n")
result = scoreinv.reconstruct(scan, prior="brain-mri", samples=1)

# %%
shown = np.hypot(result.image[..., 0], result.image[..., 1])
factor = (shown * magnitude).sum() / (shown**2).sum()
figure, axes = plt.subplots(1, 3, figsize=(9, 3), layout="constrained")
for axis, (name, values) in zip(axes, {"truth": magnitude, "scoreinv": factor * shown}.items(), strict=False):
    axis.imshow(values, cmap="gray", vmin=0, vmax=1)
    axis.set_title(name)
    axis.set_axis_off()
axes[2].imshow(np.angle(result.image[..., 0] + 1j * result.image[..., 1]), cmap="twilight")
axes[2].set_title("phase")
axes[2].set_axis_off()
plt.show()
