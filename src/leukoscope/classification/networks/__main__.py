"""Print the networks with their sizes and parameters: python -m leukoscope.classification.networks."""

from __future__ import annotations

import sys

from .build import ARCHITECTURES, default_size, sketch


def main() -> None:
    """Write a Markdown table of the networks, for two classes at the size each was published with."""
    lines = ["| name | input, px | trainable parameters | embedding |", "|---|---|---|---|"]
    for name in ARCHITECTURES:
        network = sketch(name, 2)
        count = sum(p.numel() for p in network.parameters() if p.requires_grad)
        lines.append(f"| `{name}` | {default_size(name)} | {count:,} | {network.head_hidden_size} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
