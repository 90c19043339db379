"""Reconstructs slices under conditions: the compiled programs and the loop behind evaluations, sweeps and tuning."""

import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from tqdm import tqdm

from scoreinv import parallel
from scoreinv.evaluation import metrics
from scoreinv.evaluation.condition import Condition
from scoreinv.evaluation.rows import ResultFile
from scoreinv.evaluation.subset import Subset
from scoreinv.operators.base import LinearOperator, Measurement, block_mean, simulate
from scoreinv.operators.mar import remove_metal
from scoreinv.prior import Prior
from scoreinv.simulation.scanner import Simulated

METRICS = ("psnr", "ssim", "rmse")
SLICE = ("subject", "volume", "slice")
POLL_SECONDS = 0.5
KEPT = 256  # reconstructions, and scans, in memory
# Compiled programs in memory: the portions of a run are grouped by program, and each takes about a thousand of the
# 65530 memory maps that Linux gives a process.
PROGRAMS = 16


class Outcome(NamedTuple):
    """What a program makes of one slice (or, with a first axis, of several): scores, mean and spread of the draws."""

    psnr: Float[Array, "*n"]
    ssim: Float[Array, "*n"]
    rmse: Float[Array, "*n"]
    mean: Float[Array, "*n H W C"]
    std: Float[Array, "*n H W C"]


def _reconstruct(make, samples, batch_size, prior, measurement, truth, metal, region, settings, key) -> Outcome:
    """Reconstructs one measurement and scores the mean of the draws."""

    def draw(key):
        return make(prior, settings)(key, measurement)

    keys = jax.random.split(key, samples)
    draws = jax.vmap(draw)(keys) if samples <= batch_size else jax.lax.map(draw, keys, batch_size=batch_size)
    mean = draws.mean(0)
    compared = remove_metal(mean, metal), remove_metal(truth, metal)
    scores = {name: getattr(metrics, name)(*compared, region) for name in METRICS}
    return Outcome(**scores, mean=mean, std=draws.std(0))


def _measure(key, image, mask, transform, model, noise_std) -> Measurement:
    """Data of the (finer) object's model, with the operator that reconstructs them."""
    measured = simulate(key, LinearOperator(mask, model), image, noise_std)
    return measured._replace(operator=LinearOperator(mask, transform))


def _simulated(reconstruct, oversample, shared, image, mask, noise_std, settings, key) -> Outcome:
    """Measures one slice inside the program."""
    prior, transform, model, region = shared
    noise_key, key = jax.random.split(key)
    measurement = _measure(noise_key, image, mask, transform, model, noise_std)
    return reconstruct(prior, measurement, block_mean(image, oversample), None, region, settings, key)


def _scanned(reconstruct, shared, y, mask, noise_std, truth, metal, settings, key) -> Outcome:
    """Takes a slice as a scan measured it before."""
    prior, transform, _, region = shared
    measurement = Measurement(y, LinearOperator(mask, transform), noise_std)
    return reconstruct(prior, measurement, truth, metal, region, settings, jax.random.split(key)[1])


