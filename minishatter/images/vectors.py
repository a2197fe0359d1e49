"""Vectors: as many numbers as two registers of the processor hold, for the kernels to compute with.

numba has no type for what a register holds, so here is one, with the functions that kernels use on it. Each stands
first as Python, which is its definition (and runs without the JIT), then as the instruction numba emits for it.
"""

import math

import numpy as np
from llvmlite import binding, ir  # comes with numba
from numba import types
from numba.extending import lower_builtin, models, register_model, type_callable

# Two registers of 64 bytes where a processor has 32 of those, else one of 32 bytes, of which it then has 16.
VECTOR_BYTES = 128 if binding.get_host_cpu_features().get("avx512f") else 32
INDEX = ir.IntType(32)


class Vector(types.Type):
    """The type of a vector of numbers of the type `dtype`."""

    def __init__(self, dtype):
        self.dtype = dtype
        self.size = VECTOR_BYTES // (dtype.bitwidth // 8)
        super().__init__(f"Vector({dtype}, {self.size})")


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    """A vector is what LLVM calls one."""

    def __init__(self, manager, vector):
        super().__init__(manager, vector, ir.VectorType(manager.lookup(vector.dtype).get_value_type(), vector.size))


def instruction(function, result, *kinds):
    """Teach numba a function of arguments of these kinds: the type of its result, and what the decorated one emits."""
    type_callable(function)(lambda context: result)
    return lower_builtin(function, *kinds)


def lanes(array):
    """How many of the array's numbers make a vector."""
    return VECTOR_BYTES // array.itemsize


def filled(x):
    """x (..., N), contiguous, its last axis filled up with zeros to whole vectors."""
    missing = -x.shape[-1] % lanes(x)
    return np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, missing)]) if missing else np.ascontiguousarray(x)


def runs(x):
    """Images (channels, rows, cols, N) as runs (channels, rows * cols * N), contiguous: a channel is one run."""
    return np.ascontiguousarray(x).reshape(len(x), -1)


def empty(shape, dtype):
    """A new array that starts on a cache line, 64 bytes: vectors across two lines are loaded at half the speed."""
    room = np.empty(math.prod(shape) * dtype.itemsize + 63, np.uint8)
    return np.ndarray(shape, dtype, room, -room.ctypes.data % 64)


@instruction(lanes, lambda array: types.intp, types.Array)
def _lanes(context, builder, signature, arguments):
    return context.get_constant(types.intp, Vector(signature.args[0].dtype).size)


def load(array, at):
    """The vector array[at], array[at + 1], ... of a flat array."""
    return array[at:at + lanes(array)].copy()


@instruction(load, lambda array, at: Vector(array.dtype), types.Array, types.Integer)
def _load(context, builder, signature, arguments):
    address, align = _address(context, builder, signature.args[0], *arguments)
    return builder.load(address, align=align)


def load_double(array, at):
    """The numbers array[at], array[at + 1], ... in double precision: as many as a vector of those holds."""
    return array[at:at + VECTOR_BYTES // 8].astype(np.float64)


@instruction(load_double, lambda array, at: Vector(types.float64), types.Array, types.Integer)
def _load_double(context, builder, signature, arguments):
    address, align = _address(context, builder, signature.args[0], *arguments)
    stored, double = context.get_value_type(signature.args[0].dtype), context.get_value_type(signature.return_type)
    numbers = builder.load(builder.bitcast(address, ir.VectorType(stored, double.count).as_pointer()), align=align)
    return numbers if stored == double.element else builder.fpext(numbers, double)


def store(array, at, vector):
    """array[at], array[at + 1], ... <- vector."""
    array[at:at + lanes(array)] = vector


@instruction(store, lambda array, at, vector: types.none, types.Array, types.Integer, Vector)
def _store(context, builder, signature, arguments):
    address, align = _address(context, builder, signature.args[0], *arguments[:2])
    builder.store(arguments[2], address, align=align)
    return context.get_dummy_value()


def _address(context, builder, array_type, array, at):
    """A pointer to the vector that starts at array[at], and the bytes to whose multiples it is aligned."""
    data = context.make_array(array_type)(context, builder, array).data
    vector_type = context.get_value_type(Vector(array_type.dtype))
    return builder.bitcast(builder.gep(data, [at]), vector_type.as_pointer()), array_type.dtype.bitwidth // 8


def fill(array, number):
    """A vector for the array's numbers, each of them `number`."""
    return np.full(lanes(array), number, array.dtype)


@instruction(fill, lambda array, number: Vector(array.dtype), types.Array, types.Number)
def _fill(context, builder, signature, arguments):
    number = context.cast(builder, arguments[1], signature.args[1], signature.args[0].dtype)
    vector_type = context.get_value_type(signature.return_type)
    first = builder.insert_element(ir.Constant(vector_type, ir.Undefined), number, INDEX(0))
    return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(INDEX, vector_type.count), None))


def add_product(total, a, b):
    """The vector total + a b, number by number."""
    return total + a * b


@instruction(add_product, lambda total, a, b: total, Vector, Vector, Vector)
def _add_product(context, builder, signature, arguments):
    total, a, b = arguments
    return builder.fadd(total, builder.fmul(a, b, flags=("contract",)), flags=("contract",))  # one, rounded once


def pick(x, a, b):
    """The vector a where x > 0, else b, number by number."""
    return np.where(x > 0, a, b)


@instruction(pick, lambda x, a, b: x, Vector, Vector, Vector)
def _pick(context, builder, signature, arguments):
    x, a, b = arguments
    return builder.select(builder.fcmp_ordered(">", x, ir.Constant(x.type, [0.0] * x.type.count)), a, b)


def add_up(vector):
    """The sum of the vector's numbers."""
    return vector.sum()


@instruction(add_up, lambda vector: vector.dtype, Vector)
def _add_up(context, builder, signature, arguments):
    vector, size = arguments[0], signature.args[0].size
    while size > 1:  # the upper half onto the lower
        size //= 2
        low, high = ([INDEX(k + first) for k in range(size)] for first in (0, size))
        low, high = (ir.Constant(ir.VectorType(INDEX, size), half) for half in (low, high))
        vector = builder.fadd(builder.shuffle_vector(vector, vector, low), builder.shuffle_vector(vector, vector, high))
    return builder.extract_element(vector, INDEX(0))
