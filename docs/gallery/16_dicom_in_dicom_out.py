"""
DICOM in, DICOM out
===================

A CT slice is read in Hounsfield units, measured from few views, and comes back as a DICOM file of
the same patient, place and unit.
"""

# %%
# The file comes with pydicom. -1024 to 1024 HU become [0, 1], what a prior of CT was trained on.
from pathlib import Path
from tempfile import mkdtemp

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import pydicom
from pydicom.data import get_testdata_file

import scoreinv
from scoreinv.formats.images import read_image
from scoreinv.scans.intensity import to_unit_range

source = get_testdata_file("CT_small.dcm")
volume = read_image(source)
unit_range, scale = to_unit_range(volume.values, "ct_window", -1024.0, 1024.0)
print("unit:", volume.unit, "spacing, mm:", volume.spacing, *volume.notes, sep="  ")

# %%
# A `Scan` is a measurement with what its numbers mean and where it lies.
operator = scoreinv.LinearOperator(
    jnp.ones((45, 1)), scoreinv.radon_transform(scoreinv.uniform_angles(45), volume.values.shape[1:])
)
measurement = scoreinv.simulate(jax.random.key(0), operator, unit_range[0][..., None], noise_std=0.2)
scan = scoreinv.Scan("spine", measurement, 2048.0, -1024.0, "HU", volume.spacing, volume.geometry.of_slice(0))
result = scoreinv.reconstruct(scan, prior="body-ct", samples=1)
folder = Path(mkdtemp())
scoreinv.save(folder / "spine.dcm", result)

# %%
# Beside the image stand the ends of its interval and the map of what rests on the prior, each a
# series of its own.
print(*sorted(str(path.relative_to(folder)) for path in folder.rglob("*.dcm")), sep="\n")
before, after = pydicom.dcmread(source), pydicom.dcmread(next((folder / "spine").glob("*.dcm")))
for name in (
    "PatientID",
    "StudyInstanceUID",
    "ImagePositionPatient",
    "PixelSpacing",
    "RescaleIntercept",
    "SeriesDescription",
):
    print(f"{name:22} {before.get(name, '')}  ->  {after.get(name, '')}")

# %%
# Read back: the same numbers, in Hounsfield units, at the same place.
written = read_image(folder / "spine")
images = {"source": volume.values[0], "written": written.values[0], "difference": written.values[0] - volume.values[0]}
figure, axes = plt.subplots(1, 3, figsize=(10, 3), layout="constrained")
for axis, (name, values) in zip(axes, images.items(), strict=True):
    low, high = (-300, 500) if name != "difference" else (-200, 200)
    figure.colorbar(axis.imshow(values, cmap="gray", vmin=low, vmax=high), label="HU")
    axis.set_title(name)
    axis.set_axis_off()
plt.show()
