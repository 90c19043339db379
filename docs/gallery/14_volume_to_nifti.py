"""
A volume, in its place
======================

Ten slices of a NIfTI volume are undersampled, reconstructed by one compiled program, and written
with the geometry of their source. `scoreinv --config.slices=all` does the same for files on a disk,
and resumes.
"""

# %%
# The volume comes with nibabel. Slices are turned as a radiologist reads them; where they lie goes
# along.
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

import jax
import matplotlib.pyplot as plt
import nibabel
import numpy as np

import scoreinv
from scoreinv.formats.export import write_image
from scoreinv.formats.images import read_image
from scoreinv.scans.intensity import to_unit_range

source = Path(nibabel.__file__).parent / "tests" / "data" / "example4d.nii.gz"
volume = read_image(source)
truth, scale = to_unit_range(volume.values, "percentile")
operator = scoreinv.LinearOperator(scoreinv.equispaced_mask(truth.shape[1:], 4, 0.04), scoreinv.FourierTransform())
prior = scoreinv.load_prior("brain-mri")

# %%
first, slices = 7, []
for index in range(first, first + 10):
    measurement = scoreinv.simulate(jax.random.key(index), operator, truth[index][..., None], noise_std=0.03)
    result = scoreinv.reconstruct(measurement, prior, samples=1, interval={"draws": 0})
    slices.append(np.asarray(result.image)[..., 0])
slices = np.stack(slices)

# %%
# Written in the numbers of the source, where it lay in the patient; a viewer shows both on top of
# each other.
affine = volume.geometry.of_slice(first).affine
(written,) = write_image(
    "nifti", Path(mkdtemp()) / "brain", scale.restore(slices), replace(volume.geometry, affine=affine), "dpir"
)
there, here = (volume.geometry.affine @ [first, 0, 0, 1], read_image(written).geometry.affine @ [0, 0, 0, 1])
print(written.name, nibabel.load(written).shape, "first voxel, mm:", np.round(here[:3], 2))
np.testing.assert_allclose(there, here, atol=1e-3)

# %%
# Every second slice, from below upwards. The ventricles and the outer folds come back in each, the
# finest folds in none. Each is reconstructed by itself: `volume.coupling` of the command pulls
# neighbours together.
figure, axes = plt.subplots(2, 5, figsize=(13, 4.4), layout="constrained")
for row, (name, block) in enumerate({"truth": truth[first : first + 10], "scoreinv": slices}.items()):
    for axis, number in zip(axes[row], range(0, 10, 2), strict=True):
        axis.imshow(block[number], cmap="gray", vmin=0, vmax=1)
        axis.set_title(f"{name}, slice {first + number}")
        axis.set_axis_off()
plt.show()
