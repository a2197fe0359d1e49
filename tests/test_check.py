"""The checker is checked: every planted bug must be found and named, and what is right must pass.

Each mutant is a layer of the library with one rule broken in one line, in a way that has
been seen in real code.
"""

import re

import numpy as np
import pytest

from minishatter.check import DIFFERENCE, ROUNDING, GradientCheckError, check_layer
from minishatter.compose import Chain, Sum
from minishatter.layers import BatchNorm, Center, CReLU, Dense, Identity, PReLU, ReLU

POINTS, UNITS = 7, 5
NUMBER = r"(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?|nan|-?inf)"


class ForgottenTranspose(Dense):
    def backward(self, dy, cache):
        return dy @ self.params["W"], super().backward(dy, cache)[1]


class MeanOverTheBatch(Dense):
    def backward(self, dy, cache):
        dx, grads = super().backward(dy, cache)
        return dx, grads | {"W": grads["W"] / len(dy)}


class FirstRowOnly(Dense):
    def backward(self, dy, cache):
        dx, grads = super().backward(dy, cache)
        return dx, grads | {"W": np.outer(cache.x[0], dy[0])}


class BiasNotSummed(Dense):
    def backward(self, dy, cache):
        dx, grads = super().backward(dy, cache)
        return dx, grads | {"b": dy.mean(axis=0)}


class NoBiasGradient(Dense):
    def backward(self, dy, cache):
        dx, grads = super().backward(dy, cache)
        return dx, {"W": grads["W"]}


class OneGradientTooMany(Dense):
    def backward(self, dy, cache):
        dx, grads = super().backward(dy, cache)
        return dx, grads | {"x": dx}


class TransposedGradient(Dense):
    def backward(self, dy, cache):
        dx, grads = super().backward(dy, cache)
        return dx, grads | {"W": grads["W"].T}


class GradientOfOneRow(Dense):
    def backward(self, dy, cache):
        dx, grads = super().backward(dy, cache)
        return dx.sum(axis=0), grads


class TangentOfOneRow(Dense):
    def tangent(self, t, cache):
        return super().tangent(t, cache)[0]


class WrongEntry(Dense):
    """dx is wrong at one entry, by one part in a thousand."""

    def backward(self, dy, cache):
        dx, grads = super().backward(dy, cache)
        dx[4, 2] *= 1.001
        return dx, grads


class NotANumber(Dense):
    def backward(self, dy, cache):
        return np.nan * dy @ self.params["W"].T, super().backward(dy, cache)[1]


class WeightsNotANumber(Dense):
    def backward(self, dy, cache):
        dx, grads = super().backward(dy, cache)
        return dx, grads | {"W": np.nan * grads["W"]}


class WrongSideBackward(ReLU):
    def backward(self, dy, cache):
        return dy * ~cache.active, {}


class WrongSideBothWays(WrongSideBackward):
    """The two rules agree with each other, but not with the function."""

    def tangent(self, t, cache):
        return t * ~cache.active


class StraightThrough(ReLU):
    def backward(self, dy, cache):
        return dy, {}


class HalvesAdded(CReLU):
    def backward(self, dy, cache):
        positive, negative = np.split(dy * cache.active, 2, axis=1)
        return positive + negative, {}


class SlopeOfTheWrongSide(PReLU):
    def backward(self, dy, cache):
        return super().backward(dy, cache)[0], {"slope": np.sum(dy * cache.x * cache.active).reshape(1)}


class CenteredForwardOnly(Center):
    def backward(self, dy, cache):
        return dy, {}


class StatisticsHeld(BatchNorm):
    """Both rules forget that mean and variance depend on x: they agree, and are the adjoint of each other."""

    def tangent(self, t, cache):
        return self.params["scale"] * t / cache.std

    def backward(self, dy, cache):
        return self.params["scale"] * dy / cache.std, super().backward(dy, cache)[1]