class Runner:
    """Reconstructs (condition, slice) pairs; conditions of one structure and transform share a compiled program.

    Args:
        prior: the prior.
        slices: the true images.
        region: shape (H, W) -> 1 on the pixels that are scored.
        seed: of measurement noise and draws. They depend on it and on the slice's name alone, so that every condition
            sees the same noise.

    Attributes:
        compilations: how many programs were compiled.
        seconds: time spent in them, compilation left out.
    """

    def __init__(self, prior: Prior, slices: Subset, region: Callable[[tuple[int, int]], Array], seed: int):
        self.prior, self.slices = prior, slices
        self.region = region(slices.shape[:2])
        keys = [zlib.crc32("/".join(map(str, name)).encode()) for name in slices.names]
        self._keys = jax.vmap(partial(jax.random.fold_in, jax.random.key(seed)))(np.asarray(keys, np.uint32))
        self._programs: dict[Any, Callable[..., Any]] = {}
        self._images: dict[tuple[Any, int], tuple[np.ndarray, np.ndarray]] = {}
        self._measured: dict[tuple[str, int], Simulated] = {}
        self.compilations, self.seconds = 0, 0.0

    def __call__(self, pairs: Sequence[tuple[Condition, int]]) -> tuple[Outcome, float]:
        """Outcomes of pairs that share a program (at most `pairs_per_call` of them), and the seconds one took."""
        first, size = pairs[0][0], pairs_per_call(pairs[0][0])
        conditions, indices = zip(*pairs, *[pairs[-1]] * (size - len(pairs)), strict=True)
        index = np.asarray(indices)
        network = self.prior if first.network is None else first.network
        shared = (network, first.operator.transform, first.model, self.region)
        batch = (
            *(self._scans(conditions, indices) if first.scan else self._slices(conditions, index)),
            jax.tree.map(lambda *values: jnp.stack(values), *(c.settings for c in conditions)),
            self._keys[index],
        )
        program = self._program(first, shared, batch)
        started = time.perf_counter()
        outcome = jax.block_until_ready(program(shared, *batch))
        seconds = time.perf_counter() - started
        self.seconds += seconds
        outcome = jax.tree.map(lambda x: np.asarray(x[: len(pairs)]), outcome)
        if len(self._images) < KEPT:
            self._images |= {_image_key(*p): (outcome.mean[i], outcome.std[i]) for i, p in enumerate(pairs)}
        return outcome, seconds / size

    def _slices(self, conditions, index) -> tuple[Array, ...]:
        """What the program measures itself: images, masks and noise."""
        return (
            jax.device_put(self.slices.images[index]),
            jnp.stack([c.operator.mask for c in conditions]),
            jax.device_put(np.asarray([c.noise_std for c in conditions], np.float32)),
        )

    def _scans(self, conditions, indices) -> tuple[Array, ...]:
        """What was scanned: data, masks and noise, with what the reconstructions are compared with."""
        scans = [self.measured(c, i) for c, i in zip(conditions, indices, strict=True)]
        each = [
            (s.measurement.y, s.measurement.operator.mask, s.measurement.noise_std, s.truth, s.metal) for s in scans
        ]
        return tuple(jnp.stack(values) for values in zip(*each, strict=True))

    def measured(self, condition: Condition, index: int) -> Simulated:
        """A slice as the condition's scan measures it; conditions of equal scans get the same."""
        assert condition.scan is not None
        name = condition.scan.identity, index
        if name not in self._measured:
            key, _ = jax.random.split(self._keys[index])
            if len(self._measured) >= KEPT:
                self._measured.clear()
            self._measured[name] = condition.scan.measure(key, jax.device_put(self.slices.images[index]))
        return self._measured[name]

    def measurement(self, condition: Condition, index: int) -> tuple[Measurement, Array]:
        """(what every method of the condition's measurement gets of a slice, truth), for methods of other packages."""
        if condition.scan:
            measured = self.measured(condition, index)
            assert measured.truth is not None
            return measured.measurement, measured.truth
        key, _ = jax.random.split(self._keys[index])
        operator, image = condition.operator, jax.device_put(self.slices.images[index])
        noise_std = jnp.float32(condition.noise_std)
        data = _measure(key, image, operator.mask, operator.transform, condition.model, noise_std)
        return data, block_mean(image, self.slices.oversample)

    def truth(self, condition: Condition, index: int) -> tuple[Array, Array | None]:
        """(what reconstructions of a slice are compared with, metal that is left out of it)."""
        if condition.scan:
            measured = self.measured(condition, index)
            assert measured.truth is not None
            return measured.truth, measured.metal
        return block_mean(jax.device_put(self.slices.images[index]), self.slices.oversample), None

    def images(self, condition: Condition, indices: Sequence[int]) -> list[tuple[np.ndarray, np.ndarray]]:
        """(mean, standard deviation) of the draws for some slices; made once more where they were not kept."""
        missing = [(condition, i) for i in indices if _image_key(condition, i) not in self._images]
        size, made = pairs_per_call(condition), dict(self._images)
        for start in range(0, len(missing), size):
            pairs = missing[start : start + size]
            outcome, _ = self(pairs)
            made |= {_image_key(*pair): (outcome.mean[i], outcome.std[i]) for i, pair in enumerate(pairs)}
        return [made[_image_key(condition, i)] for i in indices]

    def _program(self, condition: Condition, shared, batch) -> Callable[..., Any]:
        name = program_of(condition)
        if name not in self._programs:
            self.compilations += 1
            score = partial(_reconstruct, condition.make, condition.samples, condition.batch_size)
            fn = partial(_scanned, score) if condition.scan else partial(_simulated, score, self.slices.oversample)
            if len(self._programs) >= PROGRAMS:
                self._programs.clear()
                jax.clear_caches()  # which keep a program that nothing else refers to
            self._programs[name] = parallel.compile_batch(fn, shared, *batch)
        return self._programs[name]


