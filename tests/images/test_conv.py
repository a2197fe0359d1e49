"""Convolution against its six loops, the image layers' three rules, and the convnets."""

import numpy as np
import pytest
from numba import config

from minishatter.check import check_layer
from minishatter.compose import Chain, Sum, freeze
from minishatter.images import convnets, filters
from minishatter.images.conv import AveragePool, BatchNorm2d, Conv2d, CReLU2d, Flatten, PerPixel, ReLU2d
from minishatter.layers import Affine, BatchNorm, Center, CReLU, Dense, Identity, PReLU, ReLU


def rng(seed=0):
    return np.random.default_rng(seed)


def six_loops(x, W, b, stride, padding):
    """The definition, one multiplication at a time (the batch is the seventh loop, vectorised)."""
    outs, channels, tap_rows, tap_cols = W.shape
    rows = (x.shape[1] + 2 * padding - tap_rows) // stride + 1
    cols = (x.shape[2] + 2 * padding - tap_cols) // stride + 1
    y = np.zeros((outs, rows, cols, x.shape[3]))
    for o in range(outs):
        for i in range(rows):
            for j in range(cols):
                y[o, i, j] = b[o]
                for c in range(channels):
                    for p in range(tap_rows):
                        for q in range(tap_cols):
                            r, s = i * stride + p - padding, j * stride + q - padding
                            if 0 <= r < x.shape[1] and 0 <= s < x.shape[2]:
                                y[o, i, j] += W[o, c, p, q] * x[c, r, s]
    return y


# outs, channels, kernel rows, kernel cols, stride, padding, image rows, image cols, batch: outs in whole and broken
# blocks of four, channels of three, rows longer than eight, a batch of one vector and of several
CONVOLUTIONS = [(4, 3, 3, 3, 1, 1, 7, 5, 3), (7, 2, 3, 3, 1, 1, 5, 7, 37), (5, 3, 3, 3, 2, 1, 7, 6, 3),
                (2, 3, 3, 3, 1, 1, 4, 5, 3), (5, 2, 5, 5, 3, 2, 11, 8, 3), (3, 2, 1, 1, 1, 0, 3, 5, 3),
                (4, 1, 1, 1, 2, 0, 5, 3, 37), (5, 2, 2, 3, 1, 1, 4, 5, 3), (4, 2, 3, 2, 2, 0, 6, 7, 37),
                (1, 1, 3, 3, 1, 0, 3, 3, 3), (6, 1, 3, 3, 5, 2, 9, 11, 3), (8, 4, 3, 3, 1, 1, 3, 19, 5),
                (13, 7, 3, 3, 1, 1, 3, 11, 37), (9, 5, 3, 3, 2, 1, 5, 17, 2), (12, 6, 3, 3, 1, 1, 2, 8, 64)]
convolutions = pytest.mark.parametrize("shape", CONVOLUTIONS, ids=lambda shape: "-".join(map(str, shape)))


def example(shape, dtype=np.float64):
    outs, channels, tap_rows, tap_cols, stride, padding, rows, cols, batch = shape
    draws = rng(sum(shape))
    layer = Conv2d(draws.standard_normal((outs, channels, tap_rows, tap_cols)).astype(dtype),
                   draws.standard_normal(outs).astype(dtype), stride, padding)
    return layer, draws.standard_normal((channels, rows, cols, batch)).astype(dtype)


@convolutions
def test_convolution_is_its_definition(shape):
    layer, x = example(shape)
    y, _ = layer.forward(x)
    np.testing.assert_allclose(y, six_loops(x, layer.params["W"], layer.params["b"], *shape[4:6]),
                               rtol=1e-12, atol=1e-12)  # up to 63 terms of order one


@convolutions
def test_convolution_obeys_its_rules(shape):
    layer, x = example(shape)
    check_layer(layer, x, rng(1))


@convolutions
def test_single_precision_stays_single(shape):
    layer, x = example(shape, np.float32)
    y, cache = layer.forward(x)
    dx, grads = layer.backward(y, cache)
    assert {array.dtype for array in (y, dx, *grads.values())} == {np.dtype(np.float32)}
    np.testing.assert_allclose(y, example(shape)[0].forward(example(shape)[1])[0], rtol=1e-4, atol=1e-4)


def test_padding_none_keeps_the_size():
    layer = Conv2d(rng().standard_normal((2, 3, 5, 5)))
    assert layer.padding == 2 and layer.forward(np.ones((3, 6, 7, 2)))[0].shape == (2, 6, 7, 2)


