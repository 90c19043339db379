"""From a configuration to what drivers work with: every field that a mode reads changes something there.

A driver runs up to the point where it would compute; what it holds there (measurements, operators, settings, keys,
prior, slices) is its trace. One change of one field must change the trace, in every mode that the table names;
a field without a row here fails a test of its own.
"""

import functools
import hashlib
import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scoreinv import api, build
from scoreinv.build.field import MODES
from scoreinv.build.fields import TABLE, default_config
from scoreinv.build.kspace_fields import KSPACE_FIELDS
from scoreinv.build.tasks import image_shape, make_tasks
from scoreinv.build.volume_fields import VOLUME_FIELDS
from scoreinv.drivers import evaluate, reconstruct, sweep, tune
from scoreinv.evaluation.conformal import ANY, EDGES, LEVELS, Correction, save
from scoreinv.operators.base import Measurement
from scoreinv.operators.ct import radon_transform
from scoreinv.prior import Prior
from scoreinv.reconstruction import Reconstruction
from scoreinv.sde import VESDE

SIDE = 16
CT = {"operator.modality": "ct", "operator.mask": "sparse_view", "operator.views": (5,)}
BEAM = CT | {"operator.beam": "curved_fan"}
METAL = CT | {"operator.modality": "mar", "operator.mask": "sparse_view", "data.intensity": "ct_window",
              "images": ("ct.npy",), "operator.metal": "disc", "operator.field_of_view": 100.0}  # fmt: skip
IMAGE = {"images": ("ct.npy",)}
VALIDATION = {"evaluate.split": "validation"}
PHANTOMS = {"data.source": "phantom", "data.phantoms": 8, "data.validation_fraction": 0.5, "data.test_fraction": 0.4}
RAYS = {"measurement": "sinogram.npz", "scan.checks": False, "scan.shape": (SIDE, SIDE)}
FAN = RAYS | {"scan.source_to_axis": 60.0, "scan.source_to_detector": 120.0, "scan.detector_pitch": 2.0}
SWEEP = {"sweep.over": "lam=0.1,0.2; noise_std=0.1,0.2"}

