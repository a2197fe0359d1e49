"""The numba kernels of the convnets: convolution and batch normalisation over images.

Images have the shape (channels, rows, cols, N), the batch last: a pixel of a channel
is one contiguous run over the batch. Convolution goes along it by vectors, as many
numbers at a time as registers of the processor hold. Eight vectors stay there, one for
each of eight output channels, while a tap of an input channel is loaded once for all
of them; y is touched only when it is done.

No matrix product alternates with these kernels, so they are parallel. Each number is
summed by one thread in a fixed order: results do not depend on the number of threads.
The six loops that define a convolution are their twin, in tests/test_conv.py.
"""

import functools
import threading

import numpy as np
from llvmlite import binding, ir  # comes with numba
from numba import njit, prange, types
from numba.extending import lower_builtin, models, register_model, type_callable

from ..kernels import threading_layer

TURN = threading.Lock()


def kernel(function):
    """Compile a kernel for numba's threads. Where those are the workqueue, which would abort, calls take turns."""
    fastmath = {"reassoc", "contract", "nsz", "arcp"}  # sums may be reassociated; NaN and infinity keep their meaning
    compiled = njit(cache=True, nogil=True, parallel=True, fastmath=fastmath)(function)

    @functools.wraps(function)
    def call(*arrays):
        if threading_layer() in ("omp", "tbb"):
            return compiled(*arrays)
        with TURN:
            return compiled(*arrays)

    return call


# Vectors. numba has no type for what a register holds, so here is one, with the functions that kernels use on it. Each
# stands first as Python, which is its definition (and runs without the JIT), then as the instruction numba emits.

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


# Convolution. N is a multiple of the lanes: conv.py sees to that. Stride and padding are in two tables, of `reads`.


@njit(cache=True)
def reads(outputs, inputs, taps, stride, padding, spacing):
    """Which input row (or col) each output row reads through each tap, (outputs, taps); -1 if it reads a zero.

    Output i reads place i stride + p - padding through tap p. The inputs stand `spacing` apart, with zeros between
    and outside.
    """
    table = np.full((outputs, taps), -1)
    for i in range(outputs):
        for p in range(taps):
            place = i * stride + p - padding
            if place >= 0 and place % spacing == 0 and place // spacing < inputs:
                table[i, p] = place // spacing
    return table


@kernel
def correlate(x, W, b, y, row_of, col_of):
    """y[o, i, j, n] <- b[o] + sum over c, p, q of W[o, c, p, q] x[c, row_of[i, p], col_of[j, q], n].

    W is (kernel rows, kernel cols, channels, outs), b (outs,), the outs filled up with zeros to whole eights.
    """
    tap_rows, tap_cols, channels, _ = W.shape
    outs, rows, cols, N = y.shape
    for i in prange(rows):
        flat_x, flat_y = x.reshape(-1), y.reshape(-1)
        plane, y_plane = x.shape[1] * x.shape[2] * N, rows * cols * N
        for o in range(0, outs, 8):
            bias = b[o:o + 8]
            for j in range(cols):
                for n in range(0, N, lanes(x)):
                    y0, y1, y2, y3 = fill(x, bias[0]), fill(x, bias[1]), fill(x, bias[2]), fill(x, bias[3])
                    y4, y5, y6, y7 = fill(x, bias[4]), fill(x, bias[5]), fill(x, bias[6]), fill(x, bias[7])
                    for p in range(tap_rows):
                        for q in range(tap_cols):
                            r, s = row_of[i, p], col_of[j, q]
                            if r < 0 or s < 0:
                                continue
                            at = (r * x.shape[2] + s) * N + n
                            for c in range(channels):
                                run = load(flat_x, at + c * plane)
                                y0 = add_product(y0, fill(x, W[p, q, c, o]), run)
                                y1 = add_product(y1, fill(x, W[p, q, c, o + 1]), run)
                                y2 = add_product(y2, fill(x, W[p, q, c, o + 2]), run)
                                y3 = add_product(y3, fill(x, W[p, q, c, o + 3]), run)
                                y4 = add_product(y4, fill(x, W[p, q, c, o + 4]), run)
                                y5 = add_product(y5, fill(x, W[p, q, c, o + 5]), run)
                                y6 = add_product(y6, fill(x, W[p, q, c, o + 6]), run)
                                y7 = add_product(y7, fill(x, W[p, q, c, o + 7]), run)
                    to = (o * rows * cols + i * cols + j) * N + n
                    for k, total in enumerate((y0, y1, y2, y3, y4, y5, y6, y7)):
                        if o + k < outs:
                            store(flat_y, to + k * y_plane, total)


