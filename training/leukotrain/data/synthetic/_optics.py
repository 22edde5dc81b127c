"""From dyes to the picture that a camera takes: light, lens and sensor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from leukotrain.data.synthetic._outline import Array

__all__ = ["DYES", "Look", "photograph"]

DYES = np.array([[0.43, 1.0, 0.95], [0.34, 1.0, 0.66], [0.40, 1.0, 0.17], [1.0, 0.72, 0.13]], np.float32)
"""Optical density of red, green and blue for a unit of stained hemoglobin, eosin, azure–eosin and methylene blue.

A Romanowsky stain has two dyes, eosin Y and azure B. Hemoglobin adds its own blue absorption to the eosin in red cells,
and azure B is purple where it forms a complex with eosin on DNA (the Romanowsky effect), blue elsewhere.
"""


@dataclass(frozen=True)
class Look:
    """How a smear is stained, lit and photographed.

    Attributes
    ----------
    white_point : tuple of float
        Red, green and blue of empty glass, 0..255.
    stain : float
        The strength of all stains; 1 is usual.
    eosin, azure : float
        The strength of the red and of the blue and purple stains alone.
    blur : float
        Standard deviation in µm of the point spread; 0.16 is in focus, 1 clearly not.
    noise : float
        Standard deviation of the sensor's noise, gray levels.
    shading : float
        The part of the light lost in the darkest corner of a field.
    fringe : float
        Lateral shift between red and blue, µm.
    """

    white_point: tuple[float, float, float] = (229.0, 225.0, 218.0)
    stain: float = 1.0
    eosin: float = 1.0
    azure: float = 1.0
    blur: float = 0.16
    noise: float = 1.2
    shading: float = 0.04
    fringe: float = 0.04


def photograph(dyes: Array, mpp: float, look: Look, rng: np.random.Generator, top: int = 0) -> NDArray[np.uint8]:
    """Turn dyes into a picture.

    Parameters
    ----------
    dyes : ndarray (h, w, 4), float32
        Optical density (in the channel where each is strongest) of the four rows of `DYES`.
    mpp : float
        µm per pixel.
    look : Look
        Stain, light, lens and sensor.
    rng : numpy.random.Generator
        The sensor's noise.
    top : int
        The first row's place on the smear, so that the light is the same however the smear is cut into strips.

    Returns
    -------
    ndarray (h, w, 3), uint8
    """
    strength = np.array([look.eosin, look.eosin, look.azure, look.azure], np.float32) * np.float32(look.stain)
    light = np.power(np.float32(10), -(dyes @ (DYES * strength[:, None])))
    sigma = look.blur / mpp
    if sigma > 0.2:
        for axis in (0, 1):
            light = gaussian_filter1d(light, sigma, axis=axis, mode="nearest", truncate=3)
    shift = look.fringe / mpp
    if shift > 0.02:
        for channel, way in ((0, 1), (2, -1)):
            part = np.float32(min(shift, 1))
            light[..., channel] = (1 - part) * light[..., channel] + part * np.roll(light[..., channel], way, axis=1)
    height, width = light.shape[:2]
    y, x = (np.arange(top, top + height) * mpp)[:, None], (np.arange(width) * mpp)[None, :]
    # The lamp is brightest in the middle of each field of view of some 700 µm.
    lamp = 1 - look.shading * (0.5 - 0.25 * np.cos(2 * np.pi * (x / 700 - 0.45)) - 0.25 * np.cos(2 * np.pi * y / 620))
    light *= lamp.astype(np.float32)[..., None] * np.asarray(look.white_point, np.float32)
    if look.noise:
        light += rng.standard_normal(light.shape, dtype=np.float32) * np.float32(look.noise)
    return np.clip(light + np.float32(0.5), 0, 255).astype(np.uint8)