# Field -> (what else is set, another value than there). Files are named as the fixture `inputs` writes them.
CHANGES = {
    "seed": ({"measurement": "scan.npz"}, 1),  # of the draws alone; of masks and noise below
    "images": ({}, ("spine-ct",)),
    "slice_index": (IMAGE, 0),
    "measurement": ({}, "scan.npz"),
    "prior": ({}, "another"),
    "operator.modality": ({"operator.mask": "sparse_view", "operator.modality": "ct", "data.intensity": "ct_window",
                           "images": ("ct.npy",), "operator.metal": "disc", "operator.field_of_view": 100.0}, "mar"),
    "operator.mask": ({}, "random"),
    "operator.acceleration": ({}, (2.0,)),
    "operator.center_fraction": ({}, 0.1),
    "operator.views": (CT, (6,)),
    "operator.full_views": (CT, 10),
    "operator.degrees": (CT | {"operator.mask": "limited_angle"}, 60.0),
    "operator.detectors": (CT, 30),
    "operator.beam": (CT, "fan"),
    "operator.source_to_axis": (BEAM, 400.0),
    "operator.size": ({}, 24),
    "operator.oversample": (CT, 2),
    "operator.noise_std": ({}, 0.1),
    "operator.metal": (METAL, "rods"),
    "operator.metal_material": (METAL, "steel"),
    "operator.metal_size": (METAL, 30.0),
    "operator.metal_centre": (METAL, (20.0, 0.0)),
    "operator.metal_threshold": (METAL, 1000.0),
    "operator.field_of_view": (METAL, 150.0),
    "operator.kvp": (METAL, 90.0),
    "operator.photons": (METAL, 1e5),
    "scan.noise_std": ({"measurement": "scan.npz"}, 0.2),
    "scan.quantity": (RAYS | {"measurement": "readings.npz", "scan.quantity": "line_integrals"}, "counts"),
    "scan.open_beam": (RAYS | {"measurement": "readings.npz", "scan.quantity": "counts"}, 1500.0),
    "scan.angle_unit": (RAYS, "degrees"),
    "scan.angles": (RAYS | {"measurement": "views.npz", "scan.angles": (0.0, 165.0)}, (0.0, 110.0)),
    "scan.start_angle": (RAYS, 10.0),
    "scan.source_to_axis": (FAN, 70.0),
    "scan.source_to_detector": (FAN, 130.0),
    "scan.detector_pitch": (FAN, 1.5),
    "scan.curved": (FAN, True),
    "scan.reversed": (RAYS | {"scan.axis": 10.0}, True),
    "scan.axis": (RAYS, 10.0),
    "scan.pixel": (RAYS | {"scan.detector_pitch": 1.0}, 1.5),
    "scan.shape": (RAYS, (12, 12)),
    "scan.water": (RAYS | {"scan.detector_pitch": 1.0}, 0.02),
    "sampler.method": ({}, "dds"),
    "sampler.preset": ({}, "brats_mri"),
    "sampler.predictor": ({"sampler.method": "song2022"}, "ancestral"),
    "sampler.complex_prior": ({"measurement": "scan.npz"}, "channelwise"),
    "sampler.spin": ({}, 2),
    "sampler.remat": ({"sampler.method": "dps"}, True),
    "sampler.settings": ({}, "churn=0.1"),
    "sampler.steps": ({}, 4),
    "sampler.calls": ({}, 9),
    "sampler.grid": ({}, "karras"),
    "sampler.sigma_max": ({}, 0.7),
    "sampler.sigma_min": ({}, 0.02),
    "sampler.start": ({}, "zero"),
    "sampler.samples": ({}, 3),
    "sampler.quantiles": ({}, (0.1, 0.9)),
    "sampler.batch_size": ({}, 1),
    "interval.draws": ({}, 3),
    "interval.steps": ({}, 9),
    "interval.sigma_max": ({}, 2.0),
    "interval.temper": ({}, 1.5),
    "interval.correction": ({}, "corrections.json"),
    "interval.level": ({}, 0.8),
    "interval.contrast": ({}, 0.3),
    "interval.area": ({}, 7),
    "interval.scales": ({}, (1.0, 2.0)),
    "methods": ({}, {"slow": {"steps": 9}}),
    "baselines": ({}, ("direct",)),
    "baseline_settings.tv.lam": ({"baselines": ("tv",)}, 0.5),
    "baseline_settings.tv.iterations": ({"baselines": ("tv",)}, 1),
    "baseline_settings.wavelet.lam": ({"baselines": ("wavelet",)}, 0.5),
    "evaluate.split": ({}, "validation"),
    "evaluate.methods": ({}, ("dds",)),
    "evaluate.slices": ({}, 1),
    "evaluate.region": ({}, "circle"),
    "sweep.over": ({}, "lam=0.1,0.3"),
    "sweep.combine": ({}, "list"),
    "tune.ranges": ({}, "lam=0.2:0.8"),
    "tune.objective": ({}, "psnr"),
    "tune.trials": ({}, 3),
    "tune.slices": ({}, 1),
    "data.source": (PHANTOMS | {"data.source": "folder"}, "phantom"),
    "data.folders": ({}, ("more",)),
    "data.phantoms": (PHANTOMS, 10),
    "data.packed": ({}, "slices.npz"),
    "data.packed_size": (PHANTOMS, 24),
    "data.slice_axis": ({"images": ("cube.npy",)}, "1"),
    "data.key": ({"images": ("two.npz",), "data.folders": ("keyed",), "data.key": "one"}, "other"),
    "data.subject_pattern": ({"data.validation_subjects": ("head-1", "1"), "data.test_subjects": ("head-2", "2")},
                             r"head-(\d)"),
    "data.intensity": (IMAGE | {"data.intensity": "min_max"}, "percentile"),
    "data.window": (IMAGE | {"data.intensity": "ct_window"}, (-200.0, 300.0)),
    "data.percentiles": (IMAGE | {"data.intensity": "percentile"}, (5.0, 80.0)),
    "data.size": ({}, 8),
    "data.foreground_threshold": ({"data.min_foreground": 0.2}, 0.6),
    "data.min_foreground": ({}, 0.2),
    "data.validation_fraction": (VALIDATION, 1.0),
    "data.test_fraction": ({}, 1.0),
    "data.validation_subjects": (VALIDATION, ("head-1", "head-3")),
    "data.test_subjects": ({}, ("head-2", "head-3")),
}  # fmt: skip
# Sections of sections, a trained network, what is made of an evaluation's rows, what only refuses or needs an extra:
# test_main, test_unroll, test_evaluate, tests/scans.
ELSEWHERE = {"parts", "supervised", "evaluate.tuned", "evaluate.tuned_slices", "evaluate.reference", "scan.rings",
             "scan.checks", "scan.metal"}  # fmt: skip
