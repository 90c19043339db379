"""Fields of measured data: what their owner knows and the file does not say."""

from scoreinv.build.field import Field, When, section

MEASURED = When("for a measurement", lambda config, mode: bool(config.measurement))

SCAN_FIELDS = section(
    "scan",
    "reconstruct",
    Field("noise_std", -1.0, "standard deviation of the noise on each real number measured, in the unit of the data; "
          "-1: estimated from them", low=-1, high=1e15, when=MEASURED),
)  # fmt: skip
