"""The tangent kernel: infinite width against real nets, and the sum over layers against flattened gradients."""

import numpy as np
import pytest

from minishatter import gradients, init, nets, wide
from minishatter.correlation_maps import k1, rectifier_map
from minishatter.compose import Chain, Sum, freeze
from minishatter.layers import Dense, Identity, PReLU, ReLU
from minishatter.norms import LayerNorm
from minishatter.tangent_kernel import layer_kernels, parameter_kernels

X = np.array([-1.0, 1.0, 0.3, 2.0])
DEPTH, WIDTH = 3, 100
RELU, LINEAR = rectifier_map(), rectifier_map(1.0)
SHARE = 1 - 1 / np.pi

# name: (net, its kernel of infinite width, variance * fan_in of hidden weights, and of the last)
WIDE = {
    "feedforward": (lambda rng: nets.feedforward(DEPTH, WIDTH, rng=rng), lambda: layer_kernels(X, RELU, DEPTH), 2, 2),
    "prelu": (lambda rng: nets.feedforward(DEPTH, WIDTH, activation="prelu", bias_std=0.5, rng=rng),
              lambda: layer_kernels(X, rectifier_map(0.25), DEPTH, bias_std=0.5), 2 / 1.0625, 2 / 1.0625),
    "standardised": (lambda rng: nets.feedforward(DEPTH, WIDTH, init="standardised", rng=rng),
                     lambda: layer_kernels(X, rectifier_map(mean=False), DEPTH,
                                           read=lambda c: k1(c) / SHARE), 2 / SHARE, 2 / SHARE),
    "resnet": (lambda rng: nets.resnet(DEPTH, WIDTH, beta=0.5, norm=None, rng=rng),
               lambda: 1.25**DEPTH * layer_kernels(X, RELU, DEPTH, skip=1.0, branch=0.5), 2, 1),
    "highway": (lambda rng: nets.highway(DEPTH, WIDTH, gamma2=0.6, rng=rng),
                lambda: layer_kernels(X, RELU, DEPTH, skip=0.8, branch=0.6), 2, 1),
    "looks linear": (lambda rng: nets.feedforward(DEPTH, WIDTH, activation="crelu", init="looks_linear", rng=rng),
                     lambda: layer_kernels(X, LINEAR, DEPTH, read=k1), 1, 1),
}


def layers_of(net, hidden, last, bias_std):
    """Each dense layer's kernel, a parameter times its variance at the start: (layers, n, n)."""
    kernels = parameter_kernels(net, X[:, None])
    first, *names, end = [name for name in kernels if name.endswith("W")]
    parts = [kernels[first] + bias_std**2 * kernels[first.replace("W", "b")]]
    parts += [kernels[name] * hidden / WIDTH for name in names]
    return np.array([*parts, kernels[end] * last / WIDTH])


@pytest.mark.parametrize("name", WIDE)
def test_wide_nets_have_the_kernel_of_infinite_width(name):
    """Layer by layer, 400 nets: the mean within 4 standard errors, plus 3 / WIDTH of the diagonal for the width."""
    build, infinite, hidden, last = WIDE[name]
    bias_std = 0.5 if name == "prelu" else 1.0
    samples = np.array([layers_of(build(np.random.default_rng([16, run])), hidden, last, bias_std)
                        for run in range(400)])
    predicted = infinite()
    diagonal = np.sqrt(np.einsum("lii,ljj->lij", predicted, predicted))
    gap = np.abs(samples.mean(axis=0) - predicted)
    assert predicted.shape == samples.shape[1:]
    assert (gap < 4 * samples.std(axis=0) / 20 + 3 / WIDTH * diagonal).all()


def prelu_net(rng):
    branch = Chain(LayerNorm(5), ReLU(), Dense(init.he(5, 5, rng), rng.standard_normal(5)))
    return Chain(Dense(rng.standard_normal((2, 5)), rng.standard_normal(5)), PReLU(0.3),
                 Sum(Identity(), branch, weights=(0.7, 0.4)), Dense(rng.standard_normal((5, 1))))


NETS = {"mixed": prelu_net, "batch": lambda rng: nets.feedforward(3, 7, inputs=2, norm="batch", rng=rng),
        "centre": lambda rng: nets.resnet(2, 7, inputs=2, norm="center", rng=rng),
        "looks linear": lambda rng: nets.feedforward(3, 7, inputs=2, activation="crelu", init="looks_linear", rng=rng)}


