"""Quality and coverage against network calls: which method's draws hold the truth, and what that costs.

python -m experiments.calibration.frontier --mri=brain.npz --slices=2
python -m experiments.calibration.frontier --fast        # phantoms, three methods; its figures mean nothing

4x MRI of validation subjects. For each method and number of calls a draw: PSNR of the mean of four draws, and how often
their own 90 % interval (Student's) holds the truth inside the object. Writes frontier.csv and frontier.png; rows that
are there are kept.
"""

import argparse
import csv
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from experiments.fast import shrink
from experiments.frontier.small import METHODS as FRONTIER
from experiments.frontier.small import paper
from experiments.small import brain
from scoreinv import build
from scoreinv.build.comparison import choose_slices, fitting_prior
from scoreinv.build.plan import DEFAULT_METHOD, with_method
from scoreinv.evaluation import coverage, metrics
from scoreinv.evaluation.figures import curves
from scoreinv.evaluation.uncertainty import draw
from scoreinv.formats.files import write_atomically
from scoreinv.operators.base import LinearOperator, block_mean, forward_model, simulate

# Of the frontier's methods those that draw: its own settings, and the two that the package runs by default.
SHARED = ("dps", "mcg", "pigdm", "ddnm", "dds", "diffpir_noised", "daps", "split_gibbs", "song2022_follow_noise")
METHODS = {
    "posterior_langevin": {"grid": "geometric", "start": "pseudo_inverse", "sigma_min": 0.01, "sigma_max": 1.0},
    DEFAULT_METHOD: {},
    **{name: FRONTIER[name] for name in SHARED},
    **{name: paper("mri")[name] for name in ("song2022", "score_sde", "langevin")},
}
CALLS, DRAWS, LEVEL = (10, 40, 160), 4, 0.9
COLUMNS = ("method", "calls", "slice", "psnr", "coverage")


def programs(config, methods, calls_of_each):
    """Yields ((method, calls), function (key, image) -> (truth, draws))."""
    shape = (config.data.size, config.data.size, 1)
    prior = fitting_prior(config, shape)
    (_, operator), *_ = build.operators(config.operator, shape, jax.random.key(config.seed))
    blank = simulate(jax.random.key(0), operator, jnp.zeros(shape), config.operator.noise_std)
    fine = LinearOperator(operator.mask, forward_model(operator.transform, config.operator.oversample))

    @partial(jax.jit, static_argnums=0)
    def run(make, settings, prior, key, image):
        noise_key, key = jax.random.split(key)
        measurement = simulate(noise_key, fine, image, config.operator.noise_std)._replace(operator=operator)
        draws = draw(make(prior, settings), key, measurement, DRAWS, DRAWS)
        return block_mean(image, config.operator.oversample), draws

    for calls in calls_of_each:  # the long ones last
        for method in methods:
            section = with_method(config, method).sampler
            section.calls = calls
            make, settings = build.sampler(section, blank)
            yield (method, calls), partial(run, make, settings, prior)


def main(argv: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mri", default="", help="a packed file of --mode=prepare")
    parser.add_argument("--slices", type=int, default=2, help="of validation subjects")
    parser.add_argument("--fast", action="store_true", help="phantoms and an untrained network: seconds, no meaning")
    parser.add_argument("--workdir", type=Path, default=Path("runs/calibration-frontier"))
    options = parser.parse_args(argv)
    config = brain()
    config.operator.acceleration, config.data.packed = (4.0,), options.mri
    config.methods.update(METHODS)
    methods, calls_of_each = tuple(METHODS), CALLS
    if options.fast:
        shrink(config, options.workdir / "fast")
        methods, calls_of_each = methods[:3], (5,)
    elif not options.mri:
        parser.error("--mri is missing: a packed file of slices; or --fast, for phantoms")
    slices = choose_slices(config, "validation", options.slices)
    path = options.workdir / "frontier.csv"
    rows = list(csv.DictReader(path.open())) if path.exists() else []
    for (method, calls), run in programs(config, methods, calls_of_each):
        for i, image in enumerate(slices.images):
            place = {"method": method, "calls": str(calls), "slice": str(i)}
            if any(place.items() <= row.items() for row in rows):
                continue
            truth, draws = map(np.asarray, run(jax.random.key(i), jnp.asarray(image)))
            case = coverage.case("", truth, draws.mean(0), draws)
            (held,) = coverage.as_drawn([case], LEVEL)
            psnr = float(metrics.psnr(jnp.asarray(draws.mean(0)), jnp.asarray(truth)))
            rows.append(place | {"psnr": f"{psnr:.3f}", "coverage": f"{held.mean():.4f}"})
            write_atomically(path, partial(_write, rows))
    write_atomically(options.workdir / "frontier.png", figure(rows).savefig)


def _write(rows, path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def figure(rows):
    """PSNR and coverage over calls, means over slices."""
    panels: dict[str, dict] = {"PSNR of the mean of 4, dB": {}, "coverage of 90 % intervals": {}}
    for name, panel in zip(("psnr", "coverage"), panels.values(), strict=True):
        for method in dict.fromkeys(row["method"] for row in rows):
            own = [row for row in rows if row["method"] == method]
            calls = sorted({int(row["calls"]) for row in own})
            panel[method] = calls, [np.mean([float(r[name]) for r in own if int(r["calls"]) == n]) for n in calls]
    return curves(panels, "network calls a draw", logarithmic=True)


if __name__ == "__main__":
    main()
