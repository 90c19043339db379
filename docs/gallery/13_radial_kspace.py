"""
Radial k-space
==============

Spokes instead of lines: samples at any positions, in a file with its trajectory. Needs the extra
`noncartesian`.
"""

# %%
# Two coils and 32 spokes at golden angles; the samples are sums over pixels, written out.
from pathlib import Path
from tempfile import mkdtemp

import matplotlib.pyplot as plt
import numpy as np

import scoreinv

image = scoreinv.brain_mri().image[..., 0]
height, width = image.shape
rows, columns = np.arange(height) - height // 2, np.arange(width) - width // 2
coils = np.exp(-(((rows[None, :, None] - np.array([-60, 60])[:, None, None]) / 90) ** 2)) * np.ones(width)
angles = np.deg2rad(111.246) * np.arange(32)[:, None]
trajectory = np.stack([np.sin(angles), np.cos(angles)], -1) * np.linspace(-0.5, 0.5, 128, endpoint=False)[:, None]
waves = [np.exp(-2j * np.pi * np.multiply.outer(trajectory[..., i], r)) for i, r in enumerate((rows, columns))]
kspace = np.einsum("chw,sth,stw->cst", coils * image, *waves, optimize=True) / np.sqrt(height * width)
rng = np.random.default_rng(0)
kspace += 0.03 * (rng.standard_normal(kspace.shape) + 1j * rng.standard_normal(kspace.shape))
path = Path(mkdtemp()) / "radial.npz"
np.savez(path, kspace=kspace, trajectory=trajectory, matrix=image.shape)

# %%
scan = scoreinv.read_scan(path)
print(*scan.notes, sep="\n")
gridded = scan.measurement.operator.inverse(scan.measurement.y)
result = scoreinv.reconstruct(scan, prior="brain-mri", samples=1, interval={"draws": 0})

# %%
# Nyquist would ask for some 200 spokes. Gridding, weighted by the density of the samples, answers
# with streaks and noise; the prior takes both out. Images are shown in the unit of the truth.
figure, axes = plt.subplots(1, 4, figsize=(12, 2.7), layout="constrained")
axes[0].plot(*trajectory[..., ::-1].reshape(-1, 2).T, ".", markersize=0.6)
axes[0].set(title="trajectory", xlabel="cycles per pixel", aspect="equal")
for axis, (name, z) in zip(
    axes[1:], {"truth": image[..., None], "gridding": gridded, "scoreinv": result.image}.items(), strict=True
):
    shown = np.linalg.norm(z, axis=-1)
    shown *= (shown * image).sum() / (shown**2).sum()
    axis.imshow(shown, cmap="gray", vmin=0, vmax=1)
    score = scoreinv.psnr(shown[..., None], image[..., None])
    axis.set_title(name if name == "truth" else f"{name}, {score:.1f} dB")
    axis.set_axis_off()
plt.show()
