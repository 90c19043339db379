"""The one boundary to files: sizes before allocation, and any failure as one line that names the file.

Every reader opens its file here or under `reading`. What a file may become in memory is bounded twice: absolutely, and
by its size on disk (a kilobyte that claims to hold gigabytes is no scan). Nothing is unpickled, nothing outside of the
named file is opened.
"""

import io
import math
import warnings
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np

MAX_BYTES = 2**31  # of the arrays of one file: 512 x 512 x 2048 float32
FREE_BYTES = 2**28  # what a file may become whatever its size on disk
MAX_RATIO = 100  # beyond that, bytes in memory per byte on disk; scans compress 2 to 20 times, label maps up to 100
DEFLATE_RATIO = 1032  # no deflate stream expands further
MAX_TEXT_BYTES = 2**26  # of a JSON, CSV or header file
LINE = 300
DAMAGED = "copy the file again if it is damaged or truncated"


class FileError(ValueError):
    """A file that cannot be used, said in one line: the file, what was found, what is allowed, the usual fix."""

    def __init__(self, message: str):
        super().__init__(one_line(message))


def one_line(message: str, length: int = LINE) -> str:
    """The message on one line of at most `length` printable characters; what is too long is cut in its middle."""
    line = " ".join("".join(c if c.isprintable() else " " for c in message).split())
    if len(line) <= length:
        return line
    start = (length - 5) * 3 // 5
    return f"{line[:start]} ... {line[start + 5 - length :]}"


def shown(path: str | Path) -> str:
    """The path in quotes, as messages name it: of a long one the end."""
    text = str(path)
    return repr(text if len(text) <= 100 else "..." + text[-97:])


