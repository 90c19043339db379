"""The page on extending: its blocks run, and what they define does what the page says."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import nibabel
import numpy as np
import pytest

import scoreinv
from scoreinv.formats.guard import FileError
from scoreinv.operators.base import Transform
from scoreinv.sde import VESDE

PAGE = (Path(__file__).parents[2] / "docs" / "extend.md").read_text()


@pytest.fixture(scope="module")
def defined(tmp_path_factory):
    """What the blocks of the page define, run in order in an empty folder."""
    names = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("page"))
        for block in re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
            exec(compile(block, "extend.md", "exec"), names)
    return names


def test_the_modality_is_one_that_the_method_takes(defined):
    operator = defined["operator"]
    assert isinstance(operator.transform, Transform)
    sde = VESDE(0.01, 10.0)
    prior = scoreinv.Prior(sde, lambda x, t: (0.5 - x) / (0.04 + sde.marginal_prob(t)[1] ** 2), (32, 32, 1))
    measurement = scoreinv.simulate(jax.random.key(0), operator, jnp.full((32, 32, 1), 0.7), 0.0)
    times = scoreinv.geometric_times(sde, 8, 0.01, 10.0)
    image = jax.jit(defined["predictor_corrector"](prior, times=times))(jax.random.key(1), measurement)
    # The mean of the image is measured, its finest detail is not.
    np.testing.assert_allclose(image.mean(), 0.7, atol=0.02)


def test_volumes_of_one_patient_are_one_subject(defined, tmp_path):
    for week in (1, 2):
        folder = tmp_path / "patient-0007" / f"week-{week}"
        folder.mkdir(parents=True)
        nibabel.save(nibabel.Nifti1Image(np.ones((4, 5, 3), np.float32), np.eye(4)), folder / "t1.nii.gz")
    volumes = defined["hospital_volumes"]([tmp_path])
    assert [volume.subject for volume in volumes] == ["patient-0007"] * 2
    assert volumes[0].read().values.shape[0] == 3


def test_a_damaged_file_is_one_line(defined, tmp_path):
    np.array([4000, 6000], "<i4").tofile(tmp_path / "image.raw")
    with pytest.raises(FileError, match=r"image\.raw"):
        defined["read_raw"](tmp_path / "image.raw")
