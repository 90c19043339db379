"""PSNR and SSIM against network calls: every method at every budget, on validation subjects.

    python experiments/frontier/frontier.py --mri=brain.npz --ct=body.npz --slices=8     # packed files, or folders
    python experiments/frontier/frontier.py --fast                                       # phantoms, seconds

Each finished cell (task, method, calls) is kept in <workdir>/results.json; the same command continues after an
interruption and skips what is there. It ends with one table <task>.md and one figure <task>.png for each task.
"""

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import jax
import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

from experiments.frontier.tasks import TASKS, Problem, phantom_problem, problem
from scoreinv import build, metrics
from scoreinv.baselines.direct import direct
from scoreinv.baselines.tv import tv
from scoreinv.checkpoints import write_atomically
from scoreinv.operators.base import Measurement
from scoreinv.parallel import compile_batch
from scoreinv.samplers.calls import count_network_calls
from scoreinv.samplers.presets import dds_eta

BUDGETS = (5, 10, 20, 35, 50, 100, 200, 500, 1000, 2000)
# From pure noise, as published for it; from the noised pseudo-inverse, for those that need no generation of the whole.
NOISE = {"grid": "karras", "start": "zero", "sigma_min": 0.005, "sigma_max": 10.0}
NOISED = {"grid": "geometric", "start": "pseudo_inverse", "sigma_min": 0.01, "sigma_max": 1.0}
LADDER = {"grid": "linear", "start": "zero", "sigma_min": 0.01, "sigma_max": 20.0}
# Row -> fields of the sampler section; "{eta}" is the published one for the number of calls.
METHODS: dict[str, dict[str, object]] = {
    "default": {},
    "dpir": {"method": "dpir", "settings": "churn=0.0"},
    "song2022": {"method": "song2022", "settings": "snr=0.246, lam=0.841", **LADDER},
    "song2022, lam follows the noise": {
        "method": "song2022",
        "settings": "snr=0.16, lam=1.0, follow_noise=True",
        **LADDER,
    },
    "ald_proximal": {"method": "ald_proximal", "settings": "snr=0.386, lam=1.0", **LADDER},
    "score_sde": {"method": "score_sde", "settings": "snr=0.246, gamma=1.231", **LADDER},
    "langevin": {"method": "langevin", "settings": "snr=0.212, gamma=0.713", **LADDER},
    "dps": {"method": "dps", **NOISE},
    "mcg": {"method": "mcg", **NOISE},
    "pigdm": {"method": "pigdm", "settings": "data_std=0.34", **NOISE},
    "ddnm": {"method": "ddnm", **NOISE},
    "dds": {"method": "dds", "settings": "eta={eta}", **NOISE},
    "dds, noised start": {"method": "dds", "settings": "eta={eta}", **NOISED},
    "dds_dual": {"method": "dds_dual", "settings": "eta={eta}", **NOISE},
    "diffpir": {"method": "diffpir", **NOISE},
    "diffpir, noised start": {"method": "diffpir", "settings": "zeta=1.0", **NOISED},
    "red_diff": {"method": "red_diff", **NOISE, "start": "pseudo_inverse"},
    "daps": {"method": "daps", **NOISE},
    "split_gibbs": {"method": "split_gibbs", "settings": "prior_steps=5", **NOISED},
}
# Weights among which total variation is tuned, on the very slices that are reported: an advantage to it.
TV_WEIGHTS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)


def sampler(config, row: str, calls: int, one: Measurement, prior):
    """(make, settings) of a row with as many steps as `calls` network calls allow; None where that is below two."""
    section = config.copy_and_resolve_references().sampler
    section.update({k: v for k, v in METHODS[row].items() if k != "settings"})
    section.settings = METHODS[row].get("settings", section.settings).format(eta=round(dds_eta(calls), 3))

    def cost(steps):
        section.steps = steps
        make, settings = build.sampler(section)
        return count_network_calls(lambda p: make(p, settings), prior, jax.random.key(0), one)

    per_step = cost(3) - cost(2)
    section.steps = (calls - (cost(2) - 2 * per_step)) // per_step
    return build.sampler(section) if section.steps >= 2 else None


