"""Coursework: right answers that are not the reference's get all points, whatever their style.

Each row is a body for the hole of one task, with what else a student may have written in the file.
The rows are tried in this process (tried.py); some of them also as submissions, by the grader itself.
"""

from textwrap import dedent
from typing import NamedTuple

import pytest
from numba import config

from minishatter.coursework import manifest

from . import tried

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="answers run without numba: nothing depends on it")

TASKS = {task.number: task for task in manifest.TASKS}
DENSE = 'return dy @ self.params["W"].T, {"W": cache.x.T @ dy, "b": dy.sum(axis=0)}'
RELU = "return dy * cache.active, {}"


class Answer(NamedTuple):
    """One row of the table."""

    number: str
    name: str
    body: str
    before: str = ""    # behind the imports
    after: str = ""     # at the end of the file
    head: str = ""      # in front of the first import
    others: tuple = ()  # further tasks that are solved too: their numbers

    @property
    def files(self):
        """{file: text} of the submission."""
        task = TASKS[self.number]
        text = tried.solved(task, dedent(self.body).strip(), dedent(self.before), dedent(self.after))
        first = min(text.index(word) for word in ("\nimport ", "\nfrom ") if word in text) + 1
        files = {task.file: text[:first] + dedent(self.head) + text[first:]}
        for other in (TASKS[number] for number in self.others):
            files[other.file] = _filled(files.get(other.file) or tried.solved(other), other)
        return files


def _filled(text, task):
    """The text with the reference in the hole of one more task."""
    hole = next((line for line in text.splitlines() if f'NotImplementedError("{task.message}")' in line), None)
    return text.replace(hole, "\n".join(tried.reference_body(task)), 1) if hole else text


