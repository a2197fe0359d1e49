"""Named plain arrays as bytes, and back, between two processes that do not trust each other. No pickle.

A message is its length (8 bytes), then for each array: the length of its name, its
name, the length of its bytes, its bytes in NumPy's npy format. Whoever reads one
believes nothing: a header that promises more numbers than there are bytes, an
object, a record or a text is refused with a ValueError before memory is taken.
"""

import io
import math
import re
import struct

import numpy as np

LENGTH = struct.Struct("<Q")
MOST = 64  # arrays in a message
# What `pack` writes and nothing else: NumPy's own reader would parse an expression. Booleans, integers, floats.
HEADER = re.compile(rb"\x93NUMPY\x01\x00..\{'descr': '([<>|=][biuf]\d{1,2})', 'fortran_order': (True|False), "
                    rb"'shape': \(((?:\d{1,12}, ?){0,8}(?:\d{1,12})?)\), \} *\n", re.DOTALL)


def pack(arrays):
    """The bytes of a message: {name: array} -> bytes."""
    parts = []
    for name, array in arrays.items():
        data = io.BytesIO()
        np.lib.format.write_array(data, np.asarray(array), allow_pickle=False)
        for part in (name.encode(), data.getvalue()):
            parts += [LENGTH.pack(len(part)), part]
    body = b"".join(parts)
    return LENGTH.pack(len(body)) + body


def unpack(body):
    """The arrays of a message without its leading length: bytes -> {name: read-only array}."""
    parts, place = [], 0
    while place < len(body):
        place += LENGTH.size
        if place > len(body):
            raise ValueError("a message ended inside a length")
        size, = LENGTH.unpack_from(body, place - LENGTH.size)
        if size > len(body) - place:
            raise ValueError("a message ended inside a part")
        parts.append(body[place:place + size])
        place += size
        if len(parts) > 2 * MOST:
            raise ValueError(f"a message had more than {MOST} arrays")
    if len(parts) % 2:
        raise ValueError("a message ended after a name")
    return {name.decode(): _array(data) for name, data in zip(parts[::2], parts[1::2])}


def _array(data):
    """One array from npy bytes, without a copy."""
    head = HEADER.match(data)
    if not head:
        raise ValueError("an array must be plain numbers in version 1.0 of the npy format")
    dtype, shape = np.dtype(head[1].decode()), tuple(int(size) for size in head[3].decode().split(",") if size.strip())
    values = memoryview(data)[head.end():]
    if math.prod(shape) * dtype.itemsize != len(values):
        raise ValueError(f"an array must be as many numbers as its shape says; got {len(values)} bytes")
    return np.frombuffer(values, dtype).reshape(shape, order="F" if head[2] == b"True" else "C")


def text(string):
    """A string as an array, so that it can travel like the others."""
    return np.frombuffer(string.encode("utf-8", "replace"), np.uint8)


def string(array):
    """The string of such an array; anything that is not text becomes question marks."""
    return np.asarray(array).tobytes().decode("utf-8", "replace")
