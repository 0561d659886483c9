"""The losses once more, as their formulas are written: loops over labels and pairs, NumPy only."""

import numpy as np


class Labels:
    """A batch and a prediction as nested floats."""

    def __init__(self, batch, prediction):
        self.y, self.v, self.noise, self.sd = (
            part.double().numpy()
            for part in (batch.activity, batch.variance, batch.noise, batch.sd)
        )
        self.mu, self.s, self.z = (
            part.detach().double().numpy()
            for part in (prediction.mu, prediction.log_var, prediction.embedding)
        )
        self.n, self.assays = self.y.shape
        self.replicated, self.progress = batch.replicated.numpy(), batch.progress.item()

    def measured(self, assay):
        return [i for i in range(self.n) if not np.isnan(self.y[i, assay])]

    def cells(self):
        return [(i, a) for a in range(self.assays) for i in self.measured(a)]


def mse(d):
    return np.mean([(d.mu[c] - d.y[c]) ** 2 for c in d.cells()])


def nll(d):
    return np.mean([0.5 * (d.s[c] + (d.y[c] - d.mu[c]) ** 2 * np.exp(-d.s[c])) for c in d.cells()])


def residual(d):
    return np.mean(
        [
            0.5 * (d.s[c] + (d.y[c] - d.mu[c]) ** 2 * np.exp(-d.s[c]))
            for c in d.cells()
            if not d.replicated[c[1]]
        ]
    )


def variance(d, space):
    errors = []
    for c in d.cells():
        if not np.isnan(d.v[c]):
            errors.append(
                (d.s[c] - np.log(d.v[c])) ** 2 if space == "log" else (np.exp(d.s[c]) - d.v[c]) ** 2
            )
    return np.mean(errors)


def cross_entropy(logit, target):
    p = 1 / (1 + np.exp(-logit))
    return -(target * np.log(p) + (1 - target) * np.log(1 - p))


def rank(d, noise_k=1.0, scale="relative", floor=0.01, *, flat=False):
    """As published, over ordered pairs of one assay; assays weighted by their labels."""
    total = labels = 0.0
    for a in range(d.assays):
        rows = d.measured(a)
        if scale == "relative":
            noise = {i: 1.0 if np.isnan(d.noise[i, a]) else d.noise[i, a] for i in rows}
        else:
            typical = [d.v[i, a] / d.noise[i, a] for i in rows if not np.isnan(d.v[i, a])]
            typical = typical[0] if typical else 0.0
            noise = {
                i: (typical if np.isnan(d.v[i, a]) else d.v[i, a]) * d.sd[a] ** 2 for i in rows
            }
        weights, losses = [], []
        for i in rows:
            for j in rows:
                if d.y[i, a] != d.y[j, a]:
                    gate = 1 / (1 + np.exp(noise_k * (noise[i] + noise[j])))
                    weights.append(1.0 if flat else max(floor, gate))
                    target = float(d.y[i, a] > d.y[j, a])
                    losses.append(cross_entropy(d.mu[i, a] - d.mu[j, a], target))
        if weights:
            weights = np.array(weights) / np.mean(weights)
            total += len(rows) * np.mean(weights * losses)
            labels += len(rows)
    return total / labels


def gated_mse(d):
    total = 0.0
    for a in range(d.assays):
        rows = d.measured(a)
        trust = np.array([1 / (1 + (1 if np.isnan(n) else n)) for n in d.noise[rows, a]])
        total += np.sum(trust / trust.mean() * (d.mu[rows, a] - d.y[rows, a]) ** 2)
    return total / len(d.cells())


def _difference(d, i, j):
    shared = ~np.isnan(d.y[i]) & ~np.isnan(d.y[j])
    return np.sqrt(np.mean((d.y[i] - d.y[j])[shared] ** 2)) if shared.any() else np.nan


def neighbours(d, activity_quantile, noise_quantile):
    """For each usable anchor (anchor, positives, negatives)."""
    differences = {(i, j): _difference(d, i, j) for i in range(d.n) for j in range(d.n) if i != j}
    nonzero = [value for (i, j), value in differences.items() if i < j and value > 0]
    limit = np.quantile(nonzero, activity_quantile, method="inverted_cdf")
    noise = [np.nanmean(row) if (~np.isnan(row)).any() else 1.0 for row in d.noise]
    quiet = noise < np.quantile(noise, noise_quantile)
    found = []
    for i in range(d.n):
        similar = [j for j in range(d.n) if j != i and differences[i, j] < limit]
        positives = [j for j in similar if quiet[i] and quiet[j]]
        negatives = [j for j in similar if quiet[i] and not quiet[j]]
        if positives and negatives:
            found.append((i, positives, negatives))
    return found


def contrast(d, temperature, anchors):
    z = d.z / np.linalg.norm(d.z, axis=1, keepdims=True)
    terms = []
    for i, positives, negatives in anchors:
        away = sum(np.exp(z[i] @ z[q] / temperature) for q in negatives)
        for p in positives:
            near = np.exp(z[i] @ z[p] / temperature)
            terms.append(-np.log(near / (near + away)))
    return np.mean(terms)


def triplet(d, margin, anchors):
    z = d.z / np.linalg.norm(d.z, axis=1, keepdims=True)
    terms = []
    for i, positives, negatives in anchors:
        farthest = max(np.linalg.norm(z[i] - z[p]) for p in positives)
        nearest = min(np.linalg.norm(z[i] - z[q]) for q in negatives)
        terms.append(max(0.0, farthest - nearest + margin))
    return np.mean(terms)


def pairs(d):
    terms = []
    for i in range(0, d.n, 2):
        for a in range(d.assays):
            y = d.y[[i, i + 1], a]
            if not np.isnan(y).any() and y[0] != y[1]:
                logit = d.mu[i, a] - d.mu[i + 1, a]
                terms.append(cross_entropy(logit, float(y[0] > y[1])))
    return np.mean(terms)
