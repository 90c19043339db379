"""Runs an experiment from its configuration to its tables and figures; called again, it continues.

python -m experiments.run table2_undersampled_mri --mri=slices.npz
python -m experiments.run sweep_lambda --fast
"""

import argparse
import ast
import importlib
import sys
from pathlib import Path

from absl import logging
from ml_collections import ConfigDict

EXPERIMENTS = sorted(p.parent.name for p in Path(__file__).parent.glob("*/paper.py"))
SCALES = ("small", "paper")


def configuration(
    name: str, scale: str, data: dict[str, str], overrides: list[str], parts: tuple[str, ...] = ()
) -> ConfigDict:
    """The configuration of an experiment.

    Args:
        name: an experiment's folder.
        scale: "small" or "paper".
        data: modality -> what `--mode=prepare` wrote, or a folder of volumes.
        overrides: "field=value", applied to every part.
        parts: names of the parts to keep; empty: all.

    Raises:
        ValueError: a part or field that does not exist, or a value that is no Python literal.
    """
    config = importlib.import_module(f"experiments.{name}.{scale}").get_config()
    unknown = [part for part in parts if part not in config.parts]
    if unknown:
        raise ValueError(f"unknown part {unknown[0]!r} of {name}; choose of {', '.join(config.parts) or 'none'}")
    config.parts = ConfigDict({part: config.parts[part] for part in parts or config.parts})
    for part in config.parts.values() or [config]:
        source = data.get(part.operator.modality, "")
        if source:
            prepared = Path(source).is_file() or list(Path(source).glob("dataset_info.json"))
            part.data.update({"packed": source} if prepared else {"folders": (source,)})
        part.lock()  # no new fields
        for override in overrides:
            field, _, value = override.partition("=")
            try:
                part.update_from_flattened_dict({field: ast.literal_eval(value)})
            except (KeyError, SyntaxError, ValueError, TypeError) as error:
                raise ValueError(f"cannot apply {override!r}: {error}; write field=value, strings quoted") from error
        part.unlock()
    return config


def run(config, workdir: Path) -> None:
    """Evaluates or sweeps, whichever the configuration describes, and writes tables and figures."""
    from experiments.tables import write_tables
    from scoreinv.drivers.evaluate import evaluate
    from scoreinv.drivers.sweep import sweep

    parts = list(config.parts.values()) or [config]
    (sweep if parts[0].sweep.over else evaluate)(config, workdir)
    write_tables(workdir)


def main(argv: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("--scale", choices=SCALES, default="small", help="published settings, or a few small slices")
    parser.add_argument("--fast", action="store_true", help="phantoms and an untrained network: seconds, no meaning")
    parser.add_argument("--ct", default="", help="CT data: what --mode=prepare wrote, or a folder of volumes")
    parser.add_argument("--mri", default="", help="MRI data: what --mode=prepare wrote, or a folder of volumes")
    parser.add_argument("--workdir", default="", help="results; default: runs/<experiment>-<scale>")
    parser.add_argument("--parts", default="", help="only these parts, as in 4x,8x; default: all")
    parser.add_argument("overrides", nargs="*", help="field=value for every part, as in prior=\"'runs/lidc'\"")
    arguments = parser.parse_intermixed_args(argv)
    scale = "fast" if arguments.fast else arguments.scale
    workdir = Path(arguments.workdir or f"runs/{arguments.experiment}-{scale}")
    logging.set_verbosity(logging.INFO)
    from scoreinv import compilation_cache

    compilation_cache.enable()
    try:
        data = {"ct": arguments.ct, "mri": arguments.mri}
        parts = tuple(filter(None, arguments.parts.split(",")))
        config = configuration(arguments.experiment, arguments.scale, data, arguments.overrides, parts)
        if arguments.fast:
            from experiments.fast import shrink

            shrink(config, workdir / "fast")
        run(config, workdir)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; call the same command again to continue")


if __name__ == "__main__":
    main()