# Tuning sees validation subjects alone, and these only say who is none.
NOT_IN_TUNING = {"data.test_fraction", "data.test_subjects", "data.phantoms"}
# What has no setting lam, the range of the battery's tuning, or is no modality that tuning takes.
NOT_IN_TUNING |= {"operator.modality", "sampler.method", "sampler.remat"}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Volumes in Hounsfield units of two heads, the same under two names in one file, k-space, and prepared slices."""
    folder = tmp_path_factory.mktemp("inputs")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-1 : 1 : 1j * SIDE, -1 : 1 : 1j * SIDE]
    radii = np.array([0.4, 0.6, 0.8])[:, None, None]

    def head():
        return np.where(np.hypot(y, x) < radii, rng.uniform(-300, 1300, (3, SIDE, SIDE)), -1000).astype(np.float32)

    for place in ("volumes", "more", "keyed"):
        (folder / place).mkdir()
        for number in range(1, 5):
            if place == "keyed":
                np.savez(folder / place / f"head-{number}.npz", one=head(), other=head())
            else:
                np.save(folder / place / f"head-{number}.npy", head())
    np.save(folder / "ct.npy", head())
    np.save(folder / "cube.npy", rng.random((SIDE, SIDE, SIDE), np.float32))
    np.savez(folder / "two.npz", one=head(), other=head())
    kspace = np.fft.fftshift(np.fft.fft2(rng.random((SIDE, SIDE)) * (np.hypot(y, x) < 0.7)))
    np.savez(folder / "scan.npz", kspace=np.where(np.arange(SIDE) % 2, 0, kspace).astype(np.complex64))
    angles = np.pi * np.arange(12) / 12
    image = jnp.asarray(np.hypot(y - 0.2, x + 0.1) < 0.4, jnp.float32)[..., None]
    sinogram = np.asarray(radon_transform(angles, (SIDE, SIDE), 24).forward(image)) / 20
    np.savez(folder / "sinogram.npz", sinogram=sinogram, angles=angles)
    np.savez(folder / "views.npz", sinogram=sinogram)
    np.savez(folder / "readings.npz", sinogram=1000 * np.exp(-sinogram), angles=angles)
    build_packed(folder)
    factors = ((1.0,) * (len(EDGES) + 1),) * len(LEVELS)
    save(folder / "corrections.json", {ANY: Correction("this test", 9, LEVELS, EDGES, factors)})
    return folder


def build_packed(folder):
    """The slices of other heads, prepared."""
    from scoreinv.drivers.prepare import prepare

    prepare(configured(folder, {"data.folders": ("more",), "data.format": "npz"}), folder)


def configured(folder, changes):
    """Small images, few steps, and the files of `inputs` by their names."""
    config = default_config()
    config.operator.center_fraction = 0.2
    config.sampler.update({"steps": 3, "samples": 2, "batch_size": 2})
    config.data.update({"size": SIDE, "packed_size": SIDE, "intensity": "min_max", "folders": ("volumes",)})
    config.data.update({"validation_subjects": ("head-1",), "validation_fraction": 0.0})
    config.data.update({"test_subjects": ("head-2",), "test_fraction": 0.0})
    config.baselines = ()
    config.tune.update({"ranges": "lam=0:1", "trials": 2, "slices": 2})
    config.update_from_flattened_dict(SWEEP)
    for name, value in changes.items():
        config.update_from_flattened_dict({name: value})

    def placed(name):
        return str(folder / name) if (folder / name).exists() and name else name

    config.images = tuple(map(placed, config.images))
    config.data.folders = tuple(map(placed, config.data.folders))
    config.interval.correction = placed(config.interval.correction)
    config.measurement, config.data.packed = placed(config.measurement), placed(config.data.packed)
    return config


def score(mean, sde, x, t):
    _, sigma = sde.marginal_prob(t)
    return (mean - x) / (0.01 + sigma**2)


def gaussian_prior(name, remat=False):
    """N(mean, 0.01) in each pixel; name and remat are in its mean, so that a trace shows them."""
    mean, sde = jnp.float32(len(name) / 100 + remat), VESDE(0.01, 10.0)
    return Prior(sde, jax.tree_util.Partial(score, mean, sde), (SIDE, SIDE, 1))


def digest(tree):
    """Of the arrays in a pytree and its structure."""
    leaves, structure = jax.tree.flatten(tree)
    found = hashlib.sha256(str(structure).encode())
    for leaf in leaves:
        found.update(repr(leaf).encode() if callable(leaf) or isinstance(leaf, str) else np.asarray(leaf).tobytes())
    return found.hexdigest()[:16]


class Reached(Exception):
    """The driver came to where it would compute."""


def reconstruct_trace(config, folder, monkeypatch):
    """What the driver writes, the sampler replaced by one that only notes what it was given."""
    seen = []

    def drawn(scan, prior, seed, interval, task, progress, **sampler):
        measurement = scan.measurement
        section = default_config().sampler
        section.update(sampler)
        make, settings = build.sampler(section)
        keys = jax.random.key_data(api.draw_keys(seed, 2))
        seen.append([repr(make), *map(digest, (settings, keys, measurement, prior)), sampler["samples"]])
        seen[-1] += [sampler["batch_size"], list(sampler["quantiles"])]
        whole = default_config()
        whole.update({"sampler": sampler, "interval": interval})
        make, settings = build.posterior_sampler(whole)
        seen[-1] += [
            task,
            dict(interval),
            repr(make),
            digest(settings),
            repr(build.correction(whole.interval, "", task)),
        ]
        image = jnp.zeros(image_shape(measurement))
        return Reconstruction(image, None, None, image[None])

    monkeypatch.setattr(reconstruct.api, "reconstruct", drawn)
    monkeypatch.setattr(reconstruct, "_figure", lambda task, results, path: path.write_bytes(b""))
    rows = reconstruct.reconstruct(config, folder)
    arrays = dict(np.load(folder / "reconstructions.npz"))
    return [seen, [{k: v for k, v in row.items() if k != "seconds"} for row in rows], digest(arrays)]


def compared(conditions, runner):
    """What an evaluation holds before it computes."""
    each = [
        [c.labels, repr(c.make), *map(digest, (c.settings, c.operator, runner.measured(c, 0) if c.scan else c.model))]
        for c in conditions
    ]
    each += [[c.samples, c.batch_size, c.noise_std, c.network_calls] for c in conditions]
    keys = jax.random.key_data(runner._keys)
    return [each, *map(digest, (keys, runner.region, runner.prior, runner.slices.images)), runner.slices.names]


def comparing_trace(driver, name, config, folder, monkeypatch):
    """What evaluate or sweep hand to the program that reconstructs."""
    held = []

    def stop(path, conditions, runner, title):
        held.append(compared(conditions, runner))
        raise Reached

    monkeypatch.setattr(driver, "run", stop)
    with pytest.raises(Reached):
        getattr(driver, name)(config, folder)
    return held


def tune_trace(config, folder, monkeypatch):
    """What tuning hands to the program that reconstructs at each trial."""
    held = []

    def mean_score(runner, conditions, objective):
        held.append([compared(conditions, runner), objective])
        return 0.5

    monkeypatch.setattr(tune, "_mean_score", mean_score)
    monkeypatch.setattr(tune, "_write", lambda *arguments: None)
    tune.tune(config, folder)
    return held


TRACES = {
    "reconstruct": reconstruct_trace,
    "evaluate": functools.partial(comparing_trace, evaluate, "evaluate"),
    "sweep": functools.partial(comparing_trace, sweep, "sweep"),
    "tune": tune_trace,
}
known = {}


@pytest.fixture
def trace(inputs, tmp_path, monkeypatch):
    """(mode, changes) -> the driver's trace as text."""
    monkeypatch.setattr(build, "load_prior", gaussian_prior)

    def make(mode, changes):
        name = json.dumps([mode, changes], sort_keys=True)
        if name not in known:
            folder = tmp_path / str(len(known))
            known[name] = json.dumps(TRACES[mode](configured(inputs, changes), folder, monkeypatch), default=str)
            known[name] = known[name].replace(str(folder), "")
        return known[name]

    return make


