"""Chain and Sum, the names of parameters, and what trace and active_units show."""

import numpy as np
import pytest

from minishatter import nets
from minishatter.compose import Chain, Sum, active_units, trace
from minishatter.layers import BatchNorm, CReLU, Dense, Identity, PReLU, ReLU

ROUNDING = {"rtol": 1e-12, "atol": 1e-12}  # some tens of float64 operations on numbers of order 1


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def dense(fan_in, fan_out, rng):
    return Dense(rng.standard_normal((fan_in, fan_out)), rng.standard_normal(fan_out))


def test_a_chain_applies_its_layers_in_order(rng):
    first, last, x = dense(5, 3, rng), dense(3, 2, rng), rng.standard_normal((7, 5))
    W1, b1, W2, b2 = (layer.params[key] for layer in (first, last) for key in ("W", "b"))
    y, _ = Chain(first, ReLU(), last).forward(x)
    np.testing.assert_allclose(y, np.maximum(x @ W1 + b1, 0) @ W2 + b2, **ROUNDING)


def test_the_cache_of_a_container_is_the_list_of_its_childrens(rng):
    net = Chain(dense(5, 3, rng), Sum(Identity(), ReLU()))
    x = rng.standard_normal((7, 5))
    _, cache = net.forward(x)
    assert [type(part).__name__ for part in cache] == ["InputCache", "list"]
    assert cache[0].x is x and cache[1][0] is None and cache[1][1].active.shape == (7, 3)


def test_a_chain_in_a_chain_is_the_chain_of_all(rng):
    a, b, c, x = dense(5, 3, rng), ReLU(), dense(3, 2, rng), rng.standard_normal((7, 5))
    np.testing.assert_array_equal(Chain(a, Chain(b, c)).forward(x)[0], Chain(a, b, c).forward(x)[0])


@pytest.mark.parametrize("weights", [(2.0, -0.5, 1.5), None])
def test_a_sum_weighs_its_branches(weights, rng):
    """Without weights each branch counts once."""
    branches, x = [dense(5, 3, rng), dense(5, 3, rng), dense(5, 3, rng)], rng.standard_normal((7, 5))
    y, _ = Sum(*branches, weights=weights).forward(x)
    expected = sum(w * branch.forward(x)[0] for w, branch in zip(weights or (1, 1, 1), branches))
    np.testing.assert_allclose(y, expected, **ROUNDING)


def test_the_gradients_of_the_branches_add(rng):
    """x is used by both branches: dx = 2 dy + 3 dy W^T."""
    branch, x, dy = dense(5, 5, rng), rng.standard_normal((7, 5)), rng.standard_normal((7, 5))
    net = Sum(Identity(), branch, weights=(2, 3))
    dx, grads = net.backward(dy, net.forward(x)[1])
    np.testing.assert_allclose(dx, 2 * dy + 3 * dy @ branch.params["W"].T, **ROUNDING)
    np.testing.assert_allclose(grads["1.W"], 3 * x.T @ dy, **ROUNDING)


@pytest.mark.parametrize("width", [1, 2])
def test_branches_of_different_shape_do_not_add(width, rng):
    """Also where NumPy would broadcast."""
    net = Sum(dense(5, 3, rng), dense(5, width, rng))
    with pytest.raises(ValueError, match=rf"branches.*\(7, 3\) and \(7, {width}\)"):
        net.forward(rng.standard_normal((7, 5)))


def test_the_error_of_layers_that_do_not_chain_names_the_layer(rng):
    """A CReLU doubles the number of units: the usual cause."""
    net = Chain(dense(5, 3, rng), CReLU(), dense(3, 2, rng))
    with pytest.raises(ValueError, match=r"Dense\(3, 2\) expects x of shape \(N, 3\), got \(7, 6\).*chain"):
        net.forward(rng.standard_normal((7, 5)))


def small_net(rng):
    return Chain(dense(1, 3, rng), Sum(PReLU(), Chain(BatchNorm(3), dense(3, 3, rng)), weights=(1, 0.5)))


