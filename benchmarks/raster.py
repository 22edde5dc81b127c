"""Draw what `spike-snn` does with a cell of the sample smear: ``python benchmarks/raster.py [--weights DIR]``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from scipy import ndimage

from leukoscope.sample import sample_path
from leukoscope.segmentation.spike import SpikeRaster, SpikeSegmenter, spike_raster
from leukoscope.segmentation.spike.weights import SHIPPED
from leukoscope.slides import open_slide

CELL, WHAT = 2, "touching blasts"  # of sample_smear_truth.csv
AROUND_UM, TILE_UM, SHOWN_UM = 256, 64, 32  # for the white point, for the network, in the picture
IN_SPACE = ("stem", "wide2", "join1")
MAPS = {"nucleus": "#7b3fb5", "cell": "#2f7fb5", "inner part": "#c9551f"}
INK, FAINT = "#222222", "#d9d9d9"
SPIKES = plt.get_cmap("magma").with_extremes(bad="#e4e4e4")


def square(level: Any, x: float, y: float, side: int) -> np.ndarray:
    """Read a square around a point."""
    top, left = round(y - side / 2), round(x - side / 2)
    return np.ascontiguousarray(np.asarray(level[top : top + side, left : left + side]))


def middle(image: np.ndarray, pitch_um: float) -> np.ndarray:
    """Cut the part that is shown out of the tile."""
    n = round(SHOWN_UM / pitch_um)
    top, left = ((size - n) // 2 for size in image.shape[:2])
    return image[top : top + n, left : left + n]


def in_space(axes: Any, image: np.ndarray, title: str = "", **options: Any) -> None:
    """Show an image without ticks, in µm around the middle."""
    half = SHOWN_UM / 2
    axes.imshow(image, extent=(-half, half, half, -half), interpolation="nearest", **options)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(title, fontsize=9.5, color=INK, pad=4)


def draw_raster(axes: Any, raster: SpikeRaster, y: float, x: float) -> None:
    """Show all neurons over a point, one below the other in firing order, and when they fire."""
    at, first, ticks, bands = raster.at(y, x), 0, [], []
    colors = plt.get_cmap("plasma")(np.linspace(0.0, 0.82, len(raster.layers)))
    for index, (name, color) in enumerate(zip(raster.layers, colors, strict=True)):
        neurons = raster.spikes[name].shape[1]
        band = np.full((neurons, raster.steps, 4), 0.955 if index % 2 else 1.0)
        band[at[name][:, 0], at[name][:, 1]] = color
        bands.append(band)
        ticks.append(first + neurons / 2 - 0.5)
        share = f"{100 * len(np.unique(at[name][:, 0])) / neurons:.0f} % fire"
        axes.text(raster.steps - 0.42, ticks[-1], share, fontsize=8, color=color, va="center")
        first += neurons
    axes.imshow(np.vstack(bands), aspect="auto", interpolation="nearest")
    axes.set_ylim(first - 0.5, -0.5)
    axes.set_xlim(-0.5, raster.steps - 0.5)
    axes.set_yticks(ticks, raster.layers, fontsize=9)
    for label, color in zip(axes.get_yticklabels(), colors, strict=True):
        label.set_color(color)
    axes.set_xticks(range(raster.steps), [f"t = {t}" for t in range(raster.steps)], fontsize=9)
    axes.tick_params(length=0)
    for t in range(1, raster.steps):
        axes.axvline(t - 0.5, color="white", lw=9)
    for spine in axes.spines.values():
        spine.set_color(FAINT)
    axes.set_title(f"the {first} neurons over the cross", fontsize=9.5, color=INK, pad=4)


def draw(segmenter: SpikeSegmenter, out: Path) -> None:
    """Draw the picture."""
    slide = open_slide(sample_path())
    cell = pd.read_csv(sample_path().parent / "sample_smear_truth.csv").set_index("cell_id").loc[CELL]
    level, mpp = slide.levels[0], segmenter.mpp
    calibration = segmenter.calibrate(square(level, cell.x, cell.y, round(AROUND_UM / mpp)))
    rgb = square(level, cell.x, cell.y, round(TILE_UM / mpp))
    raster = spike_raster(rgb, mpp, segmenter, calibration)
    maps = segmenter._maps(rgb, calibration)
    y, x = deepest(maps[0])

    plt.rcParams.update({"font.family": "DejaVu Sans", "text.color": INK})
    figure = plt.figure(figsize=(11.6, 8.3), dpi=125, facecolor="white")
    outer = figure.add_gridspec(
        1, 2, width_ratios=(2.55, 1), wspace=0.15, left=0.06, right=0.94, top=0.955, bottom=0.05
    )
    left = outer[0].subgridspec(4, max(4, raster.steps), hspace=0.2, wspace=0.06)

    shown = [figure.add_subplot(left[0, i]) for i in range(4)]
    in_space(shown[0], middle(rgb, mpp), WHAT)
    shown[0].plot((x + 0.5) * mpp - TILE_UM / 2, (y + 0.5) * mpp - TILE_UM / 2, "+", color="white", ms=11, mew=1.8)
    half = SHOWN_UM / 2
    shown[0].plot((half - 6.5, half - 1.5), (half - 1.6, half - 1.6), color=INK, lw=2.5, solid_capstyle="butt")
    shown[0].text(half - 4, half - 2.3, "5 µm", ha="center", va="bottom", fontsize=8)
    for axes, found, (name, color) in zip(shown[1:], maps, MAPS.items(), strict=True):
        white = 1 - middle(found, mpp)[..., None] * (1 - np.array(to_rgb(color)))
        in_space(axes, white, f"map out: {name}")
        for spine in axes.spines.values():
            spine.set_visible(True)
            spine.set_color(FAINT)
    for row, name in enumerate(IN_SPACE, start=1):
        pitch, counts = raster.pitch_um(name), raster.spikes[name].sum(axis=1)
        shut = ~np.kron(raster.gate, np.ones((round(2 / pitch),) * 2, bool))
        seen = [middle(np.ma.masked_where(shut, now), pitch) for now in counts]
        most = max(1, max(int(now.max()) for now in seen))
        for t in range(raster.steps):
            axes = figure.add_subplot(left[row, t])
            title = f"t = {t}: {int(seen[t].sum()):,} spikes"
            in_space(axes, seen[t], title, cmap=SPIKES, vmin=0, vmax=most)
            if not t:
                scale = f"a neuron each {pitch:g} µm\n{raster.spikes[name].shape[1]} maps; yellow: {most} fire"
                axes.set_ylabel(f"$\\bf{{{name}}}$: {scale}", fontsize=8.5, color=INK, labelpad=5)
    note = (
        "Rows 2 to 4: spikes of all maps of a layer, summed at every point. Gray: the gate is shut, nobody fires. "
        "t counts from when the layer before has fallen silent."
    )
    figure.text(0.06, 0.016, note, fontsize=8.5)
    draw_raster(figure.add_subplot(outer[1]), raster, y + 0.5, x + 0.5)
    figure.savefig(out)
    plt.close(figure)


def deepest(nucleus: np.ndarray) -> tuple[int, int]:
    """Find the pixel farthest inside the nucleus that is in the middle."""
    depth = ndimage.distance_transform_edt(nucleus > 0.5)
    y, x = np.indices(depth.shape) - np.array(depth.shape)[:, None, None] / 2
    depth[np.hypot(y, x) * TILE_UM / len(depth) > 6] = 0
    row, column = np.unravel_index(depth.argmax(), depth.shape)
    return int(row), int(column)


def main() -> None:
    """Run the command."""
    here = Path(__file__).resolve().parents[1] / "docs" / "images" / "spike_raster.png"
    parser = argparse.ArgumentParser(description="Draw the spikes of one cell of the sample smear.")
    parser.add_argument("--weights", type=Path, default=SHIPPED, help="folder of spike weights")
    parser.add_argument("--out", type=Path, default=here, help="the picture, PNG")
    chosen = parser.parse_args()
    draw(SpikeSegmenter("snn", "cpu", chosen.weights), chosen.out)
    print(f"{chosen.out}: {chosen.out.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