def draw(make, settings, problem_: Problem, samples: int, batch: int):
    """Samples [N, K, H, W, C] of every measurement, and the seconds they took without compilation."""
    n = len(problem_.truths)
    of = np.repeat(np.arange(n), samples)
    keys, shared = jax.random.split(jax.random.key(2), n * samples), (problem_.prior, settings)
    chunks = np.minimum(np.arange(-(-len(of) // batch) * batch), len(of) - 1).reshape(-1, batch)

    def arguments(chunk):
        return keys[chunk], jax.tree.map(lambda leaf: leaf[of[chunk]], problem_.measurements)

    run = compile_batch(lambda shared, key, m: make(*shared)(key, m), shared, *arguments(chunks[0]))
    started = time.perf_counter()
    images = np.concatenate([np.asarray(run(shared, *arguments(chunk))) for chunk in chunks])[: len(of)]
    return images.reshape(n, samples, *images.shape[1:]), time.perf_counter() - started


def scores(images, truths) -> dict[str, float]:
    """Mean PSNR and SSIM over slices: of single samples, and of the mean of all samples of a slice."""
    report = {}
    for name, metric in (("psnr", jax.jit(metrics.psnr)), ("ssim", jax.jit(metrics.ssim))):
        single = [[float(metric(x, truth)) for x in draws] for draws, truth in zip(images, truths, strict=True)]
        of_mean = [float(metric(draws.mean(0), truth)) for draws, truth in zip(images, truths, strict=True)]
        report |= {name: round(float(np.mean(single)), 4), f"{name}_of_mean": round(float(np.mean(of_mean)), 4)}
    return report


def baseline_scores(problem_: Problem) -> dict[str, dict[str, float]]:
    """The one-shot image, and total variation at the weight that is best on these slices."""
    run = jax.jit(jax.vmap(lambda m, lam: tv(lam=lam, iterations=300)(jax.random.key(0), m), (0, None)))
    tuned = [scores(np.asarray(run(problem_.measurements, lam))[:, None], problem_.truths) for lam in TV_WEIGHTS]
    plain = jax.jit(jax.vmap(lambda m: direct()(jax.random.key(0), m)))(problem_.measurements)
    best = max(range(len(tuned)), key=lambda i: tuned[i]["psnr"])
    return {
        "direct": scores(np.asarray(plain)[:, None], problem_.truths),
        "tv": tuned[best] | {"lam": TV_WEIGHTS[best]},
    }


def cell(problem_: Problem, row: str, calls: int, samples: int, batch: int) -> dict[str, float] | None:
    """What one method makes of one task in `calls` network calls; None where it cannot be run in so few."""
    one = jax.tree.map(lambda leaf: leaf[0], problem_.measurements)
    chosen = sampler(problem_.config, row, calls, one, problem_.prior)
    if chosen is None:
        return None
    images, seconds = draw(*chosen, problem_, samples, batch)
    return scores(images, problem_.truths) | {"seconds_per_image": round(seconds / len(images) / samples, 3)}


def table(results: dict, task: str, budgets) -> str:
    """Markdown: one line per method, PSNR / SSIM at each number of calls, the best of each column in bold."""
    cells = {tuple(k.split("|")[1:]): v for k, v in results.items() if k.startswith(f"{task}|")}
    methods = [m for m in METHODS if any((m, str(n)) in cells for n in budgets)]
    best = {n: max((c["psnr"] for m in methods if (c := cells.get((m, str(n))))), default=None) for n in budgets}

    def text(method, n):
        c = cells.get((method, str(n)))
        if not c:
            return "-"
        value = f"{c['psnr']:.2f} / {c['ssim']:.3f}"
        return f"**{value}**" if c["psnr"] == best[n] else value

    lines = [f"| {task}: calls | {' | '.join(map(str, budgets))} |", "|---|" + "---|" * len(budgets)]
    lines += [f"| {m} | {' | '.join(text(m, n) for n in budgets)} |" for m in methods]
    lines += [
        f"| {m} | {cells[m, '0']['psnr']:.2f} / {cells[m, '0']['ssim']:.3f} |{' |' * (len(budgets) - 1)}"
        for m in ("direct", "tv")
    ]
    return "\n".join(lines) + "\n"


def figure(results: dict, task: str, budgets) -> Figure:
    """PSNR and SSIM against network calls, one line per method, TV as a level."""
    drawing = Figure(figsize=(11, 4.5), layout="constrained")
    axes = drawing.subplots(1, 2)
    styles = [(f"C{i % 10}", "-o" if i < 10 else "--s") for i in range(len(METHODS))]
    for ax, name in zip(axes, ("psnr", "ssim"), strict=True):
        for (color, style), method in zip(styles, METHODS, strict=True):
            points = [(n, results[k][name]) for n in budgets if results.get(k := f"{task}|{method}|{n}")]
            if points:
                ax.plot(*zip(*points, strict=True), style, color=color, label=method, markersize=3, linewidth=1)
        ax.axhline(results[f"{task}|tv|0"][name], color="black", linestyle=":", label="tv, tuned")
        low = results[f"{task}|direct|0"][name]
        ax.set(xscale="log", xlabel="network calls per image", ylabel={"psnr": "PSNR, dB", "ssim": "SSIM"}[name])
        ax.set_ylim(bottom=low)
    axes[0].set_title(task, loc="left")
    drawing.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper", fontsize=7)
    return drawing


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line; `--fast` fills in small values."""
    names = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names.add_argument("--mri", default="", help="packed file of brain slices, or folders separated by commas")
    names.add_argument("--ct", default="", help="the same for CT")
    names.add_argument("--workdir", type=Path, default=Path("runs/frontier"))
    names.add_argument("--slices", type=int, default=8)
    names.add_argument("--samples", type=int, default=1, help="samples per slice, for the columns of the mean")
    names.add_argument("--batch", type=int, default=8, help="images per call of the compiled program")
    names.add_argument("--calls", type=lambda s: tuple(map(int, s.split(","))), default=BUDGETS)
    names.add_argument("--methods", type=lambda s: tuple(s.split(";")), default=tuple(METHODS), help="separated by ;")
    names.add_argument("--tasks", type=lambda s: tuple(s.split(",")), default=tuple(TASKS))
    names.add_argument("--noise-free", action="store_true")
    names.add_argument("--fast", action="store_true", help="phantoms of 32 x 32 under a Gaussian prior")
    parsed = names.parse_args(arguments)
    for what, chosen, known in (("task", parsed.tasks, TASKS), ("method", parsed.methods, METHODS)):
        for name in chosen:
            build.choose(known, name, what)
    if not parsed.fast:
        for task in parsed.tasks:
            if not getattr(parsed, TASKS[task][0]):
                raise ValueError(f"task {task} needs --{TASKS[task][0]}=<packed file or folders>; or give --fast")
    return parsed


def main(arguments: list[str]) -> None:
    """Runs what is missing of the frontier and draws it."""
    options = parse(arguments)
    path = options.workdir / "results.json"
    results = json.loads(path.read_text()) if path.is_file() else {}

    def keep(key, value):
        results[key] = value
        write_atomically(path, lambda p: p.write_text(json.dumps(results, indent=1) + "\n"))

    with tqdm(total=len(options.tasks) * len(options.methods) * len(options.calls), unit="cell") as bar:
        for task in options.tasks:
            todo = [(m, n) for m in options.methods for n in options.calls if f"{task}|{m}|{n}" not in results]
            bar.update(len(options.methods) * len(options.calls) - len(todo))
            if todo or f"{task}|tv|0" not in results:
                run_task(task, todo, options, keep, bar)
    for task in options.tasks:
        write_atomically(
            options.workdir / f"{task}.md", lambda p, t=task: p.write_text(table(results, t, options.calls))
        )
        write_atomically(
            options.workdir / f"{task}.png", lambda p, t=task: figure(results, t, options.calls).savefig(p)
        )
        print(table(results, task, options.calls))


def run_task(task: str, todo, options, keep, bar) -> None:
    """The missing cells of one task."""
    if options.fast:
        problem_ = phantom_problem(task, options.slices)
    else:
        source = getattr(options, TASKS[task][0])
        problem_ = problem(task, source, "validation", options.slices, options.noise_free)
    for name, value in baseline_scores(problem_).items():
        keep(f"{task}|{name}|0", value)
    for row, calls in todo:
        bar.set_description(f"{task}, {row}, {calls} calls")
        keep(f"{task}|{row}|{calls}", cell(problem_, row, calls, options.samples, options.batch))
        bar.update()


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except ValueError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; finished cells are kept, the same command goes on")
