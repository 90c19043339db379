"""Fields of measured k-space: which image of a file, and what is done with its coils."""

from scoreinv.build.field import MILLION, SIDE, SINGLE, Field, section
from scoreinv.build.scan_fields import MEASURED

KSPACE_FIELDS = section(
    "scan",
    "reconstruct",
    Field("repetition", 0, "of k-space with several repetitions; -1: the middle one", low=-1, high=MILLION,
          when=MEASURED),
    Field("echo", 0, "of k-space with several echoes; -1: the middle one", low=-1, high=MILLION, when=MEASURED),
    Field("virtual_coils", 12, "more coils than these are compressed to as many virtual ones; 0: never", low=0,
          high=1024, when=MEASURED),
    Field("calibration", 32, "longest side of the centre of k-space that coil sensitivities are estimated from",
          low=4, high=SIDE, when=MEASURED),
    Field("sets", 0, "sets of coil sensitivities; 0: a second one where the first does not explain the data", low=0,
          high=4, when=MEASURED),
    Field("retrospective", False, "fully sampled k-space is undersampled by operator.acceleration and operator.mask, "
          "and what comes out compared with all of it", when=MEASURED & SINGLE),
)  # fmt: skip