@pytest.mark.parametrize("shape", [CONVOLUTIONS[0], CONVOLUTIONS[-1]], ids=["filled up", "whole vectors"])
def test_it_takes_arrays_that_are_not_contiguous(shape):
    layer, x = example(shape)
    y, cache = layer.forward(x)
    other = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, -1, 0)), 0, -1)
    np.testing.assert_array_equal(layer.forward(other)[0], y)
    dy = rng(2).standard_normal(y.shape)
    strange = np.moveaxis(np.ascontiguousarray(np.moveaxis(dy, -1, 0)), 0, -1)
    np.testing.assert_array_equal(layer.backward(strange, cache)[0], layer.backward(dy, cache)[0])


def test_results_start_on_a_cache_line():
    """Vectors are then loaded at full speed by what reads them."""
    layer, x = example(CONVOLUTIONS[-1], np.float32)
    y, cache = layer.forward(x)
    dx, _ = layer.backward(y, cache)
    z, norm_cache = BatchNorm2d(len(y)).forward(y)
    dy, _ = BatchNorm2d(len(y)).backward(z, norm_cache)
    rectified = [ReLU2d().forward(y)[0], CReLU2d().forward(y)[0]]
    assert [array.ctypes.data % 64 for array in (y, dx, z, dy, *rectified)] == [0] * 6


# The other layers that take images, of prime sizes.


def scaled(layer):
    layer.params["scale"][:], layer.params["shift"][:] = rng(3).uniform(0.5, 2, 3), rng(4).standard_normal(3)
    return layer


PER_PIXEL = [PerPixel(layer) for layer in (Identity(), ReLU(), CReLU(), PReLU(), Center(), Center("units"),
                                           scaled(Affine(np.ones(3), np.zeros(3))), scaled(BatchNorm(3)),
                                           Dense(rng(5).standard_normal((3, 4))))]
IMAGE_LAYERS = [*PER_PIXEL, Identity(), ReLU(), PReLU(), ReLU2d(), CReLU2d(), scaled(BatchNorm2d(3)), Flatten(),
                AveragePool(1), AveragePool(2), AveragePool(3)]


@pytest.mark.parametrize("layer", IMAGE_LAYERS, ids=lambda layer: f"{layer!r}")
def test_layers_over_images_obey_their_rules(layer):
    check_layer(layer, rng().standard_normal((3, 5, 7, 2)), rng(1))


@pytest.mark.parametrize("layer", PER_PIXEL, ids=lambda layer: f"{layer!r}")
def test_a_layer_per_pixel_sees_each_pixel_as_a_row(layer):
    """Frozen too: the definition, one pixel of one image at a time."""
    x = rng().standard_normal((3, 5, 7, 2))
    pixels = np.moveaxis(x, 0, -1)  # (rows, cols, N, channels)
    for over_images, over_units in ((layer, layer.layer), (layer.freeze(x), layer.layer.freeze(pixels.reshape(-1, 3)))):
        y, _ = over_images.forward(x)
        expected, _ = over_units.forward(pixels.reshape(-1, 3))
        expected = expected.reshape(*pixels.shape[:3], -1)
        np.testing.assert_allclose(np.moveaxis(y, 0, -1), expected, rtol=1e-13, atol=1e-14)


def test_a_layer_per_pixel_copies_nothing():
    x = rng().standard_normal((3, 5, 7, 2))
    y, _ = PerPixel(Identity()).forward(x)
    assert np.shares_memory(x, y)
    np.testing.assert_array_equal(x, y)


def test_the_fused_normalisation_is_the_readable_one():
    x, dy = rng().standard_normal((2, 3, 5, 7, 2))
    readable, fused = PerPixel(scaled(BatchNorm(3))), scaled(BatchNorm2d(3))
    (y, cache), (y2, cache2) = readable.forward(x), fused.forward(x)
    np.testing.assert_allclose(y2, y, rtol=1e-12, atol=1e-13)  # 70 terms to a mean
    np.testing.assert_allclose(fused.backward(dy, cache2)[0], readable.backward(dy, cache)[0], rtol=1e-11, atol=1e-12)
    for key in ("scale", "shift"):
        np.testing.assert_allclose(fused.backward(dy, cache2)[1][key], readable.backward(dy, cache)[1][key], rtol=1e-11)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("fused, readable", [(ReLU2d(), ReLU()), (CReLU2d(), PerPixel(CReLU()))], ids=["ReLU", "CReLU"])
