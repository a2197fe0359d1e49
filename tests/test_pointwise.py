"""Smooth activations: erf against its series, slopes against differences, and what regions says of them."""

import math

import numpy as np
import pytest

from minishatter import gradients, regions
from minishatter.compose import Chain
from minishatter.layers import Dense
from minishatter.pointwise import ERF, GELU, SOFTPLUS, TANH, Pointwise, erf

ALL = pytest.mark.parametrize("activation", [TANH, ERF, GELU, SOFTPLUS], ids=["tanh", "erf", "gelu", "softplus"])


def test_erf_is_its_power_series():
    x = np.linspace(-2, 2, 9)
    series = sum((-1)**n * x**(2 * n + 1) / (float(math.factorial(n)) * (2 * n + 1)) for n in range(40))
    np.testing.assert_allclose(erf(x), 2 / math.sqrt(math.pi) * series, rtol=0, atol=1e-13)


@ALL
def test_slopes_are_those_of_central_differences(activation):
    x, h = np.linspace(-3, 3, 13), 1e-5
    differences = (activation.value(x + h) - activation.value(x - h)) / (2 * h)
    np.testing.assert_allclose(activation.slope(x), differences, rtol=0, atol=1e-9)


def test_gelu_lets_through_what_a_normal_threshold_would():
    """x P(z < x): far to the right x, far to the left 0, and GELU(x) - GELU(-x) = x."""
    x = np.array([-9.0, -1.0, 0.5, 9.0])
    np.testing.assert_allclose(GELU.value(x) - GELU.value(-x), x, rtol=1e-14)
    np.testing.assert_allclose(GELU.value(x[[0, 3]]), [0.0, 9.0], atol=1e-14)


@ALL
def test_fast_equals_readable_and_regions_refuses(activation):
    rng = np.random.default_rng(0)
    net = Chain(Dense(rng.standard_normal((1, 5))), Pointwise(activation), Dense(rng.standard_normal((5, 1))))
    x = gradients.grid(31)
    np.testing.assert_allclose(gradients.input_gradient(net, x), gradients.readable_gradient(net, x), rtol=1e-12,
                               atol=1e-14)
    with pytest.raises(TypeError, match=r"piecewise linear layers.*Pointwise\(\) at 1"):
        regions.exact_gradient(net)