class NoMeanTerm(BatchNorm):
    def backward(self, dy, cache):
        xhat, std = cache
        dxhat = self.params["scale"] * dy
        return (dxhat - xhat * (xhat * dxhat).mean(axis=0)) / std, super().backward(dy, cache)[1]


class NoVarianceTerm(BatchNorm):
    def backward(self, dy, cache):
        dxhat = self.params["scale"] * dy
        return (dxhat - dxhat.mean(axis=0)) / cache.std, super().backward(dy, cache)[1]


class ForgottenScale(BatchNorm):
    def backward(self, dy, cache):
        xhat, std = cache
        return (dy - dy.mean(axis=0) - xhat * (xhat * dy).mean(axis=0)) / std, super().backward(dy, cache)[1]


class WrongAxis(BatchNorm):
    def backward(self, dy, cache):
        xhat, std = cache
        dxhat = self.params["scale"] * dy
        dx = (dxhat - dxhat.mean(axis=1, keepdims=True) - xhat * (xhat * dxhat).mean(axis=0)) / std
        return dx, super().backward(dy, cache)[1]


class LastBranchOnly(Sum):
    """`dx = dx_k` where the gradients of the branches should be added."""

    def backward(self, dy, cache):
        dx = self.branches[-1].backward(self.weights[-1] * dy, cache[-1])[0]
        return dx, super().backward(dy, cache)[1]


class WeightsForgotten(Sum):
    def backward(self, dy, cache):
        dx = sum(branch.backward(dy, c)[0] for branch, c in zip(self.branches, cache))
        return dx, super().backward(dy, cache)[1]


class FirstLayerFirst(Chain):
    """The gradient runs through the chain in the order of the forward pass."""

    def backward(self, dy, cache):
        grads = super().backward(dy, cache)[1]
        for layer, layer_cache in zip(self.layers, cache):
            dy, _ = layer.backward(dy, layer_cache)
        return dy, grads


class TangentTwice(Dense):
    def tangent(self, t, cache):
        return 2 * super().tangent(t, cache)


class TwiceBothWays(TangentTwice):
    def backward(self, dy, cache):
        dx, grads = super().backward(dy, cache)
        return 2 * dx, grads


RNG = np.random.default_rng(3)
BEGINNING = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def draws():
    """The same for a test in any order: in 225 of 3,000 draws WrongEntry's is too small for differences to see."""
    RNG.bit_generator.state = BEGINNING


def dense(kind=Dense, fan_out=3, size=1.0):
    return kind(size * RNG.standard_normal((UNITS, fan_out)), RNG.standard_normal(fan_out))


def batch_norm(kind=BatchNorm):
    """With a random scale and shift: the initial ones hide errors."""
    layer = kind(UNITS)
    layer.params["scale"][:], layer.params["shift"][:] = RNG.uniform(0.5, 2, UNITS), RNG.standard_normal(UNITS)
    return layer


def skip(kind):
    return kind(Identity(), Chain(ReLU(), dense(fan_out=UNITS)), weights=(0.8, 1.4))


# The mutant, and the rule or argument that the message must name.
MUTANTS = [
    (dense(ForgottenTranspose, UNITS), "backward"),  # square: with prime shapes not even the product exists
    (dense(WrongEntry), "backward"),
    (dense(NotANumber), "backward"),
    (WrongSideBackward(), "backward"),
    (StraightThrough(), "backward"),
    (HalvesAdded(), "backward"),
    (CenteredForwardOnly(), "backward"),
    (batch_norm(NoMeanTerm), "backward"),
    (batch_norm(NoVarianceTerm), "backward"),
    (batch_norm(ForgottenScale), "backward"),
    (batch_norm(WrongAxis), "backward"),
    (skip(LastBranchOnly), "backward"),
    (skip(WeightsForgotten), "backward"),
    (FirstLayerFirst(dense(fan_out=UNITS), dense(fan_out=UNITS)), "backward"),
    (dense(TangentTwice), "tangent"),
    (dense(TwiceBothWays), "tangent"),
    (WrongSideBothWays(), "tangent"),
    (batch_norm(StatisticsHeld), "tangent"),
    (dense(MeanOverTheBatch), "d W"),
    (dense(FirstRowOnly), "d W"),
    (dense(WeightsNotANumber), "d W"),
    (dense(BiasNotSummed), "d b"),
    (SlopeOfTheWrongSide(), "d slope"),
]


