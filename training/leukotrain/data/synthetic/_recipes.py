"""What each kind of white cell looks like: sizes in µm, stains in optical density, textures."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = ["BLOOD_MIX", "RECIPES", "Recipe"]

Dyes = tuple[float, float, float]
"""Optical density of eosin, azure–eosin (the purple of chromatin) and methylene blue."""


@dataclass(frozen=True)
class Recipe:
    """How to draw one kind of white cell.

    Attributes
    ----------
    diameter : tuple of float
        Mean, standard deviation, least and greatest, µm.
    nucleus : {"round", "lobes", "arc"}
        The nucleus's build.
    fill : tuple of float
        The nucleus's reach as a part of the cell's radius, least and greatest.
    chromatin, cytoplasm : tuple of float
        Optical density of the three dyes.
    grain : float
        The size of the chromatin's clumps, µm.
    contrast : float
        The relative strength of those clumps.
    granules : tuple of float
        Optical density of the three dyes in the cytoplasm's granules.
    granule : float
        The granules' size, µm.
    cover : float
        The part of the cytoplasm that granules cover.
    wobble, nucleus_wobble : float
        The relative size of the waves in the outlines.
    nucleoli, vacuoles : float
        Their mean number.
    dents : float
        The part of round nuclei that have a dent.
    edge : float
        How much darker the cytoplasm is at the cell's border, relatively.
    mottle : float
        The relative strength of wide, soft patches in the chromatin.
    """

    diameter: tuple[float, float, float, float]
    nucleus: Literal["round", "lobes", "arc"]
    fill: tuple[float, float]
    chromatin: Dyes
    cytoplasm: Dyes
    grain: float
    contrast: float
    granules: Dyes = (0.0, 0.0, 0.0)
    granule: float = 0.35
    cover: float = 0.0
    wobble: float = 0.03
    nucleus_wobble: float = 0.04
    nucleoli: float = 0.0
    vacuoles: float = 0.0
    dents: float = 0.0
    edge: float = 0.3
    mottle: float = 0.05


RECIPES = MappingProxyType(
    {
        "blast": Recipe(
            (13.6, 1.5, 10.5, 18.0), "round", (0.86, 0.96), (0.02, 0.84, 0.06), (0.0, 0.12, 0.13), 0.45, 0.08,
            wobble=0.075, nucleus_wobble=0.06, nucleoli=1.6, vacuoles=0.5, dents=0.45, edge=0.4, mottle=0.10,
        ),
        "lymphocyte": Recipe(
            (9.2, 0.7, 7.6, 11.0), "round", (0.83, 0.93), (0.02, 0.80, 0.16), (0.0, 0.07, 0.12), 0.7, 0.18,
            wobble=0.035, nucleus_wobble=0.035, dents=0.1, edge=0.2,
        ),
        "monocyte": Recipe(
            (15.6, 1.3, 13.0, 19.0), "arc", (0.80, 0.92), (0.02, 0.56, 0.13), (0.01, 0.10, 0.12), 0.6, 0.18,
            granules=(0.02, 0.09, 0.0), granule=0.4, cover=0.35, wobble=0.07, vacuoles=2.5, edge=0.1,
        ),
        "neutrophil_band": Recipe(
            (12.6, 0.8, 10.8, 15.0), "arc", (0.78, 0.88), (0.03, 0.70, 0.17), (0.06, 0.03, 0.04), 0.6, 0.25,
            granules=(0.04, 0.07, 0.0), granule=0.35, cover=0.4, wobble=0.04, edge=0.1,
        ),
        "neutrophil_segmented": Recipe(
            (12.4, 0.8, 10.6, 14.8), "lobes", (0.74, 0.88), (0.03, 0.72, 0.18), (0.06, 0.03, 0.04), 0.6, 0.25,
            granules=(0.04, 0.07, 0.0), granule=0.35, cover=0.4, wobble=0.04, edge=0.1,
        ),
        "eosinophil": Recipe(
            (13.2, 0.8, 11.4, 15.6), "lobes", (0.74, 0.86), (0.03, 0.68, 0.18), (0.17, 0.02, 0.01), 0.6, 0.22,
            granules=(0.18, 0.01, 0.0), granule=0.6, cover=0.7, wobble=0.04, edge=0.1,
        ),
        "basophil": Recipe(
            (12.0, 0.8, 10.2, 14.4), "lobes", (0.80, 0.90), (0.03, 0.46, 0.12), (0.03, 0.06, 0.02), 0.9, 0.15,
            granules=(0.0, 0.58, 0.22), granule=0.75, cover=0.45, edge=0.1,
        ),
        "smudge": Recipe(
            (15.0, 2.0, 11.0, 20.0), "round", (0.98, 0.98), (0.03, 0.48, 0.02), (0.02, 0.10, 0.0), 1.3, 0.4,
            wobble=0.16, edge=0.0,
        ),
    }
)  # fmt: skip
"""Kind of cell (an id of the taxonomy) to its recipe."""

BLOOD_MIX = MappingProxyType(
    {
        "blast": 0.30,
        "lymphocyte": 0.27,
        "neutrophil_segmented": 0.22,
        "neutrophil_band": 0.05,
        "monocyte": 0.07,
        "eosinophil": 0.04,
        "smudge": 0.05,
    }
)
"""The parts of the white cells in blood with acute leukemia, as drawn by default; they sum to 1."""
