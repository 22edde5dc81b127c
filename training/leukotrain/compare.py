"""Several networks, or one with and without preprocessing steps, trained and measured alike on one split."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from leukoscope.classification import load_model
from leukoscope.classification.crops import CropSpec
from leukoscope.classification.networks import sketch
from leukoscope.errors import LeukoscopeError

from ._arms import Arm, crops_for, labeled
from ._options import arm_plan
from .data.manifest import Manifest
from .evaluate import evaluate, predict
from .run import train
from .settings import Progress, Settings

__all__ = ["BASELINES", "Result", "compare"]

BASELINES: Final = "the trivial methods"
TIMED: Final = 512  # cells, at most, by which the speed is measured
FORMAT: Final = 1  # raised when a stored result means something else


@dataclass(frozen=True)
class Result:
    """What came of an arm.

    Attributes
    ----------
    name : str
    seed : int or None
        None for the trivial methods, which draw nothing.
    weights : str
        The first ones: "ImageNet", "ImageNet (backbone)" or "random".
    size : int
        Of its crops, in pixels.
    parameters : int
        Those of the network.
    epochs : int
        That were trained.
    seconds : float
        That they took.
    rate : float
        Cells per second at prediction, reading and outlining included.
    metrics : list of dict
        As of `Metric.to_json`.
    error : str
        Why there are no figures; "" where there are.
    """

    name: str
    seed: int | None = None
    weights: str = ""
    size: int = 0
    parameters: int = 0
    epochs: int = 0
    seconds: float = 0.0
    rate: float = 0.0
    metrics: tuple[dict[str, Any], ...] = ()
    error: str = ""


def compare(
    arms: Sequence[Arm],
    manifest: Manifest,
    roots: Sequence[Path],
    work: Path,
    classes: Sequence[str],
    spec: CropSpec,
    settings: Settings,
    keep: bool = False,
    log: Callable[[str], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Iterator[Result]:
    """Train and measure arms one after the other, then the trivial methods; give each when it is done.

    All arms see the same manifest and draw the same cells, for the same number of epochs: none stops early. What is
    done is kept as JSON in `work/compare` and read when the same is asked again; an arm that was killed goes on from
    its checkpoint. An arm that fails gives its reason, is not kept, and does not stop the others.

    Parameters
    ----------
    arms : sequence of Arm
    manifest : Manifest
        Its classes, files and guards checked.
    roots : sequence of Path
        Where its paths are looked for, in this order.
    work : Path
        Crops, checkpoints and results.
    classes : sequence of str
    spec : CropSpec
        Of all arms that can see such crops, see `crops_for`.
    settings : Settings
        Of all arms, apart from architecture, first weights and seed.
    keep : bool
        Keep the bundles, in `work/compare`.
    log : callable, optional
        Takes a line about what is being done.
    progress : callable, optional
        See `fit.fit`.
    """
    say = log or (lambda line: None)
    for arm in arms:
        # Whatever befalls an arm becomes a row of the table: other arms may have hours behind them.
        try:
            one = replace(
                settings,
                architecture=arm.architecture,
                sources=arm.sources,
                seed=arm.seed,
                patience=settings.epochs + 1,  # the same number for all
            )
            crop = crops_for(arm, len(classes), spec)
            cells = labeled(manifest, arm.labels)
            key = _key(cells, classes, crop, one.identity(), arm.steps)
            file = work / "compare" / f"{key}.json"
            if (done := _stored(file)) is not None:
                say(f"{arm.name}, seed {arm.seed}: done before")
                yield done
                continue
            say(f"{arm.name}, seed {arm.seed}")
            done = _measured(arm, cells, roots, work, key, classes, crop, one, keep, log, progress)
            _store(file, done)
        except Exception as error:
            say(f"{arm.name}, seed {arm.seed}: failed")
            done = Result(arm.name, arm.seed, arm.weights, error=_reason(error))
        yield done
    yield _trivial(manifest, roots, work, classes, spec, say)


def _measured(
    arm: Arm,
    manifest: Manifest,
    roots: Sequence[Path],
    work: Path,
    key: str,
    classes: Sequence[str],
    spec: CropSpec,
    settings: Settings,
    keep: bool,
    log: Callable[[str], None] | None,
    progress: Callable[[Progress], None] | None,
) -> Result:
    plan, normalize = arm_plan(arm.steps)
    name, bundle = f"compare-{key}", work / "compare" / key
    try:
        fitted = train(manifest, roots, work, bundle, name, classes, spec, settings, plan, normalize, progress=progress)
        model = load_model(bundle, device=settings.device)
        found = evaluate(model, manifest, roots, work, baselines=False, log=log)
        some = found.rows[:: -(-len(found.rows) // TIMED)]
        started = time.perf_counter()
        predict(model, some, roots)
        rate = len(some) / (time.perf_counter() - started)
    finally:
        if not keep:
            shutil.rmtree(bundle, ignore_errors=True)
    for checkpoints in work.glob(f"{name}-*"):  # five times the weights; only what was killed needs them
        shutil.rmtree(checkpoints, ignore_errors=True)
    network = sketch(settings.architecture, len(classes), spec.size)
    return Result(
        arm.name,
        arm.seed,
        arm.weights,
        spec.size,
        sum(p.numel() for p in network.parameters()),
        len(fitted.history),
        round(sum(epoch["seconds"] for epoch in fitted.history), 1),
        round(rate, 1),
        tuple(m.to_json() for m in found.metrics if m.name != "cells per second"),
    )


def _trivial(
    manifest: Manifest,
    roots: Sequence[Path],
    work: Path,
    classes: Sequence[str],
    spec: CropSpec,
    say: Callable[[str], None],
) -> Result:
    from .baselines import baseline_metrics

    file = work / "compare" / f"{_key(manifest, classes, spec, {}, BASELINES)}.json"
    if (done := _stored(file)) is not None:
        return done
    say(BASELINES)
    try:
        found = baseline_metrics(manifest, roots, spec, classes, work)
        done = Result(BASELINES, size=spec.size, metrics=tuple(m.to_json() for m in found))
        _store(file, done)
    except Exception as error:
        return Result(BASELINES, error=_reason(error))
    return done


def _reason(error: Exception) -> str:
    if isinstance(error, LeukoscopeError):
        return error.cause
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def _key(manifest: Manifest, classes: Sequence[str], spec: CropSpec, settings: dict[str, Any], steps: str) -> str:
    parts = [FORMAT, manifest.sha256, list(classes), spec.to_json(), settings, steps]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _stored(file: Path) -> Result | None:
    """Read a result; None where there is none, or only a damaged one."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        return Result(**{**values, "metrics": tuple(values["metrics"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _store(file: Path, result: Result) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(vars(result), indent=1), encoding="utf-8")
    partial.replace(file)
