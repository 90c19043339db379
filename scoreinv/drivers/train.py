"""Training driver: slices in, checkpoints and a shippable prior out."""

from pathlib import Path

from scoreinv import build
from scoreinv.training import loop


def train(config, workdir: Path) -> None:
    """Trains a prior on `config.data`, continuing from the newest checkpoint in `workdir`.

    Writes checkpoints (orbax), `losses.csv`, TensorBoard scalars, pictures of samples and `prior.safetensors` (the
    averaged parameters) into `workdir`.

    Args:
        config: the whole configuration.
        workdir: directory of the run; created if missing.

    Raises:
        ValueError: unusable data or settings, or a work directory made by another network.
        OSError: a checkpoint cannot be written; the one before it is kept.
        FloatingPointError: the loss became NaN; the last good checkpoint is kept.
        KeyboardInterrupt: SIGTERM or Ctrl-C; the state is saved.
    """
    settings = build.training_settings(config)
    batches = build.batches(config, config.model.num_channels)
    loop.run(build.prior_training(config), batches, settings, workdir)
