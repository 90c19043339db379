"""The bundled CT prior: chest and abdomen of TCIA collections. Needs config.data.folders."""

from configs import default


def get_config():
    """Training on 64 x 64 crops of views of 128 x 128, from the scanner's own pixels to a quarter of them."""
    config = default.get_config()
    config.data.subject_pattern = (
        r"(TCGA-\w\w-\w{4}|ACRIN-FLT-Breast_\d+|CMB-CRC-MSB-\d+|CPTAC-PDA_C3L-\d+|RIDER-Pilot-\d+)"
    )
    config.data.intensity = "ct_window"
    config.data.window = (-1024.0, 1024.0)
    config.data.packed_size = 512
    config.data.zoom = (0.25, 1.05)
    config.data.native = 0.15
    config.data.views = 16
    config.data.validation_subjects = ("RIDER-Pilot-0117",)
    config.data.test_subjects = ("CMB-CRC-MSB-01068",)  # the patient with a metal port
    config.train.steps = 2500
    config.train.optimizer = "muon"
    config.train.learning_rate = 3e-3
    config.train.validation_pixels = (1.0, 2.0, 4.0)
    return config
