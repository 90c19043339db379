"""Tuning driver: Optuna on validation subjects; the best settings come out as a file for --config."""

import errno
import pprint
import sqlite3
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging
from ml_collections import ConfigDict
from tqdm import tqdm

from scoreinv import build
from scoreinv.build.comparison import choose_slices, fitting_prior, region
from scoreinv.build.plan import DEFAULT_METHOD, method_conditions, set_axis
from scoreinv.drivers.evaluate import settings_of
from scoreinv.evaluation.condition import Condition
from scoreinv.evaluation.figures import curves
from scoreinv.evaluation.rows import claim_settings
from scoreinv.evaluation.runner import Runner, units_of
from scoreinv.formats.files import write_atomically
from scoreinv.formats.guard import FileError, reading, reason, shown
from scoreinv.formats.records import check_sqlite

STUDY = "a study of --mode=tune"
# What SQLite calls a disk that is full or fails.
DISK_ERRORS = {sqlite3.SQLITE_FULL: errno.ENOSPC, sqlite3.SQLITE_IOERR: errno.EIO}
OBJECTIVES = ("ssim", "psnr")
# What the paper's authors searched (their published configurations), by modality and setting.
AUTHORS_RANGES: Mapping[str, Mapping[str, tuple[float, float, bool]]] = {
    "ct": {"snr": (0.0, 0.4, False), "lam": (0.0, 1.0, False), "gamma": (0.1, 20.0, True)},
    "mri": {"snr": (0.2, 0.8, False), "lam": (0.0, 1.0, False), "gamma": (0.1, 20.0, True)},
}
Ranges = dict[str, tuple[float, float, bool]]


def parse_ranges(text: str) -> Ranges:
    """name -> (low, high, whether logarithmic) of "name=low:high; name=low:high:log".

    Raises:
        ValueError: another form, or low not below high.
    """
    ranges: Ranges = {}
    for item in filter(None, (part.strip() for part in text.split(";"))):
        name, _, values = (part.strip() for part in item.partition("="))
        parts = values.split(":")
        try:
            low, high = float(parts[0]), float(parts[1])
            if not -np.inf < low < high < np.inf or parts[2:] not in ([], ["log"]) or (parts[2:] and low <= 0):
                raise ValueError
        except (ValueError, IndexError):
            raise ValueError(
                f"tune.ranges: {item!r} is no range; write name=low:high, or name=low:high:log with 0 < low"
            ) from None
        ranges[name] = (low, high, bool(parts[2:]))
    return ranges


def tune(config, workdir: Path) -> dict[str, float]:
    """Searches float settings of the sampler by Bayesian optimisation of SSIM or PSNR on validation subjects.

    Args:
        config: the whole configuration. Its operators (all accelerations or views) count alike.
        workdir: receives `study.db` (SQLite; several processes may work on it, and a restart continues it), `best.py`
            (a file for --config that needs no other), `history.csv` and `history.png`.

    Returns:
        The best settings.

    Raises:
        ValueError: anything wrong with the input, before anything is computed or written.
    """
    optuna = _optuna()
    if config.parts:
        raise ValueError("tuning takes one configuration; give one without parts, such as configs/mri_demo.py")
    if config.tune.objective not in OBJECTIVES:
        raise ValueError(f"unknown tune.objective {config.tune.objective!r}; choose one of {', '.join(OBJECTIVES)}")
    shape = (config.data.size, config.data.size, 1)
    ranges = ranges_of(config)
    conditions = method_conditions(_alone(config), shape)
    prior = fitting_prior(config, shape)
    slices = choose_slices(config, "validation", config.tune.slices)
    runner = Runner(prior, slices, region(config.evaluate.region), config.seed)
    settings = settings_of(config, prior) | {"tune.objective": config.tune.objective}
    claim_settings(workdir / "tune.json", settings | slices.means())

    def objective(trial) -> float:
        chosen = {name: trial.suggest_float(name, low, high, log=log) for name, (low, high, log) in ranges.items()}
        value = _mean_score(runner, _with_settings(conditions, config, chosen), config.tune.objective)
        if not np.isfinite(value):
            raise optuna.TrialPruned
        return value

    with _stored(workdir / "study.db"):
        study = _study(optuna, workdir / "study.db", config, ranges)
        _optimize(optuna, study, objective, config)
        if all(trial.value is None for trial in study.trials):
            raise ValueError(f"no trial had a finite {config.tune.objective}; give other tune.ranges")
        best = {name: float(f"{value:.6g}") for name, value in study.best_params.items()}
        _write(workdir, study, with_settings(config, best), config.tune.objective)
    print(f"best {config.tune.objective} {study.best_value:.4f} on {len(slices.names)} validation slices: {best}")
    logging.info("%d compilations; best.py, history.csv and history.png are in %s", runner.compilations, workdir)
    return best


def _alone(config) -> ConfigDict:
    """A copy of the configuration that compares nothing with its sampler."""
    alone = config.copy_and_resolve_references()
    alone.evaluate.methods = (DEFAULT_METHOD,)
    return alone


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise ValueError("tuning needs Optuna, which is not installed; pip install 'scoreinv[tune]'") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # its warnings hold tracebacks
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    return optuna


