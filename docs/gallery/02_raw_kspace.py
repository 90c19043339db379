"""
Raw k-space of several coils
============================

What a scanner delivers: complex k-space of four coils in units of its own, without sensitivities
and with a phase. The file is made here and read as any other.
"""

# %%
# Four coils around the head, a smooth phase, numbers near 1e-5, every third column and a centre of
# 24.
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
# What was recognised and estimated is said in one line each. The result is complex, in the unit of
# the file, with real and imaginary part as channels.
scan = scoreinv.read_scan(path)
print(*scan.notes, sep="\n")
result = scoreinv.reconstruct(scan, prior="brain-mri", samples=1, interval={"draws": 0})
one_shot = scan.scale * scan.measurement.operator.inverse(scan.measurement.y)

# %%
# The coils combined by their estimated sensitivities still fold; the prior of magnitudes, which
# sees the image turned by its own smooth phase, unfolds it. The phase is that of the object, and
# noise where there is none.
images = {"truth": magnitude[..., None], "coils combined": one_shot, "scoreinv": result.image}
figure, axes = plt.subplots(1, 4, figsize=(12, 2.8), layout="constrained")
for axis, (name, complex_image) in zip(axes, images.items(), strict=False):
    shown = np.linalg.norm(complex_image, axis=-1)
    shown *= (shown * magnitude).sum() / (shown**2).sum()  # to the unit of the truth
    score = scoreinv.psnr(shown[..., None], magnitude[..., None])
    axis.imshow(shown, cmap="gray", vmin=0, vmax=1)
    axis.set_title(name if name == "truth" else f"{name}, {score:.1f} dB")
axes[3].imshow(np.arctan2(result.image[..., 1], result.image[..., 0]), cmap="twilight")
axes[3].set_title("phase")
for axis in axes:
    axis.set_axis_off()
plt.show()