def test_parameters_are_named_by_their_place(rng):
    assert list(small_net(rng).params) == ["0.W", "0.b", "1.0.slope", "1.1.0.scale", "1.1.0.shift",
                                           "1.1.1.W", "1.1.1.b"]


def test_params_are_the_layers_own_arrays(rng):
    """Writing into one, as an optimiser does, changes the net."""
    net, x = small_net(rng), rng.standard_normal((7, 1))
    before, _ = net.forward(x)
    net.params["1.1.1.b"] += 1.0
    np.testing.assert_allclose(net.forward(x)[0], before + 0.5, **ROUNDING)


def test_repr_shows_the_tree(rng):
    assert repr(small_net(rng)) == """\
Chain:
  Dense(1, 3)
  Sum, weights (1.0, 0.5):
    PReLU(0.25)
    Chain:
      BatchNorm(3)
      Dense(3, 3)"""


# trace, against the same resnet computed by hand.

ALPHA, BETA = 0.7, 1.3


def residual_net(rng):
    """Two blocks x <- alpha (x + beta W relu(BN(x))) of three units, with shaken batch norms."""
    net = nets.resnet(2, 3, alpha=ALPHA, beta=BETA, norm="batch", rng=rng)
    for array in net.params.values():
        array += 0.3 * rng.standard_normal(array.shape)
    return net


def by_hand(params, x, dy):
    """Rows (name, output, fraction of active units, gradient arriving at the output), in forward order."""
    p, N, rows, blocks = params, len(x), [], []
    h = x @ p["0.W"] + p["0.b"]
    first = h
    for l in (1, 2):
        std = np.sqrt(h.var(axis=0) + 1e-5)
        xhat = (h - h.mean(axis=0)) / std
        normed = p[f"{l}.1.0.scale"] * xhat + p[f"{l}.1.0.shift"]
        rectified = np.where(normed > 0, normed, 0)
        out = rectified @ p[f"{l}.1.2.W"] + p[f"{l}.1.2.b"]
        blocks.append((l, h, std, xhat, normed, rectified, out))
        h = ALPHA * (h + BETA * out)
    rows.append(("3 Dense(3, 1)", h @ p["3.W"] + p["3.b"], np.nan, dy))
    dh = dy @ p["3.W"].T
    for l, h, std, xhat, normed, rectified, out in reversed(blocks):
        d_rectified = ALPHA * BETA * dh @ p[f"{l}.1.2.W"].T
        d_normed = d_rectified * (normed > 0)
        rows += [(f"{l}.1.2 Dense(3, 3)", out, np.nan, ALPHA * BETA * dh),
                 (f"{l}.1.1 ReLU()", rectified, (normed > 0).mean(), d_rectified),
                 (f"{l}.1.0 BatchNorm(3)", normed, np.nan, d_normed),
                 (f"{l}.0 Identity()", h, np.nan, ALPHA * dh)]
        dh = ALPHA * dh
        for u in range(3):  # the Jacobian of one unit's normalisation, as a matrix over the batch
            J = (np.eye(N) - 1 / N - np.outer(xhat[:, u], xhat[:, u]) / N) * p[f"{l}.1.0.scale"][u] / std[u]
            dh[:, u] += J @ d_normed[:, u]
    rows.append(("0 Dense(1, 3)", first, np.nan, dh))
    return rows[::-1]


def test_trace_is_the_pass_by_hand(rng):
    """Names, shapes, mean, std, active fraction and the size of the gradient, in forward order."""
    net, x, dy = residual_net(rng), rng.standard_normal((7, 1)), rng.standard_normal((7, 1))
    records, rows = trace(net, x, dy), by_hand(net.params, x, dy)
    assert [record.name for record in records] == [name for name, *_ in rows]
    for record, (_, y, active, dy) in zip(records, rows):
        assert record.shape_out == y.shape
        np.testing.assert_allclose(record[3:], [y.mean(), y.std(), active, np.sqrt(np.mean(dy**2))], **ROUNDING)
    units_in = [1, *[3] * 9]
    assert [record.shape_in for record in records] == [(7, units) for units in units_in]


