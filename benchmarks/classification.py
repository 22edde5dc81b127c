"""Print what the shipped classifier is worth on the held-out groups: python benchmarks/classification.py [--json]."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from leukoscope.classification import load_model
from leukoscope.errors import LeukoscopeError
from leukotrain._sibling import parted
from leukotrain.card import table
from leukotrain.cli import DATA, WORK
from leukotrain.evaluate import evaluate
from leukotrain.prepare import prepare


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="blood", help="a shipped name or a bundle's folder")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("LEUKOSCOPE_DATA", DATA)))
    parser.add_argument("--work", type=Path, default=Path(os.environ.get("LEUKOSCOPE_WORK", WORK)))
    parser.add_argument("--baselines", action="store_true", help="the trivial methods, too (minutes)")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    try:
        model = load_model(args.model)
        cells, seen = parted(prepare(args.data, args.work), model)
        if seen is not None:
            print(f"left out, as it was trained on: {', '.join(sorted({r.source for r in seen}))}", file=sys.stderr)
        metrics = evaluate(model, cells, (args.work, args.data), args.work, args.data, args.baselines).metrics
    except LeukoscopeError as error:
        print(error, file=sys.stderr)
        return 2
    values = [m.to_json() for m in metrics]
    print(json.dumps(values, indent=1) if args.json else table(values))
    return 0


if __name__ == "__main__":
    sys.exit(main())