def _image_key(condition: Condition, index: int) -> tuple[Any, int]:
    return tuple(condition.labels.items()), index


def program_of(condition: Condition) -> Any:
    """What two conditions have in common when they share a compiled program."""
    structure = (condition.make, condition.samples, condition.batch_size)
    return (
        *structure,
        id(condition.operator.transform),
        id(condition.model),
        condition.operator.mask.shape,
        id(condition.network),
        condition.scan is None,
    )


def pairs_per_call(condition: Condition) -> int:
    """How many (condition, slice) pairs go into one call, so that a device draws `batch_size` images at a time."""
    return jax.local_device_count() * max(1, condition.batch_size // condition.samples)


def units_of(conditions: Sequence[Condition], slices: int) -> list[list[tuple[Condition, int]]]:
    """All pairs in portions for one call each, in an order that depends on the arguments alone."""
    # Those of one program stand together, but a call waits for the most steps in it.
    groups: dict[Any, dict[int, list[tuple[Condition, int]]]] = {}
    for condition in conditions:
        of_program = groups.setdefault(program_of(condition), {})
        of_program.setdefault(condition.network_calls, []).extend((condition, i) for i in range(slices))
    units = []
    for pairs in (pairs for of_program in groups.values() for pairs in of_program.values()):
        size = pairs_per_call(pairs[0][0])
        units += [pairs[start : start + size] for start in range(0, len(pairs), size)]
    return units


def columns_of(conditions: Sequence[Condition]) -> tuple[str, ...]:
    """The columns of a comparison's CSV file."""
    return (*conditions[0].labels, *SLICE, *METRICS, "network_calls", "seconds")


def run(path: Path, conditions: Sequence[Condition], runner: Runner, description: str) -> list[dict[str, str]]:
    """Completes a CSV file with a row for every slice under every condition.

    Rows that are there are not computed again; those that another process works on are left to it, whatever slices,
    batch sizes or other conditions it has.

    Args:
        path: the CSV file.
        conditions: what to compare.
        runner: reconstructs.
        description: of the progress bar.

    Returns:
        The rows of these conditions and slices in their order, whatever else the file holds.
    """
    file = ResultFile(path, columns_of(conditions))
    names = runner.slices.names
    units = units_of(conditions, len(names))
    wanted = dict.fromkeys(_identity(_labelled((c, i), names)) for c in conditions for i in range(len(names)))
    with file.claims() as claims, tqdm(total=len(wanted), desc=description, unit="image") as bar:
        while units := [missing for unit in units if (missing := _missing(file, unit, names))]:
            before = len(_done(file))
            for unit in units:
                with claims.claim([_identity(_labelled(pair, names)) for pair in unit]) as mine:
                    missing = _missing(file, [pair for pair, held in zip(unit, mine, strict=True) if held], names)
                    if missing:
                        file.append(_rows(missing, runner))
                bar.update(len(wanted.keys() & _done(file)) - bar.n)
            if len(_done(file)) == before:
                time.sleep(POLL_SECONDS)
        bar.update(len(wanted.keys() & _done(file)) - bar.n)
    found = {_identity(row): row for row in file.rows()}
    return [found[identity] for identity in wanted]


def _rows(pairs, runner: Runner) -> list[dict[str, Any]]:
    outcome, seconds = runner(pairs)
    return [
        _labelled(pair, runner.slices.names)
        | {name: f"{getattr(outcome, name)[i]:.6g}" for name in METRICS}
        | {"network_calls": pair[0].network_calls, "seconds": f"{seconds:.4g}"}
        for i, pair in enumerate(pairs)
    ]


def _labelled(pair: tuple[Condition, int], names) -> dict[str, Any]:
    condition, index = pair
    return condition.labels | dict(zip(SLICE, names[index], strict=True))


def _identity(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(value) for name, value in row.items() if name not in (*METRICS, "network_calls", "seconds"))


def _done(file: ResultFile) -> set[tuple[str, ...]]:
    return {_identity(row) for row in file.rows()}


def _missing(file: ResultFile, unit, names) -> list[tuple[Condition, int]]:
    done = _done(file)
    return [pair for pair in unit if _identity(_labelled(pair, names)) not in done]
