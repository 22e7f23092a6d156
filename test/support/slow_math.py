"""The mathematics of losses in NumPy float64, as plain as can be: what tests of losses compare with."""
import numpy as np


def array(tensor):
    return tensor.detach().numpy().astype(np.float64)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def cross_entropy(logits, target):
    """Binary, of each element against a probability."""
    return target * np.logaddexp(0, -logits) + (1 - target) * np.logaddexp(0, logits)


def class_entropy(logits, onehot, positive):
    """Mean binary cross entropy B C Y X whose positives count `positive[c]` times."""
    weight = np.asarray(positive, np.float64)[:, None, None]
    return (weight * onehot * np.logaddexp(0, -logits) + (1 - onehot) * np.logaddexp(0, logits)).mean()


def divergence(target, other):
    """KL(target || other) along the last axis."""
    return (target * (np.log(target) - np.log(other))).sum(-1)


def _blocks(x, size):
    rows, cols = x.shape[-2] // size[0], x.shape[-1] // size[1]
    return x.reshape(*x.shape[:-2], size[0], rows, size[1], cols)


def block_mean(x, size):
    return _blocks(x, size).mean((-3, -1))


def block_max(x, size):
    return _blocks(x, size).max((-3, -1))


def point_wise(x, convolution):
    """A 1x1 convolution B C h w -> B D h w with a torch layer's own weights."""
    weight = array(convolution.weight)[:, :, 0, 0]
    bias = array(convolution.bias) if convolution.bias is not None else np.zeros(len(weight))
    return np.einsum("bchw,dc->bdhw", x, weight) + bias[:, None, None]


def standardised(x, mean, square):
    """Channels of B C h w by a mean and a mean square, deviations floored at a tenth of their own mean square."""
    variance = square - mean**2
    deviation = np.sqrt(np.maximum(variance, 0.01 * variance.mean() + 1e-8))
    return (x - mean[:, None, None]) / deviation[:, None, None]


def moments(x):
    """Mean and mean square of each channel of B C h w."""
    return x.mean((0, 2, 3)), (x**2).mean((0, 2, 3))


def sampled(feature, points_m, grid):
    """C h w at points (N, 2) of x y metres -> N C, bilinear between cell centres, the edge's value beyond."""
    rows, cols = feature.shape[-2:]
    (x0, x1), (y0, y1) = grid.x_range_m, grid.y_range_m
    result = []
    for x, y in points_m:
        c = min(max((x - x0) / (x1 - x0) * cols - 0.5, 0), cols - 1)
        r = min(max((y - y0) / (y1 - y0) * rows - 0.5, 0), rows - 1)
        c0, r0 = int(c), int(r)
        c1, r1 = min(c0 + 1, cols - 1), min(r0 + 1, rows - 1)
        u, v = c - c0, r - r0
        result.append(
            (1 - v) * ((1 - u) * feature[:, r0, c0] + u * feature[:, r0, c1])
            + v * ((1 - u) * feature[:, r1, c0] + u * feature[:, r1, c1])
        )
    return np.array(result)


def embedding_losses(embedding, instance, within=0.5, apart=3.0):
    """Variance and distance of De Brabandere et al. 2017 for B E Y X and B Y X, means over samples."""
    variances, distances = [], []
    for sample, ids in zip(embedding, instance, strict=True):
        groups = [sample[:, ids == number] for number in np.unique(ids) if number > 0]
        means = [g.mean(1) for g in groups]
        pulls = [
            np.mean([max(np.linalg.norm(g[:, p] - m) - within, 0) ** 2 for p in range(g.shape[1])])
            for g, m in zip(groups, means, strict=True)
        ]
        pushes = [
            max(apart - np.linalg.norm(a - b), 0) ** 2
            for i, a in enumerate(means) for j, b in enumerate(means) if i != j
        ]
        variances.append(np.mean(pulls) if pulls else 0.0)
        distances.append(np.mean(pushes) / 2 if pushes else 0.0)
    return np.mean(variances), np.mean(distances)


def direction_loss(logits, direction):
    """B 37 Y X against half of the forward and half of the backward bin B 2 Y X, on line pixels; mean over bins."""
    p, total, count = softmax(logits, 1), 0.0, 0
    for b, r, c in np.ndindex(direction.shape[0], *direction.shape[2:]):
        forward, backward = direction[b, :, r, c]
        if forward > 0:
            target = np.zeros(p.shape[1])
            target[forward] += 0.5
            target[backward] += 0.5
            q = p[b, :, r, c]
            total -= (target * np.log(q) + (1 - target) * np.log(1 - q)).sum()
            count += 1
    return total / (p.shape[1] * count)
