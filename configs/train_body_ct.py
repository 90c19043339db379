"""The bundled CT prior: chest and abdomen of TCIA collections. Needs config.data.folders."""

from configs import default


def get_config():
    """Training at 128 x 128 on 64 x 64 crops, sized for two CPU cores."""
    config = default.get_config()
    config.data.subject_pattern = (
        r"(TCGA-\w\w-\w{4}|ACRIN-FLT-Breast_\d+|CMB-CRC-MSB-\d+|CPTAC-PDA_C3L-\d+|RIDER-Pilot-\d+)"
    )
    config.data.intensity = "ct_window"
    config.data.window = (-1024.0, 1024.0)
    config.data.zoom = (0.45, 1.05)
    config.data.views = 16
    config.data.validation_subjects = ("RIDER-Pilot-0117",)
    config.data.test_subjects = ("CMB-CRC-MSB-01068",)  # the patient with a metal port
    config.train.steps = 2500
    config.train.optimizer = "muon"
    config.train.learning_rate = 3e-3
    return config
