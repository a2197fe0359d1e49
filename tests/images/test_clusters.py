"""k-means: what is apart is found, and the result is a fixed point."""

import numpy as np

from minishatter.images import clusters


def rng(seed=0):
    return np.random.default_rng(seed)


def test_kmeans_finds_what_is_apart():
    """Three clouds far apart: one cluster each, from most starts; and the result is a fixed point."""
    clouds = np.concatenate([rng(seed).standard_normal((20, 5)) + 50 * seed for seed in range(3)])
    found = [clusters.kmeans(clouds, 3, rng(seed)) for seed in range(10)]
    right = [all(len(set(cluster[20 * c:20 * c + 20])) == 1 for c in range(3)) and len(set(cluster)) == 3
             for cluster in found]
    assert sum(right) >= 3  # a start with two centres in one cloud can get stuck
    best = found[right.index(True)]
    centres = np.array([clouds[best == c].mean(axis=0) for c in range(3)])
    nearest = ((clouds[:, None] - centres)**2).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(nearest, best)


def test_neither_a_common_offset_nor_the_scale_matters():
    clouds = np.concatenate([rng(seed).standard_normal((20, 5)) + 50 * seed for seed in range(3)])
    found = clusters.kmeans(clouds, 3, rng())
    for moved in (clouds + 1e8, clouds * 1e200, clouds * 1e-200, (clouds + 1e4).astype(np.float32)):
        np.testing.assert_array_equal(clusters.kmeans(moved, 3, rng()), found)


def test_points_that_are_all_the_same_are_one_cluster():
    assert len(set(clusters.kmeans(np.full((5, 2), 7.0), 2, rng()).tolist())) == 1
