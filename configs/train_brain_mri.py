"""The bundled brain prior: T1 (ds002748) and T1, T2, FLAIR (open_ms). Needs config.data.folders."""

from configs import default


def get_config():
    """Training on 64 x 64 crops of views of 128 x 128, from the scanner's own pixels to the whole slice."""
    config = default.get_config()
    config.data.subject_pattern = r"(sub-\d+|patient\d+)"
    config.data.intensity = "percentile"
    config.data.zoom = (0.4, 1.1)
    config.data.native = 0.15
    config.data.phases = 0.2
    config.data.blur = 1.2
    config.data.gamma = 0.5
    config.data.recoloured = 0.4
    config.train.steps = 2100
    config.train.optimizer = "muon"
    config.train.learning_rate = 3e-3
    config.train.validation_pixels = (1.0, 2.0)
    return config