@kernel
def correlate_weights(x, dy, dW, row_of, col_of):
    """dW[o, c, p, q] <- sum over i, j, n of dy[o, i, j, n] x[c, row_of[i, p], col_of[j, q], n].

    Four outs by three channels share a pass: v2 adds up for channel c + 1 and out o + 2. A pass is over few
    enough pixels for what it reads to be still in the cache for the next tap.
    """
    outs, channels, tap_rows, tap_cols = dW.shape
    _, rows, cols, N = dy.shape
    columns = -(-channels // 3)
    for task in prange(-(-outs // 4) * columns):
        o, c = task // columns * 4, task % columns * 3
        o1, o2, o3 = min(o + 1, outs - 1), min(o + 2, outs - 1), min(o + 3, outs - 1)
        c1, c2 = min(c + 1, channels - 1), min(c + 2, channels - 1)
        flat_x, flat_dy = x.reshape(-1), dy.reshape(-1)
        plane, dy_plane = x.shape[1] * x.shape[2] * N, rows * cols * N
        dW[o:o + 4, c:c + 3] = 0
        for i in range(rows):
            for left in range(0, cols, 8):
                for p in range(tap_rows):
                    for q in range(tap_cols):
                        u0 = u1 = u2 = u3 = v0 = v1 = v2 = v3 = w0 = w1 = w2 = w3 = fill(x, 0.0)
                        for j in range(left, min(left + 8, cols)):
                            r, s = row_of[i, p], col_of[j, q]
                            if r < 0 or s < 0:
                                continue
                            for n in range(0, N, lanes(x)):
                                at, to = (r * x.shape[2] + s) * N + n, (i * cols + j) * N + n
                                u, v = load(flat_x, at + c * plane), load(flat_x, at + c1 * plane)
                                w = load(flat_x, at + c2 * plane)
                                d = load(flat_dy, to + o * dy_plane)
                                u0, v0, w0 = add_product(u0, d, u), add_product(v0, d, v), add_product(w0, d, w)
                                d = load(flat_dy, to + o1 * dy_plane)
                                u1, v1, w1 = add_product(u1, d, u), add_product(v1, d, v), add_product(w1, d, w)
                                d = load(flat_dy, to + o2 * dy_plane)
                                u2, v2, w2 = add_product(u2, d, u), add_product(v2, d, v), add_product(w2, d, w)
                                d = load(flat_dy, to + o3 * dy_plane)
                                u3, v3, w3 = add_product(u3, d, u), add_product(v3, d, v), add_product(w3, d, w)
                        for k, sums in enumerate(((u0, v0, w0), (u1, v1, w1), (u2, v2, w2), (u3, v3, w3))):
                            for h, total in enumerate(sums):
                                if o + k < outs and c + h < channels:
                                    dW[o + k, c + h, p, q] += add_up(total)


@kernel
def add_images(dy, db):
    """db[o] <- sum over i, j, n of dy[o, i, j, n]."""
    for o in prange(len(dy)):
        run, total = dy[o].reshape(-1), fill(dy, 0.0)
        for at in range(0, run.size, lanes(dy)):
            total = add_product(total, fill(dy, 1.0), load(run, at))
        db[o] = add_up(total)


# Batch normalisation: one channel is one contiguous run over pixels and batch.


@kernel
def normalise_images(x, y, xhat, std, scale, shift, eps):
    """BatchNorm for runs x (channels, M): xhat <- (x - mean) / std, y <- scale xhat + shift, std (channels,)."""
    channels, M = x.shape
    for c in prange(channels):
        total = 0.0
        for m in range(M):
            total += x[c, m]
        mean = x.dtype.type(total / M)
        squares = 0.0
        for m in range(M):
            squares += (x[c, m] - mean) ** 2
        std[c] = (squares / M + eps) ** 0.5
        inverse = x.dtype.type(1.0 / std[c])
        for m in range(M):
            xhat[c, m] = (x[c, m] - mean) * inverse
            y[c, m] = scale[c] * xhat[c, m] + shift[c]


@kernel
def normalise_images_back(dy, xhat, std, scale, dx, d_scale, d_shift):
    """BatchNorm's backward rule: dx = scale / std (dy - mean dy - xhat mean(xhat dy)), d_scale, d_shift the sums."""
    channels, M = dy.shape
    for c in prange(channels):
        total, product = 0.0, 0.0
        for m in range(M):
            total += dy[c, m]
            product += dy[c, m] * xhat[c, m]
        d_shift[c], d_scale[c] = total, product
        gain = dy.dtype.type(scale[c] / std[c])
        mean, slope = dy.dtype.type(total / M), dy.dtype.type(product / M)
        for m in range(M):
            dx[c, m] = gain * (dy[c, m] - mean - xhat[c, m] * slope)
