"""Training driver of the supervised comparison: an unrolled network for one measurement operator."""

from pathlib import Path

from scoreinv import build
from scoreinv.training import loop


def unroll(config, workdir: Path) -> None:
    """Trains an unrolled network on simulated measurements, continuing from the newest checkpoint in `workdir`.

    Writes checkpoints (orbax), `losses.csv` (mean squared errors), TensorBoard scalars and `unrolled.safetensors` (the
    averaged parameters, for `config.supervised`).

    Args:
        config: the whole configuration; `operator` names the one measurement that the network is for, `unrolled` the
            network, `train` the optimisation, `data` the slices, of which it sees whole ones of side `data.size`.
        workdir: directory of the run; created if missing.

    Raises:
        ValueError: unusable data or settings, or a work directory made by another network.
        OSError: a checkpoint cannot be written; the one before it is kept.
        FloatingPointError: the loss became NaN; the last good checkpoint is kept.
        KeyboardInterrupt: SIGTERM or Ctrl-C; the state is saved.
    """
    config = config.copy_and_resolve_references()
    config.data.crop, config.train.sample_every = config.data.size, 0
    settings = build.training_settings(config)
    trained = build.unrolled_training(config)
    loop.run(trained, build.batches(config), settings, workdir)
