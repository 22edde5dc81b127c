"""How often the intervals of a reviewed count hold the truth: ``python benchmarks/prevalence.py``; under a minute."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator

import numpy as np
from scipy.stats import hypergeom

from leukoscope.hematology import Prevalence, clopper_pearson
from leukoscope.hematology._intervals import hypergeometric, square_and_add

CELLS = 3000
BLASTS = (1, 5, 20)  # percent
ERRORS = ((0.0, 0.0), (0.05, 0.005), (0.15, 0.02), (0.4, 0.1))  # blasts missed, other cells called blast
REVIEWED = (50, 200)
Limits = tuple[float, float]


def normal(found: Prevalence) -> Limits:
    """Return PPI++'s own interval, with the finite population correction."""
    n = found.reviewed
    share, power = found.reviewed_called / n, found.power
    blasts = (found.reviewed_called - found.false_blasts + found.missed_blasts) / n
    both = (found.reviewed_called - found.false_blasts) / n
    # Variance of y - power * f, both 0 or 1, in the sample.
    variance = blasts * (1 - blasts) - 2 * power * (both - blasts * share) + power**2 * share * (1 - share)
    reach = 196 * np.sqrt(max(variance, 0) / (n - 1) * (1 - n / found.cells))
    return max(found.percent - reach, 0), min(found.percent + reach, 100)


def plain(found: Prevalence) -> Limits:
    """Return what square-and-add of the exact limits gives when it is used everywhere, widened to whole cells."""
    others, others_seen = found.cells - found.called, found.reviewed - found.reviewed_called
    parts = []
    for blasts, seen, cells in (
        (found.reviewed_called - found.false_blasts, found.reviewed_called, found.called),
        (found.missed_blasts, others_seen, others),
    ):
        low, high = hypergeometric(blasts, seen, cells, 0.95)
        parts.append((low, cells * blasts / seen if seen else cells, high))
    low, high = square_and_add(found.blasts, *parts)
    return 100 * np.floor(low + 1e-6) / found.cells, 100 * np.ceil(high - 1e-6) / found.cells


def reviews(rng: np.random.Generator, percent: float, errors: Limits, n: int, runs: int) -> Iterator[tuple]:
    """Draw patients' slides, what a model makes of them, and a review of each."""
    for _ in range(runs):
        blasts = rng.binomial(CELLS, percent / 100)
        missed, false = rng.binomial(blasts, errors[0]), rng.binomial(CELLS - blasts, errors[1])
        seen = rng.multivariate_hypergeometric([blasts - missed, missed, false, CELLS - blasts - false], n)
        found = Prevalence(CELLS, blasts - missed + false, n, int(seen[0] + seen[2]), int(seen[2]), int(seen[1]))
        yield 100 * blasts / CELLS, int(seen[0] + seen[1]), found


def simulate(runs: int, seed: int) -> None:
    """Print the table of coverage and width."""
    rng = np.random.default_rng(seed)
    print(
        "| blasts | model misses / calls falsely | reviewed | model's count | sample alone | PPI++, normal "
        "| **corrected** | corrected, of the patient |"
    )
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    for percent, errors, n in itertools.product(BLASTS, ERRORS, REVIEWED):
        kinds = np.zeros((5, 2))
        for truth, counted, found in reviews(rng, percent, errors, n, runs):
            intervals = (
                (truth, clopper_pearson(found.called, CELLS)),
                (truth, clopper_pearson(counted, n)),
                (truth, normal(found)),
                (truth, found.interval()),
                (percent, found.patient_interval()),
            )
            kinds += [(low - 1e-9 <= true <= high + 1e-9, high - low) for true, (low, high) in intervals]
        shown = " | ".join(f"{100 * held / runs:.0f} %, {width / runs:.1f}" for held, width in kinds)
        print(f"| {percent} % | {100 * errors[0]:g} % / {100 * errors[1]:g} % | {n} | {shown} |", flush=True)


def enumerate_all() -> None:
    """Print the lowest coverage there is, over every outcome of the review and a grid of errors."""
    print("| part reviewed | designs | lowest coverage, **corrected** | square-and-add everywhere | PPI++, normal |")
    print("|---:|---:|---:|---:|---:|")
    for part in (0.02, 0.1, 0.4, 0.8):
        lowest, designs = np.ones(3), 0
        for seen, others_seen in itertools.product((0, 1, 3, 8, 25), (5, 20, 60)):
            called, others = max(round(seen / part), 2), round(others_seen / part)
            outcomes = np.array(list(itertools.product(range(seen + 1), range(others_seen + 1))))
            size = called + others
            limits = np.empty((3, len(outcomes), 2))
            for i, (false, missed) in enumerate(outcomes.tolist()):
                found = Prevalence(size, called, seen + others_seen, seen, false, missed)
                limits[:, i] = normal(found), plain(found), found.interval()
            limits *= size / 100
            for false, missed in itertools.product(grid(called), grid(others)):
                chance = hypergeom.pmf(outcomes[:, 0], called, false, seen)
                chance = chance * hypergeom.pmf(outcomes[:, 1], others, missed, others_seen)
                truth = called - false + missed
                held = (limits[..., 0] <= truth + 1e-6) & (truth - 1e-6 <= limits[..., 1])
                lowest = np.minimum(lowest, held @ chance)
            designs += 1
        print(
            f"| {100 * part:g} % | {designs} | " + " | ".join(f"{100 * c:.1f} %" for c in lowest[::-1]) + " |",
            flush=True,
        )


def grid(cells: int) -> list[int]:
    """Return numbers of errors from none to all, dense at both ends."""
    few = {0, 1, 2, 3, 5, 8, cells // 50, cells // 20, cells // 10, cells // 4, cells // 2}
    return sorted({at for error in few if error <= cells for at in (error, cells - error)})


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Coverage and width of the intervals of a reviewed count.")
    parser.add_argument("--runs", type=int, default=1000, help="reviews per row")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    print(
        f"{CELLS} cells a slide; of {chosen.runs} reviews a row: intervals that hold the truth, mean width in points\n"
    )
    simulate(chosen.runs, chosen.seed)
    print("\nEvery outcome of a review, weighted by its probability; the worst number of errors there is:\n")
    enumerate_all()


if __name__ == "__main__":
    main()