def cases():
    """(field, mode): fast ones are the first mode that reads a field; the others repeat the same wiring.

    A scan with metal takes seconds, and every mode builds it by the same function.
    """
    for name, (base, _) in CHANGES.items():
        modes = [m for m in MODES if m in TABLE[name].modes and m in TRACES]
        modes = [m for m in modes if m != "tune" or name not in NOT_IN_TUNING]
        seconds = base is METAL
        for position, mode in enumerate(modes[:1] if base is METAL else modes):
            slow = [pytest.mark.slow] * (position > 0 or seconds)
            yield pytest.param(name, mode, marks=slow, id=f"{name}-{mode}")


@pytest.mark.parametrize(("name", "mode"), cases())
def test_a_change_of_a_field_changes_what_the_driver_works_with(trace, name, mode):
    base, value = CHANGES[name]
    assert trace(mode, base) != trace(mode, base | {name: value})


def test_every_field_stands_in_the_table_of_changes():
    # Fields of k-space have tests of their own on data of several coils and echoes (tests/scans).
    read = {name for name, field in TABLE.items() if set(field.modes) & set(TRACES)}
    read -= {field.name for field in (*KSPACE_FIELDS, *VOLUME_FIELDS)}
    assert read == set(CHANGES) | ELSEWHERE