def test_the_fused_rectifiers_are_the_readable_ones(fused, readable, dtype):
    """To the last bit, at a zero and in strange strides too; frozen they stay themselves."""
    x = np.moveaxis(rng().standard_normal((2, 3, 5, 7)).astype(dtype), 0, -1)
    x[1, 2, 3] = 0
    (y, cache), (y2, cache2) = readable.forward(x), fused.forward(x)
    dy = rng(1).standard_normal(y.shape).astype(dtype)
    np.testing.assert_array_equal(y2, y)
    np.testing.assert_array_equal(fused.backward(dy, cache2)[0], readable.backward(dy, cache)[0])
    np.testing.assert_array_equal(fused.tangent(x, cache2), readable.tangent(x, cache))
    assert {fused.backward(dy, cache2)[0].dtype, y2.dtype} == {np.dtype(dtype)} and fused.freeze(x) is fused
    assert np.mean(cache2.active) == np.mean(cache.active) and len(cache2.active) == len(y2)


@pytest.mark.parametrize("layer", [ReLU2d(), CReLU2d()], ids=lambda layer: f"{layer!r}")
def test_the_fused_rectifiers_let_what_is_not_a_number_be_seen(layer):
    x = rng().standard_normal((3, 2, 2, 5))
    x[1, 0, 1, 2] = np.nan
    assert np.isnan(layer.forward(x)[0]).sum() == (2 if isinstance(layer, CReLU2d) else 1)


def test_normalisation_over_images_is_over_batch_and_pixels():
    y, _ = BatchNorm2d(3, eps=0.0).forward(5 + 2 * rng().standard_normal((3, 4, 5, 6)))
    np.testing.assert_allclose(y.mean(axis=(1, 2, 3)), 0, atol=1e-14)
    np.testing.assert_allclose(y.var(axis=(1, 2, 3)), 1, rtol=1e-12)


def test_average_pooling_leaves_out_what_does_not_fill_a_window():
    x = np.arange(15.0).reshape(1, 3, 5, 1)
    y, _ = AveragePool(2).forward(x)
    np.testing.assert_array_equal(y[0, :, :, 0], [[np.mean([0, 1, 5, 6]), np.mean([2, 3, 7, 8])]])


# Kernels at initialisation.


@pytest.mark.parametrize("channels, outs", [(3, 7), (7, 3), (5, 5)])
def test_delta_orthogonal_kernels_are_an_orthogonal_map_at_every_pixel(channels, outs):
    W = filters.delta_orthogonal(channels, outs, 3, rng())
    assert np.count_nonzero(W) == W[:, :, 1, 1].size
    small = min(channels, outs)
    gram = W[:, :, 1, 1] @ W[:, :, 1, 1].T if outs == small else W[:, :, 1, 1].T @ W[:, :, 1, 1]
    np.testing.assert_allclose(gram, np.eye(small), atol=1e-14)
    x = rng(1).standard_normal((channels, 4, 5, 2))
    y, _ = Conv2d(W).forward(x)
    np.testing.assert_allclose(y, np.einsum("oc,crsn->orsn", W[:, :, 1, 1], x), atol=1e-13)


def test_dense_weights_as_kernels_keep_every_number():
    W = rng().standard_normal((2 * 9, 5))
    K = filters.as_filters(W, 3)
    assert K.shape == (5, 2, 3, 3)
    np.testing.assert_array_equal(K.reshape(5, -1), W.T)


# Convnets.

LINEAR = dict(activation="crelu", init="looks_linear")
CONVNETS = {
    "relu": lambda depth, rng: convnets.convnet(depth, 2, rng=rng),
    "BN": lambda depth, rng: convnets.convnet(depth, 2, norm="batch", rng=rng),
    "crelu": lambda depth, rng: convnets.convnet(depth, 2, activation="crelu", rng=rng),
    "looks-linear": lambda depth, rng: convnets.convnet(depth, 2, **LINEAR, rng=rng),
    "linear": lambda depth, rng: convnets.convnet(depth, 2, activation="linear", rng=rng),
    "resnet": lambda depth, rng: convnets.convresnet(depth, 2, beta=0.3, rng=rng),
}


