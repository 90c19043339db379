"""How fast a training runs: the step as one compiled program, images a second, the fraction of a GPU's peak."""

import time
from typing import Any

import jax
from absl import logging

from scoreinv import parallel

# Dense bfloat16 operations a second, of the data sheets.
PEAKS = {"H100": 989e12, "H200": 989e12, "B200": 2250e12, "A100": 312e12, "L40S": 362e12, "A10": 125e12, "L4": 121e12}


def peak(kind: str) -> float | None:
    """Operations a second that a kind of device can do at most; None: not known."""
    longest = max((name for name in PEAKS if name in kind), key=len, default="")
    return PEAKS.get(longest)


def in_words(rates: dict[str, float]) -> str:
    """The rates of `CompiledStep`, to be appended to a line."""
    words = f", {rates['images_per_second']:.1f} images/s" if rates else ""
    return words + (f", {rates['fraction_of_peak']:.1%} of the peak" if "fraction_of_peak" in rates else "")


class CompiledStep:
    """A step that is compiled at its first call and says how long that and its first run took.

    Args:
        step: what `make_train_step` returned.
        images: that one call trains on, over all devices.
        loops: passes of the loop inside it; XLA counts the operations of one.
    """

    def __init__(self, step: Any, images: int, loops: int = 1):
        self._step, self._images, self._loops = step, images, loops
        self._program: Any = None
        self._operations = 0.0
        self._since, self._calls = time.perf_counter(), 0

    def __call__(self, *arguments: Any) -> Any:
        self._calls += 1
        if self._program is not None:
            return self._program(*arguments)
        start = time.perf_counter()
        if jax.process_count() > 1:  # of several, `compile` takes the shapes of all processes' arguments together
            self._program = self._step
        else:
            self._program = self._step.lower(*arguments).compile()
            parallel.refuse_beyond_memory(self._program, jax.local_device_count())
            self._operations = self._loops * float((self._program.cost_analysis() or {}).get("flops", 0.0))
        compiled = time.perf_counter()
        result = jax.block_until_ready(self._program(*arguments))
        self._since, self._calls = time.perf_counter(), 0
        logging.info("compiled the step in %.1f s; its first run took %.2f s", compiled - start, self._since - compiled)
        return result

    def rates(self) -> dict[str, float]:
        """Images a second since the last question, and where it is known the fraction of the devices' peak."""
        now = time.perf_counter()
        calls_a_second = self._calls / max(now - self._since, 1e-9)
        self._since, self._calls = now, 0
        rates = {"images_per_second": self._images * calls_a_second}
        most = peak(jax.devices()[0].device_kind)
        if most and self._operations:
            rates["fraction_of_peak"] = self._operations * calls_a_second / most
        return rates