def test_a_measurement_in_another_unit_is_the_same_measurement(inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "load_prior", gaussian_prior)
    kspace = np.load(inputs / "scan.npz")["kspace"]
    ((_, (one,)), (_, (other,))) = (
        make_tasks(configured(folder, {"measurement": "scan.npz", "scan.noise_std": 0.01 * unit}))
        for unit in (1, 350)
        for folder in [tmp_path / str(unit)]
        if not (folder.mkdir() or np.savez(folder / "scan.npz", kspace=unit * kspace))
    )
    assert float(one.measurement.noise_std) == pytest.approx(0.01 / one.scan.scale)
    for a, b in zip(jax.tree.leaves(one.measurement), jax.tree.leaves(other.measurement), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert other.scan.scale == pytest.approx(350 * one.scan.scale, rel=1e-4)


@pytest.mark.parametrize("change", [{"operator.mask": "random"}, {"operator.noise_std": 0.1}], ids=["mask", "noise"])
def test_the_seed_makes_masks_and_noise(inputs, change, monkeypatch):
    monkeypatch.setattr(build, "load_prior", gaussian_prior)
    data = [make_tasks(configured(inputs, change | {"seed": seed}))[1][0].measurement for seed in (0, 1, 0)]
    assert digest(data[0]) == digest(data[2]) != digest(data[1])


@pytest.mark.parametrize("field", [{"baselines": ("nmar",)}, {"sampler.start": "nmar"}], ids=["baseline", "start"])
def test_nmar_without_hounsfield_units_is_refused_in_one_line(inputs, field, monkeypatch):
    monkeypatch.setattr(build, "load_prior", gaussian_prior)
    with pytest.raises(ValueError, match=r"give scan\.water") as error:
        make_tasks(configured(inputs, RAYS | field))
    assert "\n" not in str(error.value)


def test_an_image_file_is_cut_to_its_window(inputs, monkeypatch):
    monkeypatch.setattr(build, "load_prior", gaussian_prior)
    _, (task,) = make_tasks(configured(inputs, IMAGE | {"data.intensity": "ct_window", "data.window": (0.0, 500.0)}))
    stored = np.load(inputs / "ct.npy")[1]
    np.testing.assert_allclose(task.truth[..., 0], np.clip(stored / 500, 0, 1), atol=1e-6)


def test_rows_of_two_priors_do_not_mix(trace, inputs, tmp_path, monkeypatch):
    for mode in ("evaluate", "sweep"):
        with monkeypatch.context() as patch:
            TRACES[mode](configured(inputs, {}), tmp_path / mode, patch)
            with pytest.raises(ValueError, match="holds results of another run \\(prior was"):
                TRACES[mode](configured(inputs, {"prior": "another"}), tmp_path / mode, patch)


def test_noise_and_draws_of_an_evaluation_have_keys_of_their_own():
    used = SimpleNamespace(noise=[], draws=[])
    from scoreinv.evaluation import runner

    def simulate(key, operator, image, noise_std):
        used.noise.append(jax.random.key_data(key).tolist())
        return Measurement(image, operator, noise_std)

    def score_of(prior, measurement, truth, metal, region, settings, key):
        used.draws += [jax.random.key_data(k).tolist() for k in (key, *jax.random.split(key, 4))]
        return runner.Outcome(*[None] * len(runner.Outcome._fields))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "simulate", simulate)
        shared = (None, None, None, None)
        runner._simulated(score_of, 1, shared, jnp.zeros((4, 4, 1)), 1.0, 0.1, {}, jax.random.key(3))
    assert used.noise and not [key for key in used.noise if key in used.draws]
