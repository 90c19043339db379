"""What `import scoreinv` offers: names, and from a file to an image with an interval in six lines."""

import doctest
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import nibabel
import numpy as np
import pytest

import scoreinv
from scoreinv.evaluation.conformal import Correction, save
from scoreinv.operators.mri import FourierTransform
from scoreinv.operators.mri_masks import equispaced_mask
from scoreinv.prior import Prior
from scoreinv.scans.scan import Scan
from scoreinv.sde import VESDE


def gaussian_prior(shape=(8, 8, 1)):
    """N(0.5, 0.1^2) in each pixel."""
    sde = VESDE(0.01, 10.0)

    def score(x, t):
        _, sigma = sde.marginal_prob(t)
        return (0.5 - x) / (0.01 + sigma**2)

    return Prior(sde, jax.tree_util.Partial(score), shape)


@pytest.fixture(scope="module")
def measurement():
    image = 0.5 + 0.1 * jax.random.normal(jax.random.key(1), (8, 8, 1))
    operator = scoreinv.LinearOperator(equispaced_mask((8, 8), 2, 0.25), FourierTransform())
    return scoreinv.simulate(jax.random.key(2), operator, image, 0.01)


@pytest.fixture(scope="module")
def case(measurement, tmp_path_factory):
    """What the examples in the docstrings call `prior`, `image`, `measurement`, `key`, `times` and "scan.npz"."""
    prior, folder = gaussian_prior(), tmp_path_factory.mktemp("examples")
    np.savez(folder / "scan.npz", kspace=np.asarray(measurement.y), mask=np.asarray(measurement.operator.mask))
    times = scoreinv.geometric_times(prior.sde, 3, sigma_min=0.1, sigma_max=1.0)
    names = {"jax": jax, "jnp": jnp, "scoreinv": scoreinv, "prior": prior, "measurement": measurement, "times": times}
    return names | {"key": jax.random.key(0), "image": jnp.full((8, 8, 1), 0.5)}, folder


@pytest.mark.parametrize("name", sorted(set(scoreinv.__all__) - {"__version__"}))
def test_every_exported_name_has_an_example_that_runs(name, case, monkeypatch):
    names, folder = case
    monkeypatch.chdir(folder)
    tests = doctest.DocTestFinder(recurse=False).find(getattr(scoreinv, name), name, module=False, globs=names)
    assert tests and tests[0].examples, f"{name} has no example"
    assert doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(tests[0]).failed == 0


def test_names_load_on_first_use_and_are_listed():
    names = set(scoreinv.__all__) - {"__version__"}
    assert 25 <= len(names) <= 35 and names <= set(dir(scoreinv))
    assert all(getattr(scoreinv, name) is not None for name in names) and scoreinv.__version__
    code = "import sys, scoreinv; assert 'jax' not in sys.modules; scoreinv.simulate; assert 'jax' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])
    with pytest.raises(AttributeError, match="no_such_name"):
        scoreinv.no_such_name  # noqa: B018


