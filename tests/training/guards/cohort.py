"""Made cells of subjects whose style is theirs, not their disease's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from leukotrain.data.importers.agreement import cell_features
from leukotrain.data.manifest import Row, groups_hash


def cell(rng, color, radius, side=48):
    y, x = np.ogrid[:side, :side]
    image = np.full((side, side, 3), 235.0)
    center = side / 2 + rng.uniform(-1, 1, 2)
    image[(y - center[0]) ** 2 + (x - center[1]) ** 2 < radius**2] = color
    return np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)


def save(folder, name, image):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(folder / name)


def colors(folder, rows):
    return np.array([np.asarray(Image.open(folder / r.image)).mean(axis=(0, 1)) for r in rows])


def made(row, name, groups, generator="g"):
    return replace(
        row,
        image=name,
        group="by-g",
        split="train",
        synthetic=True,
        generator=generator,
        generator_groups=groups_hash(groups),
    )


def groups_of(rows, split):
    return sorted({r.group for r in rows if r.split == split and not r.synthetic})


def two_laboratories(seed=0, swapped=False, effect=2.0):
    """Blasts are the larger cells in both; stain and magnification differ, and each subject has a color of its own."""
    rng = np.random.default_rng(seed)
    rows, x = [], []
    for source, stain, scale in (("north", (90, 60, 140), 1.0), ("south", (150, 90, 120), 1.5)):
        for subject in range(20):
            label = ("blast", "lymphocyte")[subject % 2]
            color = np.array(stain) + rng.normal(0, 15, 3)
            for k in range(4):
                radius = (8 + (effect if label == "blast" else 0) + rng.normal(0, 0.7)) * scale
                image = cell(rng, color, radius)
                x.append(cell_features(image, image.mean(axis=2) < 200, float("nan")))
                other = {"blast": "lymphocyte", "lymphocyte": "blast"}[label]
                given = other if swapped and source == "south" else label
                rows.append(Row(f"{source}/{subject}-{k}.png", "", given, f"{source}-{subject}", source, 0.5, "train"))
    return rows, np.array(x)


def scaler(x):
    return np.stack([x.mean(axis=0), x.std(axis=0)])
