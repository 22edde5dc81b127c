"""A model's steps in their order, and where between picture and network each of them stands."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...errors import SettingsError
from .._outline import black_surroundings
from ..crops import CropSpec, check_image, frame, standardize
from .base import Image, Mask, Step
from .stain import StainNormalize

__all__ = ["Chain"]


@dataclass(frozen=True)
class Chain:
    """Steps, applied one after the other.

    Attributes
    ----------
    steps : tuple of Step
        Those on pictures before those on crops; one that makes vectors at the end.

    Raises
    ------
    SettingsError
        Another order, or a step twice.
    """

    steps: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        order = [("image", "crop", "vector").index(step.stage) for step in self.steps]
        names = [step.name for step in self.steps]
        if order != sorted(order):
            raise SettingsError(
                f"the steps {', '.join(names)} are out of order", "Put those on pictures first, vectors last."
            )
        if len(set(names)) != len(names) or order.count(2) > 1:
            raise SettingsError(f"a step stands twice among {', '.join(names)}", "Give each step once.")

    def check(self, size: int) -> None:
        """Refuse a size of crop, in pixels, that a step was not made for."""
        for step in self.steps:
            step.check(size)

    @property
    def looks_at_slide(self) -> bool:
        """Whether a step depends on the slide, so that `for_slide` is worth reading its overview."""
        return any(isinstance(s, StainNormalize) for s in self.steps)

    def for_slide(self, pixels: Image) -> Chain:
        """Give the chain for one slide: stain normalization finds what the slide has, from pixels (..., 3) of it.

        The chain itself where no step depends on the slide.
        """
        if not self.looks_at_slide:
            return self
        return replace(
            self, steps=tuple(s.for_slide(pixels) if isinstance(s, StainNormalize) else s for s in self.steps)
        )

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why steps change nothing, as far as any do not."""
        return tuple(f"{s.name}: {s.reason}" for s in self.steps if isinstance(s, StainNormalize) and s.reason)

    def on_image(self, image: Image) -> Image:
        """Apply the steps on a picture as it came, uint8 (h, w, 3)."""
        for step in self.steps:
            if step.stage == "image":
                image = step(image)
        return image

    def on_picture(self, image: Image, mask: Mask | None) -> tuple[Image, Mask | None]:
        """Apply the steps on a picture with its cell's mask, which is found before colors change where none is given.

        None still, where the cell does not lie on black.
        """
        return self.on_image(image), black_surroundings(image) if mask is None else mask

    def on_crop(self, crop: Image, cover: Mask | None = None) -> Image:
        """Apply the steps on crops as the network sees them, uint8 (h, w, 3) or (n, h, w, 3), with their masks."""
        for step in self.steps:
            if step.stage == "crop":
                crop = step(crop, cover)
        return crop

    def crop(self, image: Image, mask: Mask | None, mpp: float | None, spec: CropSpec) -> Image:
        """Make the crop that a network sees: `standardize` with the steps before and after it."""
        if not self.steps:
            return standardize(image, mask, mpp, spec)
        check_image(image, mask)
        crop, cover = frame(*self.on_picture(image, mask), mpp, spec)
        return self.on_crop(crop, cover if spec.masked else None)