@pytest.mark.parametrize("name", CONVNETS)
@pytest.mark.parametrize("depth", [6, 14, 54])
def test_depth_counts_convolutions_and_the_dense_layer(name, depth):
    net = CONVNETS[name](depth, rng())
    assert sum(key.endswith("W") for key in net.params) == depth
    skips = [layer for layer in net.layers if isinstance(layer, Sum)]
    assert len(skips) == (4 * (depth // 8) if name == "resnet" else 0)


@pytest.mark.parametrize("name", ["relu"] if config.DISABLE_JIT else CONVNETS)  # as plain Python one takes seconds
def test_convnets_obey_the_rules(name):
    """Forward and tangent, backward and adjoint; the parameters' gradients are the layers' own."""
    net = CONVNETS[name](6, rng())
    x, t = rng(1).standard_normal((2, 3, 32, 32, 2))
    y, cache = net.forward(x)
    dy, h = rng(2).standard_normal(y.shape), 1e-6
    tangent, (dx, grads) = net.tangent(t, cache), net.backward(dy, cache)
    slope = np.vdot(dy, net.forward(x + h * t)[0] - net.forward(x - h * t)[0]) / (2 * h)
    size = np.linalg.norm(dy) * np.linalg.norm(tangent)
    assert abs(np.vdot(dy, tangent) - np.vdot(dx, t)) < 1e-10 * size
    assert abs(np.vdot(dy, tangent) - slope) < 1e-6 * size and set(grads) == set(net.params)


@pytest.mark.parametrize("beta", [None, 0.1])
def test_flat_convnets_have_their_depth(beta):
    net = convnets.flat_convnet(4, 2, beta=beta, outputs=3, rng=rng())
    assert sum(key.endswith("scale") for key in net.params) == 4  # one normalisation for each rectifier
    assert net.forward(rng(1).standard_normal((3, 32, 32, 2)))[0].shape == (2, 3)


def test_a_flat_convnet_without_rectifiers_has_one_gradient_and_skip_weighs_the_skips():
    """Depth 0 is a linear stem and a read-out; skip = 0 leaves nothing of x beside the branch."""
    net, x = convnets.flat_convnet(0, 2, beta=0.1, rng=rng()), rng(1).standard_normal((3, 32, 32, 2))
    y, cache = net.forward(x)
    dx, _ = net.backward(np.ones_like(y), cache)
    np.testing.assert_allclose(dx[..., 0], dx[..., 1], rtol=1e-12)
    layers = [convnets.flat_convnet(4, 2, skip=skip, beta=0.5, rng=rng()).layers[1] for skip in (0.0, 0.7)]
    x = rng(1).standard_normal((2, 32, 32, 2))
    without, with_skip = (layer.forward(x)[0] for layer in layers)
    np.testing.assert_allclose(with_skip, without + 0.7 * x, atol=1e-12)


@pytest.mark.parametrize("depth", [6] if config.DISABLE_JIT else [6, 54, 198])
def test_a_looks_linear_convnet_is_a_linear_map(depth):
    """Superposition to 1e-10 relative, and one gradient for all inputs."""
    net = convnets.convnet(depth, 4, **LINEAR, rng=rng())
    x, z = rng(1).standard_normal((2, 3, 32, 32, 2))
    y, cache = net.forward(x)
    both, _ = net.forward(2 * x - 3 * z)
    assert np.abs(both - (2 * y - 3 * net.forward(z)[0])).max() < 1e-10 * np.abs(both).max()
    dx, _ = net.backward(np.ones_like(y), cache)
    np.testing.assert_allclose(dx, np.broadcast_to(dx[..., :1], dx.shape), atol=1e-12 * np.abs(dx).max())


def test_the_control_of_looks_linear_is_its_linear_map_without_the_mirrors():
    """Linear, all kernels delta-orthogonal: no gradient grows or shrinks but where channels end, at any depth."""
    net = convnets.convnet(46, 4, activation="linear", init="delta_orthogonal", rng=rng())
    x, t = rng(1).standard_normal((2, 3, 32, 32, 2))
    y, _ = net.forward(x)
    np.testing.assert_allclose(net.forward(x + t)[0] - y, net.forward(t)[0], atol=1e-9)
    for layer in net.layers:
        if isinstance(layer, Conv2d):
            centre, W = layer.params["W"][:, :, 1, 1], layer.params["W"]
            assert np.count_nonzero(W) == np.count_nonzero(centre)
            np.testing.assert_allclose(centre.T @ centre, np.eye(W.shape[1]), atol=1e-12)  # outs >= channels everywhere


def test_crelu_nets_have_about_as_many_parameters():
    relu, crelu = (sum(p.size for p in convnets.convnet(30, activation=name, rng=rng()).params.values())
                   for name in ("relu", "crelu"))
    assert abs(crelu / relu - 1) < 0.05


def test_freezing_a_convnet_keeps_its_values_and_parts_its_images():
    net = CONVNETS["resnet"](6, rng())
    x = rng(1).standard_normal((3, 32, 32, 3))
    frozen = freeze(Chain(*net.layers[:4]), x[:, :5, :4])
    y, _ = frozen.forward(x[:, :5, :4])
    np.testing.assert_allclose(y, Chain(*net.layers[:4]).forward(x[:, :5, :4])[0], rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(frozen.forward(x[:, :5, :4, :1])[0], y[..., :1], rtol=1e-9, atol=1e-10)
