"""Render the bundled sample: a synthetic blood smear as a small pyramidal OME-TIFF, and its truth as CSV.

python sample_data/make_sample.py [--out FOLDER]     (about 15 s and 1 GB; `make sample` does the same)
"""

from __future__ import annotations

import argparse
from pathlib import Path

from leukotrain.data.synthetic import Look, render_smear, write_ome_tiff

HERE = Path(__file__).parent
HEIGHT, WIDTH, MPP = 5000, 6000, 0.25
SEED = 20
WHITE_CELLS = 210
# Acute leukemia: 63 blasts among 200 leukocytes (31.5 %), and 10 smudge cells that no differential counts.
MIX = {
    "blast": 63,
    "lymphocyte": 54,
    "neutrophil_segmented": 52,
    "neutrophil_band": 10,
    "monocyte": 13,
    "eosinophil": 7,
    "basophil": 1,
    "smudge": 10,
}
QUALITY = 80


def main() -> None:
    """Write `sample_smear.ome.tif` and `sample_smear_truth.csv`."""
    parser = argparse.ArgumentParser(description="Render the bundled synthetic smear and its truth.")
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write into (default: beside this script)")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    # Little noise: it would cost more bytes than everything else in the picture.
    smear = render_smear(
        HEIGHT, WIDTH, MPP, SEED, MIX, white_cells=WHITE_CELLS, density=0.46, clumping=0.5, look=Look(noise=0.7)
    )
    picture = write_ome_tiff(out / "sample_smear.ome.tif", smear.rgb, MPP, 4, "jpeg", QUALITY)
    truth = out / "sample_smear_truth.csv"
    smear.table.round(2).to_csv(truth, index=False, lineterminator="\n")
    for path in (picture, truth):
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