def name(layer):
    return type(layer).__name__


@pytest.mark.parametrize("layer, rule", MUTANTS, ids=[name(layer) for layer, _ in MUTANTS])
def test_a_planted_bug_is_found_and_named(layer, rule):
    """The message names layer, rule and worst entry, and shows both numbers, which differ."""
    rng = np.random.default_rng(11)
    with pytest.raises(GradientCheckError) as error:
        check_layer(layer, rng.standard_normal((POINTS, UNITS)), rng)
    says = re.search(rf"{rule}: {NUMBER} by the rule, {NUMBER} by the other route", str(error.value))
    entry = "dx" if rule == "backward" else rule
    worst = re.search(rf"worst entry {entry}\[[\d, ]+\]: {NUMBER}, by differences {NUMBER}",
                      str(error.value))
    assert repr(layer) in str(error.value) and says and worst
    assert says[1] != says[2]


SHAPES = [
    (dense(NoBiasGradient), r"gradients for \['W', 'b'\], got \['W'\]"),
    (dense(OneGradientTooMany), r"gradients for \['W', 'b'\], got \['W', 'b', 'x'\]"),
    (dense(TransposedGradient), r"d W must have shape \(5, 3\), got \(3, 5\)"),
    (dense(GradientOfOneRow), r"dx must have shape \(7, 5\), got \(5,\)"),
    (dense(TangentOfOneRow), r"tangent must have shape \(7, 3\), got \(3,\)"),
]


@pytest.mark.parametrize("layer, message", SHAPES, ids=[name(layer) for layer, _ in SHAPES])
def test_a_missing_key_or_wrong_shape_is_found(layer, message):
    """No broadcasting: what should have been there and what came are both shown."""
    rng = np.random.default_rng(11)
    with pytest.raises(GradientCheckError, match=message):
        check_layer(layer, rng.standard_normal((POINTS, UNITS)), rng)


def test_the_worst_entry_is_the_wrong_one():
    """WrongEntry spoils dx[4, 2] by a factor 1.001; the message shows that entry, wrong and right."""
    rng = np.random.default_rng(11)
    with pytest.raises(GradientCheckError) as error:
        check_layer(dense(WrongEntry), rng.standard_normal((POINTS, UNITS)), rng)
    wrong, right = re.search(rf"worst entry dx\[4, 2\]: {NUMBER}, by differences {NUMBER}", str(error.value)).groups()
    assert float(wrong) / float(right) == pytest.approx(1.001, abs=1e-6)  # 1e-6: the error of the difference


def test_a_bug_inside_a_net_is_found():
    """A mutant in the branch of a skip connection, three layers down."""
    net = Chain(dense(fan_out=UNITS), skip(Sum), Sum(Identity(), Chain(batch_norm(NoMeanTerm), ReLU())))
    rng = np.random.default_rng(11)
    with pytest.raises(GradientCheckError, match="backward"):
        check_layer(net, rng.standard_normal((POINTS, UNITS)), rng)


@pytest.mark.parametrize("size", [1e-3, 1e-9, 1e-15])
@pytest.mark.parametrize("kind", [ForgottenTranspose, MeanOverTheBatch, BiasNotSummed, TwiceBothWays])
def test_a_bug_in_vanishing_gradients_is_found(kind, size):
    """A mistake by a factor is one at any size: the layer behind the mutant multiplies all gradients by `size`."""
    net, rng = Chain(dense(kind, UNITS), Dense(size * np.eye(UNITS))), np.random.default_rng(11)
    with pytest.raises(GradientCheckError):
        check_layer(net, rng.standard_normal((POINTS, UNITS)), rng)