def ranges_of(config) -> Ranges:
    """The ranges to search: those of `tune.ranges`, else the authors' of the settings that the method has.

    Raises:
        ValueError: a name that is no float setting of the method, or no range at all.
    """
    _, settings = build.sampler(config.sampler)
    known = sorted({*settings["method"], *settings["levels"]})
    authors = build.choose(AUTHORS_RANGES, config.operator.modality, "operator.modality")
    ranges = parse_ranges(config.tune.ranges) or {k: v for k, v in authors.items() if k in settings["method"]}
    unknown = sorted(set(ranges) - set(known))
    if unknown or not ranges:
        what = f"{unknown[0]!r} is no float setting of {config.sampler.method}" if unknown else "nothing to search"
        raise ValueError(f"tune.ranges: {what}; it takes {', '.join(known)}")
    return ranges


def with_settings(config, values: Mapping[str, float]) -> ConfigDict:
    """A copy of the configuration with other float settings of its sampler."""
    changed = config.copy_and_resolve_references()
    for name, value in values.items():
        set_axis(changed, DEFAULT_METHOD, name, repr(value))
    return changed


def _with_settings(conditions: list[Condition], config, values: Mapping[str, float]) -> list[Condition]:
    _, settings = build.sampler(with_settings(config, values).sampler)
    return [condition._replace(settings=settings) for condition in conditions]


def _mean_score(runner: Runner, conditions: list[Condition], objective: str) -> float:
    units = units_of(conditions, len(runner.slices.names))
    return float(np.mean(np.concatenate([getattr(runner(unit)[0], objective) for unit in units])))


@contextmanager
def _stored(path: Path) -> Iterator[None]:
    """Turns what goes wrong with the study's file, which Optuna and SQLAlchemy wrap, into an error about that file.

    Raises:
        OSError: the disk is full or fails.
        ValueError: damage.
    """
    try:
        yield
    except Exception as error:
        found: BaseException | None = error
        while found and not isinstance(found, sqlite3.Error):
            found = found.__cause__ or found.__context__
        code = getattr(found, "sqlite_errorcode", 0) & 0xFF
        if code in DISK_ERRORS:
            raise OSError(DISK_ERRORS[code], str(found), str(path)) from error
        if not found or isinstance(error, FileError):
            raise
        raise FileError(f"{shown(path)} is damaged ({reason(found)}); use another --workdir") from error


def _study(optuna, path: Path, config, ranges: Ranges):
    """The study of a file; trials of killed processes are retried, and the first one is the settings as they are."""
    if path.exists():
        check_sqlite(path, STUDY)
    with reading(path, STUDY):
        return _opened_study(optuna, path, config, ranges)


def _opened_study(optuna, path: Path, config, ranges: Ranges):
    storage = optuna.storages.RDBStorage(
        f"sqlite:///{path}",
        heartbeat_interval=30,
        heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(),
        engine_kwargs={"connect_args": {"timeout": 60}},
    )
    study = optuna.create_study(storage=storage, study_name="scoreinv", direction="maximize", load_if_exists=True)
    _, settings = build.sampler(config.sampler)
    present = {name: float({**settings["method"], **settings["levels"]}[name]) for name in ranges}
    if not study.trials and all(low <= present[name] <= high for name, (low, high, _) in ranges.items()):
        study.enqueue_trial(present)
    return study


def _optimize(optuna, study, objective: Callable[..., Any], config) -> None:
    """Runs trials until the study has `tune.trials` of them, over all processes and restarts."""
    finished = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)

    def count() -> int:
        return len(study.get_trials(deepcopy=False, states=finished))

    with tqdm(total=config.tune.trials, initial=count(), desc="tuning", unit="trial") as bar:
        while count() < config.tune.trials:
            # Seeded by the trial's number, so that a restart proposes what an unbroken run would have.
            seed = config.seed + len(study.get_trials(deepcopy=False))
            study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
            study.optimize(objective, n_trials=1)
            bar.update(count() - bar.n)


def _write(workdir: Path, study, best, objective: str) -> None:
    trials = [t for t in study.trials if t.value is not None]
    values = [t.value for t in trials]
    x = list(range(1, len(values) + 1))
    lines = {"trial": (x, values), "best so far": (x, np.maximum.accumulate(values).tolist())}
    figure = curves({f"mean {objective.upper()}, validation": lines}, "trial")
    names = sorted(study.best_params)
    head = ["trial", *names, objective]
    table = [head, *([str(t.number), *(f"{t.params[n]:.6g}" for n in names), f"{t.value:.6g}"] for t in trials)]
    write_atomically(workdir / "history.csv", lambda path: path.write_text("\n".join(map(",".join, table)) + "\n"))
    write_atomically(workdir / "history.png", figure.savefig)
    text = configuration_file(best, f"{objective.upper()} {study.best_value:.4f} on validation subjects")
    write_atomically(workdir / "best.py", lambda path: path.write_text(text))


def configuration_file(config, note: str) -> str:
    """Source of a configuration file with every field, which imports nothing of this repository."""
    values = pprint.pformat(config.to_dict(), width=110, sort_dicts=False)
    return (
        f'"""Tuned settings: {note}."""\n\nfrom ml_collections import ConfigDict\n\nVALUES = {values}\n\n\n'
        'def get_config():\n    """Every field, the tuned ones among them."""\n    return ConfigDict(VALUES)\n'
    )