@contextmanager
def reading(path: str | Path, expected: str) -> Iterator[None]:
    """Turns whatever goes wrong inside into a `FileError` about the file; parsers' warnings are not shown.

    Args:
        path: the file.
        expected: what the file has to be, for the message: "an .npz file written by numpy.savez".

    Raises:
        ValueError: in place of any other exception; those that are a `FileError` already pass.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except FileError:
        raise
    except Exception as error:  # damage makes parsers raise almost anything, from zlib.error to RecursionError
        raise FileError(
            f"cannot read {shown(path)} ({reason(error)}); expected {one_line(expected, 100)}: {DAMAGED}"
        ) from error


def reason(error: BaseException) -> str:
    """What an exception says, short, without a path and without advice to unpickle."""
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror
    elif "pickle" in str(error):
        text = "Python objects"
    else:
        text = str(error) or type(error).__name__
    return one_line(text, 90)


def check_file(path: str | Path, expected: str) -> Path:
    """The path, if a file is there.

    Raises:
        ValueError: nothing there, or a folder.
    """
    path = Path(path)
    with reading(path, expected):
        if path.is_dir():
            raise FileError(f"{shown(path)} is a folder; expected {expected}")
        if not path.is_file():
            raise FileError(f"file {shown(path)} does not exist; expected {expected}: check the path")
    return path


def allowed_bytes(path: str | Path) -> int:
    """The number of bytes that the file may become in memory."""
    return min(MAX_BYTES, inflated_bytes(path))


def inflated_bytes(path: str | Path) -> int:
    """The number of bytes that may be inflated from the file, kept or not."""
    return max(FREE_BYTES, MAX_RATIO * Path(path).stat().st_size)


def check_bytes(shape: Sequence[int], dtype: Any, path: str | Path, limit: int | None = None) -> None:
    """Refuses an array that a header declares, before anything is allocated for it.

    Args:
        shape: the array's.
        dtype: its type in memory.
        path: the file.
        limit: the largest number of bytes; None: `allowed_bytes(path)`.

    Raises:
        ValueError: more bytes, an empty array, or Python objects.
    """
    check_total([(shape, dtype)], path, limit)
    if 0 in shape:
        raise FileError(f"{shown(path)} declares shape {tuple(shape)}, which is empty; allowed: at least one number")


def check_total(arrays: Iterable[tuple[Sequence[int], Any]], path: str | Path, limit: int | None = None) -> None:
    """Refuses arrays, given as (shape, dtype), that are too large together; see `check_bytes`."""
    total, most = 0, -1
    largest: tuple[int, ...] = ()
    for shape, kind in arrays:
        dtype = np.dtype(kind)
        if dtype.hasobject:
            raise FileError(f"{shown(path)} holds Python objects; allowed: arrays of numbers: save them as such")
        if any(side < 0 for side in shape):
            raise FileError(f"{shown(path)} declares shape {tuple(shape)}; {DAMAGED}")
        size = math.prod(int(side) for side in shape) * dtype.itemsize
        total += size
        if size > most:
            most, largest = size, tuple(shape)
    limit = allowed_bytes(path) if limit is None else limit
    if total > limit:
        raise FileError(
            f"{shown(path)} declares shape {one_line(str(largest), 70)}, {in_gib(total)} in all; allowed for a file of "
            f"its size: {in_gib(limit)}: cut it into parts"
        )


def in_gib(size: int) -> str:
    """A number of bytes in GiB."""
    return f"{size / 2**30:.3g} GiB"


class Bounded(io.BufferedIOBase):
    """A binary stream, decompressing perhaps, that refuses large reads before they allocate, and to run on for ever.

    Args:
        stream: the stream.
        path: the file that messages name.
        largest: bytes that one read may ask for.
        last: position that may not be passed.
    """

    def __init__(self, stream: io.BufferedIOBase, path: str | Path, largest: int, last: int):
        self._stream, self._path, self.largest, self._last = stream, path, largest, last

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, offset: SupportsIndex, whence: int = 0) -> int:
        place = int(offset) + (self.tell() if whence == 1 else 0)
        if whence == 2 or place > self._last:
            raise self._too_much(place)
        return self._stream.seek(place)

    def read(self, size: SupportsIndex | None = -1) -> bytes:
        wanted = -1 if size is None else int(size)
        if wanted < 0:
            wanted = self.largest + 1
        else:
            self._check(wanted)
        data = self._stream.read(wanted)
        self._check(len(data))
        return data

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        self._check(len(view))
        data = self._stream.read(len(view))
        view[: len(data)] = data
        return len(data)

    def _check(self, size: int) -> None:
        if size > self.largest or self._stream.tell() > self._last:
            raise self._too_much(max(size, self._stream.tell()))

    def _too_much(self, size: int) -> FileError:
        return FileError(
            f"{shown(self._path)} expands to {in_gib(size)} or more; allowed: {in_gib(min(self.largest, self._last))} "
            "for a file of its size and kind: cut it into parts"
        )


def inflate(data: bytes, path: str | Path, limit: int, wbits: int = zlib.MAX_WBITS) -> bytes:
    """Inflates a zlib stream to at most `limit` bytes.

    Args:
        data: the stream.
        path: the file that messages name.
        limit: the largest number of bytes.
        wbits: as in `zlib.decompressobj`; -15 for a raw deflate stream.

    Raises:
        ValueError: more bytes than the limit.
    """
    # Counted before it is kept: twice the work for streams that are rare, and none of their memory.
    counter, left, size = zlib.decompressobj(wbits), data, 0
    while left and size <= limit:
        size += len(counter.decompress(left, 2**24))
        left = counter.unconsumed_tail
    if size > limit:
        raise FileError(
            f"{shown(path)} expands to more than {in_gib(limit)}, the most for a file of its size; cut it into parts"
        )
    return zlib.decompressobj(wbits).decompress(data, limit + 1)


def read_text(path: str | Path, expected: str, whole_lines: bool = False) -> str:
    """A text file.

    Args:
        path: the file.
        expected: what it has to be, for the message.
        whole_lines: whether to leave out a last line that does not end.

    Raises:
        ValueError: missing, too large or not text.
    """
    data = read_bytes(path, expected)
    with reading(path, expected):
        return (data[: data.rfind(b"\n") + 1] if whole_lines else data).decode("utf-8-sig")


def read_bytes(path: str | Path, expected: str, largest: int = MAX_TEXT_BYTES) -> bytes:
    """All of a file.

    Args:
        path: the file.
        expected: what it has to be, for the message.
        largest: number of bytes.

    Raises:
        ValueError: missing or too large.
    """
    path = check_file(path, expected)
    with reading(path, expected):
        size = path.stat().st_size
        if size > largest:
            raise FileError(f"{shown(path)} has {size} bytes; expected {expected}, at most {largest} bytes")
        return path.read_bytes()