ANSWERS = [
    # Dense.backward, and every way to write a file.
    Answer("1.1", "einsum", """
        return np.einsum("no,io->ni", dy, self.params["W"]), {"W": np.einsum("ni,no->io", cache.x, dy),
                                                              "b": np.einsum("no->o", dy)}"""),
    Answer("1.1", "a loop over the rows", """
        W = self.params["W"]
        dx, dW, db = np.zeros_like(cache.x), np.zeros_like(W), np.zeros(W.shape[1])
        for n in range(len(dy)):
            dx[n] = W @ dy[n]
            dW += np.outer(cache.x[n], dy[n])
            db += dy[n]
        return dx, dict(W=dW, b=db)"""),
    Answer("1.1", "by its tangent on unit vectors", """
        J = self.tangent(np.eye(self.params["W"].shape[0]), cache)
        return dy.dot(J.T), {"W": cache.x.T.dot(dy), "b": np.ones(len(dy)) @ dy}"""),
    Answer("1.1", "a list for the pair", "return [dy @ self.params['W'].T, {'b': dy.sum(0), 'W': cache.x.T @ dy}]"),
    Answer("1.1", "arrays in another order, one of them a view", """
        dW = np.asfortranarray(cache.x.T @ dy)
        return np.repeat(dy @ self.params["W"].T, 2, axis=0)[::2], {"W": dW, "b": dy.sum(axis=0)}"""),
    Answer("1.1", "longdouble, and a matrix", """
        dx = (dy.astype(np.longdouble) @ self.params["W"].T.astype(np.longdouble))
        return dx, {"W": np.matrix(cache.x).T * np.matrix(dy), "b": dy.sum(axis=0)}"""),
    Answer("1.1", "big-endian", DENSE.replace("dy @ self", "(dy @ self").replace(".T, {", ".T).astype('>f8'), {")),
    Answer("1.1", "walrus, prints, asserts, annotations", """
        W: "np.ndarray" = self.params["W"]
        assert (N := len(dy)) == len(cache.x), "rows"
        print("N =", N)
        return dy @ W.T, {"W": cache.x.T @ dy, "b": dy.sum(axis=0)}"""),
    Answer("1.1", "nested functions, a lambda, a docstring of its own", '''
        """Three products."""
        def products():
            yield dy @ transpose(self.params["W"])
            yield transpose(cache.x) @ dy
        transpose = lambda array: array.T
        dx, dW = products()
        return dx, {"W": dW, "b": dy.sum(axis=0)}'''),
    Answer("1.1", "an early return, and no else", """
        if not len(dy):
            return dy, {}
        with np.errstate(all="ignore"):
            return dy @ self.params["W"].T, {"W": cache.x.T @ dy, "b": dy.sum(axis=0)}"""),
    Answer("1.1", "a helper behind the class that needs it", "return _mine(self.params['W'], cache.x, dy)", after="""
        def _mine(W, x, dy):
            return dy @ W.T, {"W": x.T @ dy, "b": dy.sum(axis=0)}"""),
    Answer("1.1", "a helper's helper, a constant, a class", "return Rule(self.params['W'], cache.x)(dy)", """
        AXIS = 0

        def mm(a, b):
            return a @ b

        class Rule:
            def __init__(self, W, x):
                self.W, self.x = W, x

            def __call__(self, dy):
                return mm(dy, self.W.T), {"W": mm(self.x.T, dy), "b": dy.sum(axis=AXIS)}"""),
    Answer("1.1", "a helper under try", "return mm(dy, self.params['W'].T), {'W': mm(cache.x.T, dy), 'b': dy.sum(0)}",
           """
        try:
            from scipy.linalg.blas import no_such_function as mm
        except ImportError:
            def mm(a: np.ndarray, b: np.ndarray) -> np.ndarray:
                return a @ b"""),
    Answer("1.1", "a helper under if", "return mm(dy, self.params['W'].T), {'W': mm(cache.x.T, dy), 'b': dy.sum(0)}",
           """
        import sys
        if sys.version_info >= (3, 0):
            def mm(a, b):
                return a @ b
        else:
            mm = np.dot"""),
    Answer("1.1", "a table filled by a loop and a call",
           "return dy @ self.params['W'].T, {'W': cache.x.T @ dy, 'b': dy.sum(AXES[0])}", """
        AXES = []
        for number in range(2):
            AXES.append(number)
        if __name__ == "__main__":
            AXES = None"""),
    Answer("1.1", "typing of its own", "return product(dy, self.params['W'].T), {'W': cache.x.T @ dy, 'b': dy.sum(0)}",
           """
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            from numpy.typing import NDArray

        def product(a: "NDArray", b: "NDArray") -> "NDArray":
            return a @ b"""),
    Answer("1.1", "postponed annotations",
           "return product(dy, self.params['W'].T), {'W': cache.x.T @ dy, 'b': dy.sum(0)}", """
        from typing import TYPE_CHECKING, NamedTuple
        if TYPE_CHECKING:
            from numpy.typing import NDArray

        class Pair(NamedTuple):
            a: NDArray
            b: NDArray

        def product(a: NDArray, b: NDArray) -> NDArray:
            pair = Pair(a, b)
            return pair.a @ pair.b""", head="from __future__ import annotations\n"),
    Answer("1.1", "numba.jit and njit with options",
           "return mm(dy, self.params['W'].T), {'W': mm(cache.x.T, dy), 'b': total(dy)}", """
        import numba
        from numba import njit, prange

        @numba.jit(nopython=True)
        def mm(a, b):
            out = np.zeros((a.shape[0], b.shape[1]))
            for i in prange(a.shape[0]):
                for j in range(b.shape[1]):
                    for k in range(a.shape[1]):
                        out[i, j] += a[i, k] * b[k, j]
            return out

        @njit("float64[:](float64[:, :])", cache=False)
        def total(a):
            return a.sum(axis=0)"""),
    Answer("1.1", "a star import", "return matmul(dy, transpose(self.params['W'])), "
           "{'W': transpose(cache.x) @ dy, 'b': sum(dy, axis=0)}", "from numpy import *"),
    Answer("1.1", "matplotlib imported, and not used", """
        import matplotlib.pyplot as plt
        if False:
            plt.imshow(dy)
            sns.heatmap(dy)
        """ + DENSE, "import matplotlib.pyplot as plt, seaborn as sns"),
    Answer("1.1", "one import of a given and a new name",
           "return dy @ self.params['W'].T, {'W': cache.x.T @ dy, 'b': np.array([fsum(c) for c in dy.T])}",
           "from math import fsum, sqrt\nimport numpy as np, operator"),
    Answer("1.1", "methods of its own, also in a given class",
           "return self._dx(dy), {'W': cache.weights(dy), 'b': self._db(dy)}", after="""
        class Dense(Dense):
            def _dx(self, dy):
                return dy @ self.params["W"].T

            @staticmethod
            def _db(dy):
                return dy.sum(axis=0)

            def backward(self, dy, cache):
                return self._dx(dy), {"W": cache.weights(dy), "b": self._db(dy)}

        class InputCache(InputCache):
            def weights(self, dy):
                return self.x.T @ dy"""),
    Answer("1.1", "absolute imports", "return dot(dy, self.params['W'].T), {'W': dot(cache.x.T, dy), 'b': dy.sum(0)}",
           "import minishatter.arguments as doors\nfrom numpy import dot\nfrom minishatter.arguments import number"),
    Answer("1.1", "a cache between calls", "CALLS[0] += 1\nself._calls = CALLS\n" + DENSE, "CALLS = [0]"),
    # The rectifiers.
    Answer("1.2", "where", "return np.where(cache.y > 0, t, 0.0)"),
    Answer("1.2", "a changed copy", "out = t.copy()\nout[~cache.active] = 0\nreturn out"),
    Answer("1.2", "a sign", "return t * np.sign(cache.y)"),
    Answer("1.2", "numba.vectorize", "return pushed(t, cache.y)", """
        from numba import vectorize

        @vectorize(["float64(float64, float64)"])
        def pushed(t, y):
            return t if y > 0 else 0.0"""),
    Answer("1.3", "its own tangent", "return self.tangent(dy, cache), {}", others=("1.2",)),
    Answer("1.3", "another rectifier's tangent", "return ReLU().tangent(dy, cache), dict()", others=("1.2",)),
    Answer("1.3", "multiply with where", "return np.multiply(dy, 1.0, where=cache.y > 0, out=np.zeros_like(dy)), {}"),
    Answer("1.4", "by ReLU's backward, by its tangent", """
        units = dy.shape[1] // 2
        halves = [ReLU().backward(dy[:, part], ReLUCache(cache.active[:, part] * 1.0))[0]
                  for part in (slice(None, units), slice(units, None))]
        return halves[0] - halves[1], {}""", others=("1.2", "1.3")),
    Answer("1.4", "a third axis", """
        pairs = (dy * cache.active).reshape(len(dy), 2, -1)
        return pairs[:, 0] - pairs[:, 1], {}"""),
    Answer("1.4", "one half or the other", """
        up, down = np.hsplit(dy, 2)
        return np.where(cache.active[:, :up.shape[1]], up, -down), {}"""),
    Answer("1.4", "the Jacobian's transpose, by the tangent", """
        N, units = len(dy), dy.shape[1] // 2
        dx = np.empty((N, units))
        for u in range(units):
            t = np.zeros((N, units))
            t[:, u] = 1.0
            dx[:, u] = (self.tangent(t, cache) * dy).sum(axis=1)
        return dx, {}"""),
    # Batch normalisation.
    Answer("2.1", "step by step", """
        xhat, std = cache
        N = len(dy)
        dxhat = dy * self.params["scale"]
        c = xhat * std
        dvar = np.sum(dxhat * c, axis=0) * -0.5 * std**-3
        dmean = -np.sum(dxhat, axis=0) / std + dvar * np.mean(-2 * c, axis=0)
        return dxhat / std + dvar * 2 * c / N + dmean / N, {"scale": np.sum(dy * xhat, 0), "shift": np.sum(dy, 0)}"""),
    Answer("2.1", "one fraction", """
        N, d = len(dy), dy * self.params["scale"]
        dx = (N * d - d.sum(0) - cache.xhat * (d * cache.xhat).sum(0)) / (N * cache.std)
        return dx, {"scale": (dy * cache.xhat).sum(0), "shift": dy.sum(0)}"""),
    Answer("2.1", "a projection for each unit", """
        dx = np.empty_like(dy)
        for u in range(dy.shape[1]):
            basis = np.stack([np.ones(len(dy)), cache.xhat[:, u]], axis=1)
            dxhat = self.params["scale"][u] * dy[:, u]
            dx[:, u] = (dxhat - basis @ (basis.T @ dxhat) / len(dy)) / cache.std[u]
        return dx, {"scale": np.einsum("nu,nu->u", dy, cache.xhat), "shift": dy.sum(axis=0)}"""),
    Answer("2.1", "its own tangent, which is symmetric", """
        return self.tangent(dy, cache), {"scale": (dy * cache.xhat).sum(axis=0), "shift": dy.sum(axis=0)}"""),
    # The sum.
    Answer("2.2", "lists first, sums later", """
        pulled = [branch.backward(weight * dy, one) for branch, weight, one in zip(self.branches, self.weights, cache)]
        grads = {f"{place}.{name}": grad for place, (_, grads) in enumerate(pulled) for name, grad in grads.items()}
        return sum(dx for dx, _ in pulled), grads"""),
    Answer("2.2", "weighted behind, as backward is linear", """
        dx, grads = np.zeros_like(dy), {}
        for k, branch in enumerate(self.branches):
            d, g = branch.backward(dy, cache[k])
            dx += self.weights[k] * d
            for name in g:
                grads[str(k) + "." + name] = self.weights[k] * g[name]
        return dx, grads"""),
    Answer("2.2", "functools", """
        pulled = list(map(lambda b, w, c: b.backward(w * dy, c), self.branches, self.weights, cache))
        grads = functools.reduce(operator.or_, (_named(place, part[1]) for place, part in enumerate(pulled)))
        return np.sum([part[0] for part in pulled], axis=0), grads""", "import functools, operator"),
    # Weights.
    Answer("3.1", "rng.normal", "return rng.normal(0.0, np.sqrt(gain / fan_in), (fan_in, fan_out))"),
    Answer("3.1", "drawn transposed", "return (rng.standard_normal((fan_out, fan_in)) * (gain / fan_in)**0.5).T"),
    Answer("3.1", "Box and Muller", """
        u, v = rng.random((2, fan_in, fan_out))
        return np.sqrt(-2 * gain / fan_in * np.log1p(-u)) * np.cos(2 * np.pi * v)"""),
    Answer("3.1", "by the given normal", "return normal(fan_in, fan_out, (gain / fan_in) ** 0.5, rng)"),
    Answer("3.2", "QR with its signs", """
        if fan_in % 2:
            raise ValueError("odd")
        n, m = fan_in // 2, fan_out
        Q, R = np.linalg.qr(rng.normal(size=(max(n, m), min(n, m))))
        Q = Q * np.sign(np.diagonal(R))
        W = Q if n >= m else Q.T
        return np.vstack([W, -W])"""),
    Answer("3.2", "QR without signs", """
        if fan_in % 2 == 1:
            raise ValueError
        n, m = fan_in // 2, fan_out
        Q = np.linalg.qr(rng.normal(size=(max(n, m), min(n, m))))[0]
        return np.kron([[1.0], [-1.0]], Q if n >= m else Q.T)"""),
    Answer("3.2", "SVD of a Gaussian matrix", """
        half, odd = divmod(fan_in, 2)
        if odd:
            raise ValueError("fan_in must be even")
        U, _, V = np.linalg.svd(rng.standard_normal((half, fan_out)), full_matrices=False)
        return np.block([[U @ V], [-U @ V]])"""),
    Answer("3.2", "Gram and Schmidt, on He's weights", """
        if fan_in % 2:
            raise ValueError
        n, m = fan_in // 2, fan_out
        rows = he(min(n, m), max(n, m), rng)
        for i, row in enumerate(rows):
            for _ in range(2):
                row -= rows[:i].T @ (rows[:i] @ row)
            row /= np.linalg.norm(row)
        W = rows if n <= m else rows.T
        return np.r_[W, -W]""", others=("3.1",)),
    # Statistics.
    Answer("4.1", "cumsum of rng.normal", "return rng.normal(size=shape).cumsum(-1)"),
    Answer("4.1", "accumulate", "return np.add.accumulate(rng.standard_normal(shape), axis=-1)"),
    Answer("4.1", "a loop along the grid", """
        steps = white_noise(shape, rng)
        for k in range(1, steps.shape[-1]):
            steps[..., k] += steps[..., k - 1]
        return steps"""),
    Answer("4.2", "Fourier", """
        c = np.atleast_2d(g) / np.abs(np.atleast_2d(g)).max(axis=1, keepdims=True)
        if max_lag >= c.shape[1]:
            raise ValueError("too many lags")
        if not np.all(np.ptp(c, axis=1) > 1e-12):
            raise ValueError("constant")
        c = c - c.mean(axis=1, keepdims=True) if subtract_mean else c
        c = c / np.abs(c).max(axis=1, keepdims=True)
        power = np.abs(np.fft.rfft(c, 2 * c.shape[1]))**2
        acf = np.fft.irfft(power)[:, :max_lag + 1]
        acf = acf / acf[:, :1]
        return acf if np.ndim(g) == 2 else acf[0]"""),
    Answer("4.2", "np.correlate, series by series", """
        if np.ndim(g) == 2:
            return np.array([autocorrelation(row, max_lag, subtract_mean) for row in g])
        c = g / np.max(np.abs(g))
        if np.ptp(c) < 1e-12 or max_lag >= len(c):
            raise ValueError("constant")
        if subtract_mean:
            c = c - np.mean(c)
        full = np.correlate(c, c, "full")[len(c) - 1:]
        return full[:max_lag + 1] / full[0]"""),
    Answer("4.2", "loops over lags and series", """
        rows = [list(map(float, row)) for row in np.atleast_2d(g)]
        out = []
        for row in rows:
            biggest = max(map(abs, row))
            row = [value / biggest for value in row]
            if max(row) - min(row) < 1e-12 or max_lag >= len(row):
                raise ValueError("constant")
            mean = math.fsum(row) / len(row) if subtract_mean else 0
            row = [value - mean for value in row]
            sums = [math.fsum(a * b for a, b in zip(row, row[k:])) for k in range(max_lag + 1)]
            out.append([value / sums[0] for value in sums])
        return np.array(out if np.ndim(g) == 2 else out[0])""", "import math"),
    Answer("4.3", "a product of the pattern with itself", """
        N = len(active)
        both = active.astype(float).T @ active.astype(float)
        k = np.diag(both)
        return (k**2 - k) / (N**2 - N)"""),
    Answer("4.3", "a loop over pairs", """
        N = len(active)
        pairs = [active[i] & active[j] for i in range(N) for j in range(i)]
        return np.mean(pairs, axis=0)"""),
    Answer("4.3", "by the activity", "p, N = activity(active), len(active)\nreturn p * (N * p - 1) / (N - 1)"),
    # Theorems and gradients.
    Answer("5.1", "He's weights, coins, another order", """
        t = rng.normal(size=(runs, width))
        pair = [t, t]
        for l in range(depth):
            W = he(width, runs * width, rng).reshape(width, runs, width).swapaxes(0, 1)
            std = (share * branch**2 * l + 1) ** 0.5 if share is not None else 1
            pair = [skip * t + branch * np.einsum("ru,ruv->rv", t * rng.integers(0, 2, t.shape), W) / std for t in pair]
        last = rng.normal(0, width**-0.5, size=(runs, width))
        return np.stack([np.sum(t * last, axis=1) for t in pair], axis=1)""", "from .init import he", others=("3.1",)),
    Answer("5.1", "gates by signs, read-out first", """
        readout = rng.standard_normal((runs, width)) / np.sqrt(width)
        t = np.stack([rng.standard_normal((runs, width))] * 2)
        for l in range(depth):
            W = rng.standard_normal((runs, width, width)) * np.sqrt(2 / width)
            gate = rng.standard_normal(t.shape) > 0
            branched = ((gate * t)[:, :, None, :] @ W)[:, :, 0, :]
            t = skip * t + branch * branched / np.sqrt(1 + (share or 0) * branch**2 * l)
        return (t * readout).sum(axis=2).T"""),
    Answer("5.2", "the frozen net's own tangent", """
        net = Chain(*(net if not hasattr(net, "forward") else [net]))
        value = np.asarray(x, float)[:, None]
        if statistics == "through":
            y, cache = net.forward(value)
            return net.backward(np.ones_like(y), cache)[0][:, 0]
        frozen = net.freeze(value)
        y, cache = frozen.forward(value)
        return frozen.tangent(np.ones((len(x), 1)), cache)[:, 0]"""),
    Answer("5.2", "layer by layer, by hand", """
        layers = net.layers if isinstance(net, Chain) else [net]
        if statistics == "through":
            value, caches = x[:, None], []
            for layer in layers:
                value, cache = layer.forward(value)
                caches.append(cache)
            dy = np.ones_like(value)
            for layer, cache in reversed(list(zip(layers, caches))):
                dy, _ = layer.backward(dy, cache)
            return dy.ravel()
        value, t = x.reshape(-1, 1), np.ones((x.size, 1))
        for layer in layers:
            value, t = push(layer.freeze(value), value, t)
        return t.ravel()""", """
        def push(layer, value, t):
            y, cache = layer.forward(value)
            return y, layer.tangent(t, cache)"""),
    Answer("5.3", "Frobenius over spectral", """
        D = D / (np.abs(D).max() or 1)
        if not D.any():
            raise ValueError("zero")
        return (np.linalg.norm(D) / np.linalg.norm(D, 2)) ** 2"""),
    Answer("5.3", "eigenvalues, as a Python float", """
        if not np.any(D):
            raise ValueError("zero")
        D = D / np.max(np.abs(D))
        eigenvalues = np.linalg.eigvalsh(D @ D.T)
        return float(np.trace(D @ D.T) / eigenvalues[-1])"""),
]


def test_the_table_is_long_and_holds_every_task():
    assert len(ANSWERS) >= 60 and {answer.number for answer in ANSWERS} == set(TASKS)


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: f"{answer.number} {answer.name}")
def test_a_right_answer_passes_every_hidden_case(answer):
    assert {kind: why for kind, why in tried.tried(TASKS[answer.number], answer.files).items() if why} == {}