def test_a_reconstruction_is_mean_spread_and_interval_of_its_draws_in_the_unit_of_the_data(measurement):
    arguments = {"samples": 5, "seed": 3, "steps": 4, "batch_size": 2, "spin": 1, "interval": {"draws": 0}}
    plain = scoreinv.reconstruct(measurement, gaussian_prior(), **arguments)
    assert plain.draws.shape == (5, 8, 8, 1)
    np.testing.assert_allclose(plain.image, plain.draws.mean(0), atol=1e-6)
    np.testing.assert_allclose(plain.std, plain.draws.std(0, ddof=1), atol=1e-6)
    np.testing.assert_allclose(plain.low, np.quantile(plain.draws, 0.05, axis=0), atol=1e-5)
    np.testing.assert_allclose(plain.high, np.quantile(plain.draws, 0.95, axis=0), atol=1e-5)
    assert np.all(plain.low < plain.high) and plain.network_calls == 5 * 5
    scan = Scan("head", measurement, scale=2000.0, offset=-1000.0, unit="HU", spacing=(0.5, 0.7))
    scaled = scoreinv.reconstruct(scan, gaussian_prior(), **arguments)
    for name in ("image", "draws", "low", "high"):
        np.testing.assert_allclose(getattr(scaled, name), 2000 * getattr(plain, name) - 1000, rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(scaled.std, 2000 * plain.std, rtol=1e-5)
    assert scaled.unit == scaled.geometry.unit == "HU"
    np.testing.assert_allclose(np.linalg.norm(scaled.geometry.affine[:3, 1:3], axis=0), (0.5, 0.7))
    np.testing.assert_allclose(scaled.normalized().image, plain.image, atol=1e-5)


def band(measurement):
    """The share of directions of a real image that no line of k-space measures, itself or by its mirror."""
    mask = np.asarray(measurement.operator.mask)[0]
    return np.mean(np.maximum(mask, np.roll(mask[::-1], 1)) == 0)


def test_the_interval_rests_on_the_posterior_and_on_a_correction(measurement, tmp_path):
    """The posterior of a Gaussian prior is known: half widths are Student's times its standard deviation."""
    arguments = {"samples": 2, "steps": 4, "batch_size": 16, "spin": 1}
    fields = {"draws": 48, "steps": 60, "level": 0.9, "contrast": 1e-4, "area": 5, "scales": (0.7, 1.0)}
    plain = scoreinv.reconstruct(measurement, gaussian_prior(), interval=fields, **arguments)
    share = band(measurement)
    expected = 1.6945 * 0.1 * np.sqrt(share)  # Student's of 47 degrees of freedom; what is measured has no spread
    assert 0.97 < float(plain.interval.half_width.mean()) / expected < 1.1
    np.testing.assert_allclose(plain.high - plain.image, plain.interval.half_width, atol=1e-6)
    assert plain.contrast.shape == plain.on_prior.shape == (8, 8) and plain.on_prior.any()
    assert plain.open_fraction.shape == (2, 8, 8) and 0 < plain.open_fraction.min() < plain.open_fraction.max() <= 1
    correction = Correction("this test", 9, (0.9,), (), ((3.0,),))
    save(tmp_path / "corrections.json", {"any": correction})
    fields |= {"correction": str(tmp_path / "corrections.json")}
    wide = scoreinv.reconstruct(measurement, gaussian_prior(), interval=fields, **arguments)
    np.testing.assert_allclose(wide.interval.half_width, 3 / 1.6949 * plain.interval.half_width, rtol=1e-3)
    assert wide.interval.about == "90 % interval, corrected on 9 subjects: this test"
    scan = Scan("head", measurement, scale=2000.0, offset=-1000.0, unit="HU")
    scaled = scoreinv.reconstruct(scan, gaussian_prior(), interval=fields, **arguments)
    np.testing.assert_allclose(scaled.interval.half_width, 2000 * wide.interval.half_width, rtol=1e-4)
    np.testing.assert_allclose(scaled.contrast, 2000 * wide.contrast, rtol=1e-3, atol=1e-2)
    with pytest.raises(ValueError, match=r"interval.level=0.8; .* has corrections for 0.9"):
        scoreinv.reconstruct(measurement, gaussian_prior(), interval=fields | {"level": 0.8}, **arguments)


def test_the_seed_decides_the_draws_and_no_two_are_alike(measurement):
    arguments = {"prior": gaussian_prior(), "samples": 3, "steps": 4, "batch_size": 2, "spin": 1}
    one = scoreinv.reconstruct(measurement, seed=0, **arguments)
    np.testing.assert_array_equal(one.draws, scoreinv.reconstruct(measurement, seed=0, **arguments).draws)
    assert not np.allclose(one.draws, scoreinv.reconstruct(measurement, seed=1, **arguments).draws)
    assert min(np.abs(one.draws[i] - one.draws[j]).max() for i, j in ((0, 1), (0, 2), (1, 2))) > 1e-3


def test_draws_and_simulated_data_of_one_seed_share_no_key():
    data, draws = (
        {tuple(words) for words in jax.random.key_data(keys).tolist()}
        for keys in (jax.random.split(jax.random.key(0), 2), scoreinv.api.draw_keys(0, 8))
    )
    assert len(data) == 2 and len(draws) == 8 and not data & draws


def test_mistakes_get_one_line(measurement, tmp_path):
    for wrong, message in [
        ({"method": "ddsm"}, r"unknown sampler\.method 'ddsm'; choose one of ald_proximal"),
        ({"samples": 0}, r"sampler\.samples=0; give an integer from 1"),
        ({"seed": -1}, "seed=-1"),
        ({"stps": 3}, r"no field sampler\.stps; did you mean sampler\.steps"),
        ({"prior": "brain"}, "unknown prior 'brain'"),
    ]:
        with pytest.raises(ValueError, match=message) as error:
            scoreinv.reconstruct(measurement, **wrong)
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=r"missing\.npz"):
        scoreinv.reconstruct(tmp_path / "missing.npz")
    with pytest.raises(ValueError, match=r"no field operator\.noise"):
        scoreinv.read_scan(tmp_path / "missing.npz", {"operator.noise": 1.0})


def test_files_keep_unit_and_pixel_spacing(measurement, tmp_path):
    scan = Scan("head", measurement, scale=10.0, unit="1/mm", spacing=(0.5, 0.7))
    result = scoreinv.reconstruct(scan, gaussian_prior(), samples=2, steps=2, spin=1)
    scoreinv.save(tmp_path / "head.npz", result)
    with np.load(tmp_path / "head.npz") as file:
        np.testing.assert_array_equal(file["image"], result.image)
        assert file["unit"] == "1/mm" and file["scale"] == 10 and file["draws"].shape == (2, 8, 8, 1)
    scoreinv.save(tmp_path / "head.nii.gz", result)
    image = nibabel.load(tmp_path / "head.nii.gz")
    assert sorted(image.header.get_zooms()) == pytest.approx([0.5, 0.7, 1.0])
    back = scoreinv.formats.images.read_image(tmp_path / "head.nii.gz")
    np.testing.assert_allclose(back.values[0], result.image[..., 0], rtol=1e-5)
    for name, values in {"low": result.low, "high": result.high, "contrast": result.contrast[..., None]}.items():
        beside = scoreinv.formats.images.read_image(tmp_path / f"head-{name}.nii.gz")
        np.testing.assert_allclose(beside.values[0], values[..., 0], rtol=1e-5)
    with pytest.raises(ValueError, match=r"cannot write 'head\.txt'"):
        scoreinv.save(tmp_path / "head.txt", result)


def test_six_lines_from_a_file_to_an_image_with_an_interval(tmp_path):
    image = scoreinv.brain_mri().image[::4, ::4]
    mask = scoreinv.equispaced_mask(image.shape[:2], 2, 0.1)
    kspace = scoreinv.LinearOperator(mask, FourierTransform(1))(50 * image)
    np.savez(tmp_path / "scan.npz", kspace=np.asarray(kspace), mask=np.asarray(mask))
    scan = scoreinv.read_scan(tmp_path / "scan.npz")
    result = scoreinv.reconstruct(scan, prior=gaussian_prior((24, 32, 1)), method="dpir", samples=2, seed=0, steps=5)
    assert np.linalg.norm(result.image, axis=-1).max() == pytest.approx(50 * float(image.max()), rel=0.4)
    assert np.all(result.low <= result.high)