def test_trace_prints_as_a_table(rng):
    """One line per layer under a head; columns end at the same place; no NaN for layers that are no rectifiers."""
    text = str(trace(residual_net(rng), np.ones((7, 1)) * np.arange(7)[:, None], np.ones((7, 1))))
    head, *rows = text.splitlines()
    assert head.split() == ["layer", "in", "out", "mean", "std", "active", "rms", "dy"]
    assert len(rows) == 10 and {len(row) for row in rows} == {len(head)}
    assert "nan" not in text
    assert [row.split()[0] for row in rows] == ["0", "1.0", "1.1.0", "1.1.1", "1.1.2", "2.0", "2.1.0", "2.1.1", "2.1.2",
                                                "3"]
    assert "7 x 1       7 x 3" in rows[0]


def test_trace_of_a_single_layer(rng):
    [record] = trace(ReLU(), np.array([[1.0, -1.0, 3.0]]), np.array([[3.0, 4.0, 0.0]]))
    assert record[:3] == ("ReLU()", (1, 3), (1, 3))
    np.testing.assert_allclose(record[3:], [4 / 3, np.sqrt(14 / 9), 2 / 3, 5 / np.sqrt(3)], **ROUNDING)


# active_units


def test_active_units_in_the_order_of_the_forward_pass(rng):
    """Rectifiers of three kinds, one inside a branch; each pattern is x > 0 where the rectifier reads it."""
    x = rng.standard_normal((7, 3))
    branch = dense(3, 3, rng)
    net = Chain(PReLU(), Sum(Identity(), Chain(branch, ReLU())), CReLU())
    first, second, third = active_units(net, x)
    h1 = np.where(x > 0, x, 0.25 * x)
    h2 = branch.forward(h1)[0]
    h3 = h1 + np.maximum(h2, 0)
    np.testing.assert_array_equal(first, x > 0)
    np.testing.assert_array_equal(second, h2 > 0)
    np.testing.assert_array_equal(third, np.concatenate([h3 > 0, ~(h3 > 0)], axis=1))


def test_a_net_without_rectifiers_has_no_active_units(rng):
    assert active_units(Chain(dense(5, 3, rng), BatchNorm(3)), rng.standard_normal((7, 5))) == []


def test_exactly_one_half_of_a_crelu_is_active_also_at_zero():
    [active] = active_units(CReLU(), np.array([[-1.0, 0.0, 1.0]]))
    np.testing.assert_array_equal(active, [[False, False, True, True, True, False]])


# One layer twice.


@pytest.mark.parametrize("build", [lambda d: Chain(d, ReLU(), d), lambda d: Sum(d, d), lambda d: Sum(Identity(), d, d),
                                   lambda d: Chain(d, Sum(Identity(), Chain(ReLU(), d))),
                                   lambda d: Chain(d, Dense(d.params["W"]))])
def test_an_array_has_one_name_where_parameters_are_named(build):
    """Each place would get its part of the gradient, and an optimiser with a state would step twice."""
    net = build(Dense(np.eye(3)))
    np.testing.assert_array_equal(net.tangent(np.ones((1, 3)), net.forward(np.ones((1, 3)))[1]) > 0, True)
    with pytest.raises(ValueError, match=r"layers must not share parameters: [\d.]+W is in this net twice"):
        dict(net.params)


def test_an_array_that_is_shared_later_is_refused_where_parameters_are_named():
    net = Chain(Dense(np.eye(3)), Dense(np.eye(3)))
    net.layers[1].params["W"] = net.layers[0].params["W"]
    with pytest.raises(ValueError, match=r"layers must not share parameters: 0\.W is in"):
        dict(net.params)


def test_a_layer_without_parameters_may_stand_anywhere():
    relu = ReLU()
    assert set(Chain(relu, Dense(np.eye(3)), relu).params) == {"1.W", "1.b"}