@pytest.mark.parametrize("name", NETS)
def test_the_parts_are_products_of_flattened_gradients(name):
    """Input by input through the whole net, backward's gradients, parameter by parameter."""
    rng = np.random.default_rng(3)
    net, x = NETS[name](rng), rng.standard_normal((11, 2))
    frozen, rows = freeze(net, x), []
    for i in range(11):
        y, cache = frozen.forward(x[[i]])
        rows.append(frozen.backward(np.ones_like(y), cache)[1])
    kernels = parameter_kernels(net, x)
    assert list(kernels) == list(frozen.params)
    for key, kernel in kernels.items():
        flat = np.array([row[key].ravel() for row in rows])
        np.testing.assert_allclose(kernel, flat @ flat.T, rtol=1e-10, atol=1e-10 * np.abs(flat).max()**2)


def test_theta_is_what_a_small_step_does():
    """One step down sum of y f(x) with rate h moves f by -h Theta y: to first order in h, 1e-6."""
    rng = np.random.default_rng(4)
    net, x, slope = NETS["mixed"](rng), rng.standard_normal((11, 2)), rng.standard_normal((11, 1))
    (before, cache), h = net.forward(x), 1e-7
    grads = net.backward(slope, cache)[1]
    theta = sum(parameter_kernels(net, x).values())
    for name, array in net.params.items():
        array -= h * grads[name]
    np.testing.assert_allclose((net.forward(x)[0] - before) / h, -theta @ slope, rtol=0,
                               atol=1e-4 * np.abs(theta @ slope).max())


def test_a_linear_net_by_matrices():
    """f = x A B c: parts (x x^T) |B c|^2, (x A)(x A)^T |c|^2 and (x A B)(x A B)^T."""
    rng = np.random.default_rng(5)
    A, B, c, x = (rng.standard_normal(shape) for shape in ((2, 5), (5, 3), (3, 1), (7, 2)))
    kernels = parameter_kernels(Chain(Dense(A), Dense(B), Dense(c)), x)
    expected = {"0.W": x @ x.T * ((B @ c)**2).sum(), "1.W": x @ A @ A.T @ x.T * (c**2).sum(),
                "2.W": x @ A @ B @ B.T @ A.T @ x.T, "2.b": np.ones((7, 7))}
    for name, kernel in expected.items():
        np.testing.assert_allclose(kernels[name], kernel, rtol=1e-12, atol=1e-12)


def test_a_linear_net_of_infinite_width_has_its_first_kernel_in_each_layer():
    parts = layer_kernels(X, LINEAR, 30)
    np.testing.assert_allclose(parts, np.broadcast_to(np.outer(X, X) + 1, (31, 4, 4)), rtol=0, atol=1e-11)


@pytest.mark.parametrize("skip, branch", [(0.0, 1.0), (1.0, 0.3)])
def test_the_first_part_is_the_correlation_of_neuron_gradients(skip, branch):
    """Signals of the first layer times R of df/dn (`wide.gradient_correlation`, a code of its own)."""
    first = layer_kernels(X, RELU, 8, skip=skip, branch=branch)[0]
    R = wide.gradient_correlation(X, 8, skip=skip, branch=branch, wrt="neuron")
    np.testing.assert_allclose(first, (np.outer(X, X) + 1) * R, rtol=1e-12, atol=1e-12)


def test_deep_rectifiers_tend_to_a_quarter():
    """c -> 1 and R from layer l on -> (l / L)^3: the sum is 1/4 of the diagonal, to order log L / L; not rank one."""
    theta = layer_kernels(np.array([-1.0, 1.0]), RELU, 3000).sum(axis=0)
    assert theta[0, 1] / theta[0, 0] == pytest.approx(0.25, abs=0.01)


def test_it_is_positive_semidefinite():
    x = gradients.grid(17)
    for parts in (layer_kernels(x, RELU, 10, skip=1.0, branch=0.5),
                  layer_kernels(x, rectifier_map(mean=False), 10, read=lambda c: k1(c) / SHARE)):
        assert all(np.linalg.eigvalsh(part).min() > -1e-10 * np.trace(part) for part in parts)
