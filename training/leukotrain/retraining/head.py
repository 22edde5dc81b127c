"""The last layer fitted anew, near the one that ships: maximum a posteriori, with the old layer as the prior's mean.

The cells that the old layer was trained on are not at hand where a model is corrected. What they taught is in its
weights, so these are what the new ones are held to: the mean loss of the reviewed cells plus
``strength * ||W - W0||^2`` is least.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from leukoscope.errors import LeukoscopeError, SettingsError

from ..settings import CanceledError

__all__ = ["RELATIVE_STRENGTHS", "Head", "Problem", "loss_of", "one_thread"]

# Times the cells' mean squared length: what a strength does then does not depend on the network. At the strongest,
# many like cells together move their own logit by a twentieth at most. None is weaker than the last: reviewed cells
# that are left out cannot say what is forgotten of others, see docs/retrain.md.
RELATIVE_STRENGTHS: Final = (10.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 3e-4, 1e-4)
STEPS: Final = 300


Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
P = ParamSpec("P")
T = TypeVar("T")


def one_thread(function: Callable[P, T]) -> Callable[P, T]:
    """Let a function multiply matrices on one thread.

    Those here are small. More threads gain little; beside other work they wait for each other, thirty times as long.
    """
    limited: Callable[P, T] = threadpool_limits.wrap(limits=1, user_api="blas")(function)
    return limited


@dataclass(frozen=True, eq=False)
class Head:
    """A linear last layer.

    Attributes
    ----------
    weight : float64 array (classes, d)
    bias : float64 array (classes,)
    """

    weight: Floats
    bias: Floats

    def logits(self, seen: NDArray[np.floating[Any]]) -> Floats:
        """Give the logits, float64 (n, classes), of what the layer sees, (n, d)."""
        return np.asarray(seen, np.float64) @ self.weight.T + self.bias

    def extended(self, more: int) -> Head:
        """Give the layer with further classes, of which it knows nothing: each has the mean of the others' weights."""
        weight = np.concatenate([self.weight, np.repeat(self.weight.mean(0, keepdims=True), more, 0)])
        return Head(weight, np.concatenate([self.bias, np.repeat(self.bias.mean(), more)]))

    def stored(self) -> Head:
        """Give the layer as a bundle stores it, in float16."""
        return Head(self.weight.astype(np.float16).astype(np.float64), self.bias.astype(np.float16).astype(np.float64))


def loss_of(logits: Floats, allowed: Bools, weights: Floats | None = None) -> float:
    """Give the weighted mean of -log of the summed probability of the classes that each cell may be of."""
    weights = np.ones(len(logits)) if weights is None else weights
    return float((_losses(logits, allowed)[0] * weights).sum() / weights.sum())


def _losses(logits: Floats, allowed: Bools) -> tuple[Floats, Floats]:
    """Give each cell's loss, and its gradient by the logits."""
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    p = shifted / shifted.sum(1, keepdims=True)
    kept = np.where(allowed, p, 0.0)
    total = np.maximum(kept.sum(1, keepdims=True), 1e-300)
    return -np.log(total[:, 0]), p - kept / total


class Problem:
    """The fit of a last layer to cells; parts of the cells may be fitted alone, as cross-validation does.

    The best weights differ from the old ones within the span of the cells alone. So all is computed in coordinates of
    that span: with fewer cells than features, that is fewer unknowns.

    Parameters
    ----------
    seen : float array (n, d)
        What the layer sees of each cell.
    allowed : bool array (n, classes)
        The classes that each may be of.
    prior : Head
        The old layer, its outputs those of `allowed`.
    temperature : float
        By which logits are divided.
    weights : float64 array (n,), optional
        What each cell's loss is worth; all the same unless given.
    cancel : callable, optional
        Asked at each step.
    """

    @one_thread
    def __init__(
        self,
        seen: NDArray[np.floating[Any]],
        allowed: Bools,
        prior: Head,
        temperature: float = 1.0,
        weights: Floats | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> None:
        self.allowed = np.asarray(allowed, bool)
        self.prior, self.temperature = prior, temperature
        self.weights = np.ones(len(self.allowed)) if weights is None else np.asarray(weights, np.float64)
        self._cancel = cancel
        plain = np.asarray(seen, np.float64)
        if not len(plain) or plain.shape[0] != len(self.allowed) or not np.isfinite(plain).all():
            raise SettingsError("there are no cells to fit, or not all are numbers", "Embed the reviewed cells again.")
        self.old = prior.logits(plain) / temperature
        whole = np.concatenate([plain, np.ones((len(plain), 1))], 1)  # the bias is a weight like the others
        if whole.shape[0] < whole.shape[1]:
            self._basis, upper = np.linalg.qr(whole.T)
            self._places = np.ascontiguousarray(upper.T)
        else:
            self._basis, self._places = np.eye(whole.shape[1]), whole
        self._length = float((whole**2).sum(1).mean())

    def __len__(self) -> int:
        return len(self.allowed)

    @property
    def strengths(self) -> tuple[float, ...]:
        """The strengths to choose from, the strongest first."""
        return tuple(relative * self._length for relative in RELATIVE_STRENGTHS)

    @one_thread
    def fit(
        self,
        rows: NDArray[Any],
        strength: float,
        start: Floats | None = None,
        told: Callable[[float], None] | None = None,
        precision: float = 1e-5,
    ) -> Floats:
        """Fit some of the cells.

        Parameters
        ----------
        rows : int or bool array
            Which.
        strength : float
            Positive.
        start : float64 array, optional
            What another fit gave: where to start from.
        told : callable, optional
            Takes the loss (that which is made least) after each step.
        precision : float
            Of the loss, relative.

        Returns
        -------
        float64 array (classes, k)
            How the weights change, for `logits` and `head`.

        Raises
        ------
        CanceledError
            `cancel` said so.
        LeukoscopeError
            The loss is no number.
        """
        places, old, allowed = self._places[rows], self.old[rows], self.allowed[rows]
        share = self.weights[rows] / self.weights[rows].sum()
        shape = (self.allowed.shape[1], places.shape[1])
        losses: list[float] = []

        def value(flat: Floats) -> tuple[float, Floats]:
            if self._cancel is not None and self._cancel():
                raise CanceledError("retraining was stopped", "Start it again; the cells' embeddings are kept.")
            change = flat.reshape(shape)
            loss, slope = _losses(old + places @ change.T / self.temperature, allowed)
            gradient = (slope * share[:, None]).T @ places / self.temperature + 2 * strength * change
            losses.append(float((loss * share).sum() + strength * (change**2).sum()))
            return losses[-1], gradient.ravel()

        first = np.zeros(shape) if start is None else start
        # L-BFGS-B: what it remembers of the curvature is worth ten times plain descent, and it needs no Hessian.
        found = minimize(
            value,
            first.ravel(),
            jac=True,
            method="L-BFGS-B",
            callback=None if told is None else lambda _: told(losses[-1]),
            options={"maxiter": STEPS, "ftol": precision, "gtol": 1e-7},
        )
        if not np.isfinite(found.fun):
            raise LeukoscopeError("the loss of the reviewed cells is no number", "Embed the cells again.")
        return np.asarray(found.x, np.float64).reshape(shape)

    def logits(self, change: Floats, rows: NDArray[Any]) -> Floats:
        """Give the logits of some cells, divided by the temperature."""
        return np.asarray(self.old[rows] + self._places[rows] @ change.T / self.temperature, np.float64)

    def head(self, change: Floats) -> Head:
        """Give the new layer."""
        whole = change @ self._basis.T
        return Head(self.prior.weight + whole[:, :-1], self.prior.bias + whole[:, -1])
