"""k-means: which gradients of a convnet belong together (the convnet figure sorts its covariance by cluster)."""

import numpy as np

from .. import arguments


def kmeans(points: np.ndarray, k: int, rng: np.random.Generator, rounds: int = 100) -> np.ndarray:
    """The cluster 0..k-1 of each of the points (n, d), by Lloyd's algorithm from k random points: (n,).

    Each round assigns a point to the nearest centre and moves each centre to the mean of its points, until
    nothing changes. A centre without points stays where it is.

    >>> a, b, c, d = kmeans(np.array([[0.0], [9.0], [1.0], [8.0]]), 2, np.random.default_rng(0))
    >>> bool(a == c and b == d and a != b)
    True
    """
    points, k = arguments.array("points", points, ndim=2).astype(np.float64), arguments.integer("k", k)
    if k > len(points):
        raise ValueError(f"k must be at most the number of points, {len(points)}, got {k}")
    points = points / (np.abs(points).max() or 1.0)  # squares of huge numbers would overflow ...
    points = points - points.mean(axis=0)            # ... and a common offset would drown the distances
    centres = points[arguments.generator("rng", rng).choice(len(points), size=k, replace=False)]
    cluster = np.full(len(points), -1)
    for _ in range(arguments.integer("rounds", rounds)):
        squares = (centres**2).sum(axis=1) - 2 * points @ centres.T  # up to |point|^2, the same for all centres
        before, cluster = cluster, squares.argmin(axis=1)
        if np.array_equal(before, cluster):
            break
        for c in set(cluster.tolist()):
            centres[c] = points[cluster == c].mean(axis=0)
    return cluster
