"""The bundled brain prior: T1 (ds002748) and T1, T2, FLAIR (open_ms). Needs config.data.folders."""

from configs import default


def get_config():
    """Training at 128 x 128 on 64 x 64 crops, sized for two CPU cores."""
    config = default.get_config()
    config.data.subject_pattern = r"(sub-\d+|patient\d+)"
    config.data.intensity = "percentile"
    config.data.blur = 1.2
    config.data.gamma = 0.5
    config.data.recoloured = 0.4
    config.train.steps = 2100
    config.train.optimizer = "muon"
    config.train.learning_rate = 3e-3
    return config