def test_the_sum_of_a_normalised_output_cannot_find_it():
    """Why dy is random: with dy = 1 the mutant NoVarianceTerm gives zero, like the right rule."""
    x = np.random.default_rng(11).standard_normal((POINTS, UNITS))
    gradients = []
    for kind in (BatchNorm, NoVarianceTerm):
        layer = kind(UNITS)
        y, cache = layer.forward(x)
        gradients.append(layer.backward(np.ones_like(y), cache)[0])
    np.testing.assert_allclose(gradients, 0, atol=1e-14)  # rounding of a mean of seven numbers


RIGHT = [Identity(), dense(), ReLU(), CReLU(), PReLU(), Center(), batch_norm(), skip(Sum),
         Chain(dense(fan_out=UNITS), Dense(1e-15 * np.eye(UNITS))),  # vanishing gradients
         Chain(dense(), Center())]  # a bias before a centering: its gradient is zero


@pytest.mark.parametrize("layer", RIGHT, ids=name)
def test_what_is_right_passes(layer):
    """One check for each rule, each within its tolerance, with both numbers."""
    rng = np.random.default_rng(11)
    checks = check_layer(layer, rng.standard_normal((POINTS, UNITS)), rng)
    assert [check.rule for check in checks] == ["tangent", "backward", "adjoint", *(f"d {key}" for key in layer.params)]
    assert {check.rule for check in checks if check.tolerance == ROUNDING} == {"adjoint"}
    assert {check.tolerance for check in checks} == {ROUNDING, DIFFERENCE}
    for check in checks:
        assert check.error <= check.tolerance
        assert check.left == pytest.approx(check.right, rel=1e-4, abs=1e-6)  # some hundred terms of order 1


@pytest.mark.parametrize("layer", RIGHT, ids=name)
def test_what_is_right_passes_many_times(layer):
    """No false alarm: 50 draws of x, dy and the directions."""
    rng = np.random.default_rng(13)
    for _ in range(50):
        check_layer(layer, rng.standard_normal((POINTS, UNITS)), rng)


def test_checking_leaves_the_layer_as_it_was():
    layer, rng = batch_norm(), np.random.default_rng(11)
    before = {key: array.copy() for key, array in layer.params.items()}
    check_layer(layer, rng.standard_normal((POINTS, UNITS)), rng)
    for key, array in layer.params.items():
        np.testing.assert_array_equal(array, before[key])


# Right layers that fail, and wrong ones.


def test_a_net_in_single_precision_is_told_to_come_back_in_double():
    rng = np.random.default_rng(0)
    layer = Dense(rng.standard_normal((5, 3)).astype(np.float32), np.zeros(3, np.float32))
    with pytest.raises(GradientCheckError, match="give x and parameters in float64"):
        check_layer(layer, rng.standard_normal((7, 5)).astype(np.float32), rng)


def test_a_kink_is_told_to_move():
    x = np.random.default_rng(0).standard_normal((7, 5))
    x[2, 3] = 0.0
    with pytest.raises(GradientCheckError, match="on a kink .* move x a little"):
        check_layer(ReLU(), x, np.random.default_rng(1))


def test_a_wrong_rule_away_from_kinks_gets_no_excuse():
    class Wrong(ReLU):
        def tangent(self, t, cache):
            return 1.01 * super().tangent(t, cache)

    x = np.random.default_rng(0).standard_normal((7, 5))
    with pytest.raises(GradientCheckError) as caught:
        check_layer(Wrong(), x, np.random.default_rng(1))
    assert "kink" not in str(caught.value) and "float32" not in str(caught.value)
