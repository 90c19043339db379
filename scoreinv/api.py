"""From a scan to an image with an interval, without a configuration: what `import scoreinv` offers.

The functions take files, arrays and plain numbers; every number that they are not given has the default of the table of
fields. `--mode=reconstruct` calls `reconstruct` for each of its tasks.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from absl import logging
from jaxtyping import Array, Float, PRNGKeyArray
from ml_collections import ConfigDict

from scoreinv import build, parallel
from scoreinv.build.checks import check_values
from scoreinv.build.fields import default_config
from scoreinv.build.memory import check_memory
from scoreinv.build.scans import read_scan as scan_of_file
from scoreinv.build.tasks import fitted_prior, image_shape
from scoreinv.evaluation.conformal import task_name
from scoreinv.operators.base import Measurement
from scoreinv.prior import Prior
from scoreinv.reconstruction import Reconstruction, doubt, of_draws, with_doubts, with_open_fraction
from scoreinv.scans.scan import Scan

Images = Float[Array, "..."]
POSTERIOR = 2**30  # the purpose of draws of the posterior
PATTERNS = 2**30 + 1  # the purpose of the patterns of `open_fraction`


def read_scan(path: str | Path, fields: Mapping[str, Any] | None = None) -> Scan:
    """Reads measured data: k-space or a sinogram with its geometry, unit and noise.

    Args:
        path: the file.
        fields: fields of a configuration that say what the file does not, as in {"scan.noise_std": 0.02}.

    Returns:
        The scan.

    Raises:
        ValueError: a file that cannot be read or holds no measurement; an unknown field.

    >>> scan = scoreinv.read_scan("scan.npz", {"scan.noise_std": 0.01})
    >>> scan.measurement.y.shape
    (8, 8)
    """
    config = default_config()
    check_values(fields or {})
    config.update_from_flattened_dict({"measurement": str(path), **(fields or {})})
    return scan_of_file(Path(path), config)


def reconstruct(
    scan: Scan | Measurement | str | Path,
    prior: Prior | str = "brain-mri",
    method: str = "dpir",
    samples: int = 8,
    seed: int = 0,
    *,
    interval: Mapping[str, Any] | None = None,
    task: str = "",
    progress: Callable[[int], Any] = lambda drawn: None,
    **sampler: Any,
) -> Reconstruction:
    """Draws images that agree with a scan and a prior.

    Args:
        scan: measured data, a file of them, or a measurement that `simulate` made.
        prior: the prior, or what `load_prior` takes. It is fitted to the scan's size and channels.
        method: a published method by name; see `scoreinv --help-fields` on sampler.method.
        samples: number of draws K.
        seed: of the draws; the same seed, the same images.
        interval: fields of the configuration's section `interval`, as {"level": 0.8}; {"draws": 0} is fastest.
        task: name of the operator in a file of corrections, as "4x"; empty: the correction for all tasks of the file.
        progress: called with the number of images of each batch when it is drawn.
        sampler: further fields of the configuration's section `sampler`, as steps=99 or settings="churn=0.3".

    Returns:
        The mean of the draws, the draws themselves, an interval that rests on draws of the posterior (Langevin), and
        where the image rests on the prior, in the unit of the data. What is to be known is logged.

    Raises:
        ValueError: a scan, prior, method or field that cannot be used.

    >>> result = scoreinv.reconstruct("scan.npz", prior, method="dpir", samples=2, seed=0, steps=3)
    >>> result.image.shape, result.draws.shape, result.interval.about
    ((8, 8, 2), (2, 8, 8, 2), '90 % interval as drawn, checked on no subject')
    """
    scan = read_scan(scan) if isinstance(scan, str | Path) else scan
    scan = Scan("", scan) if isinstance(scan, Measurement) else scan
    section = {"method": method, "samples": samples, **sampler}
    own = dict(interval or {})
    check_values({"seed": seed} | {f"sampler.{name}": value for name, value in section.items()})
    check_values({f"interval.{name}": value for name, value in own.items()})
    config = default_config()
    config.sampler.update(section)
    config.interval.update(own)
    task = task_name(task, float(scan.measurement.noise_std))
    correction = build.correction(config.interval, prior if isinstance(prior, str) else "", task)
    if isinstance(prior, str):
        prior = build.load_prior(prior, config.sampler.remat)
    fitted = fitted_prior(config, prior, image_shape(scan.measurement))
    scene = fitted, scan.measurement, seed
    made = draw(config.sampler, *scene, progress)
    posterior, seconds = draw_posterior(config, *scene, progress)
    limits = config.interval
    made = with_doubts(made, scan.measurement, posterior, limits.level, limits.contrast, correction)
    made = with_open_fraction(draw_keys(seed, 1, PATTERNS)[0], made, scan.measurement, config.interval.scales)
    if made.interval is not None:
        logging.info("%s; %d network calls, %.1f s", made.interval.about, posterior_calls(config), seconds)
    if line := doubt(made, limits.contrast, limits.area):
        logging.warning("%s", f"{scan.name}: {line}" if scan.name else line)
    return made.in_unit_of(scan)


def draw(
    section: ConfigDict,
    prior: Prior,
    measurement: Measurement,
    seed: int,
    progress: Callable[[int], Any] = lambda drawn: None,
) -> Reconstruction:
    """The draws of a `config.sampler` section in [0, 1], a batch at a time."""
    make, settings = build.sampler(section, measurement)
    samples, keys = section.samples, partial(draw_keys, seed)
    check_memory((samples, *image_shape(measurement)), "lower sampler.samples")
    first, before = _first(make)(measurement, keys(1))
    sampler = make, settings | {"first": first[0]}
    draws, seconds = _images(sampler, keys, prior, measurement, samples, section.batch_size, progress)
    calls = samples * build.network_calls(make, settings)
    return of_draws(draws, section.quantiles, network_calls=calls, seconds=before + seconds)


def draw_posterior(
    config: ConfigDict,
    prior: Prior,
    measurement: Measurement,
    seed: int,
    progress: Callable[[int], Any] = lambda drawn: None,
) -> tuple[Images | None, float]:
    """(draws of the posterior that an interval rests on, None where `config.interval` asks for none; seconds)."""
    count, keys = config.interval.draws, partial(draw_keys, seed, purpose=POSTERIOR)
    if not count:
        return None, 0.0
    sampler = build.posterior_sampler(config)
    return _images(sampler, keys, prior, measurement, count, config.sampler.batch_size, progress)


def posterior_calls(config: ConfigDict) -> int:
    """Evaluations of the network that `draw_posterior` takes."""
    return config.interval.draws * build.network_calls(*build.posterior_sampler(config)) if config.interval.draws else 0


def _images(
    sampler: tuple[build.Sampler, Mapping[str, Any]],
    keys_of: Callable[[int], PRNGKeyArray],
    prior: Prior,
    measurement: Measurement,
    samples: int,
    batch_size: int,
    progress: Callable[[int], Any],
) -> tuple[Images, float]:
    """(draws of a sampler, seconds without compilation), a batch at a time."""
    make, settings = sampler
    at_once = build.draws_at_once(batch_size, image_shape(measurement))
    size = min(samples, at_once * jax.local_device_count())
    keys = keys_of(-(-samples // size) * size)
    run, seconds, drawn = _program(make), 0.0, []
    for start in range(0, samples, size):
        images, spent = run((prior, settings, measurement), keys[start : start + size])
        drawn.append(images)
        seconds += spent
        progress(min(size, samples - start))
    return jnp.concatenate(drawn)[:samples], seconds


def draw_keys(seed: int, count: int, purpose: int = 0) -> PRNGKeyArray:
    """The keys of the draws: children of a seed's third key, as the first two make mask and noise of simulated data.

    Args:
        seed: the seed.
        count: number of keys.
        purpose: 0: the draws of the method; another number above `count`: as many that have nothing to do with them.
    """
    key = jax.random.split(jax.random.key(seed), 3)[2]
    return jax.random.split(jax.random.fold_in(key, purpose) if purpose else key, count)


@lru_cache(maxsize=16)
def _program(make: build.Sampler) -> Callable[..., tuple[Any, float]]:
    """The compiled programs of one structure of a sampler: a scan of a shape seen before compiles nothing."""

    def draw(shared: Any, key: PRNGKeyArray) -> Images:
        prior, settings, measurement = shared
        return make(prior, settings)(key, measurement)

    return parallel.compiled_once(draw)


@lru_cache(maxsize=16)
def _first(make: build.Sampler) -> Callable[..., tuple[Any, float]]:
    """The compiled programs of the image that all draws start from."""
    return parallel.compiled_once(lambda measurement, _: make.start(measurement))
