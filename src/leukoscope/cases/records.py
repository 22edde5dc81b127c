"""The plain values that go into a case and come out of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from ..hematology import load_profile, profile_names
from ._event import Carried, Event

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

__all__ = [
    "Carried",
    "CellRow",
    "Event",
    "FieldInfo",
    "Run",
    "RunSettings",
    "RunStatus",
    "SlideInfo",
    "SlideLike",
    "with_profile",
]


class RunStatus(StrEnum):
    """How far a run came."""

    RUNNING = "running"
    COMPLETED = "completed"
    CANCELED = "canceled"
    ERRORED = "errored"
    INTERRUPTED = "interrupted"  # its process died, or another run took its place


class SlideLike(Protocol):
    """What `SlideInfo.from_slide` reads of a slide."""

    @property
    def levels(self) -> Any: ...  # noqa: D102

    @property
    def downsamples(self) -> Any: ...  # noqa: D102

    @property
    def mpp(self) -> Any: ...  # noqa: D102

    @property
    def mpp_source(self) -> Any: ...  # noqa: D102

    @property
    def name(self) -> Any: ...  # noqa: D102

    @property
    def address(self) -> Any: ...  # noqa: D102

    @property
    def fields(self) -> Any: ...  # noqa: D102

    @property
    def fingerprint(self) -> Any: ...  # noqa: D102


@dataclass(frozen=True)
class FieldInfo:
    """One field of a study, placed in the mosaic; level-0 pixels."""

    name: str
    y: int
    x: int
    height: int
    width: int


@dataclass(frozen=True)
class SlideInfo:
    """What a case remembers of its slide, so that it can be read without it.

    Parameters
    ----------
    name : str
        A stem for file names.
    address : str
        What `open_slide` takes.
    fingerprint : str
        Changes when the slide's file changes.
    shapes : tuple of (int, int)
        (height, width) of each level, in that level's pixels, level 0 first.
    downsamples : tuple of float
        Level-0 pixels per pixel of each level.
    mpp : float or None
        µm per level-0 pixel.
    mpp_source : str
        Where that figure comes from.
    fields : tuple of FieldInfo
        The fields of a study; empty or one for a slide.
    """

    name: str
    address: str
    fingerprint: str
    shapes: tuple[tuple[int, int], ...]
    downsamples: tuple[float, ...] = (1.0,)
    mpp: float | None = None
    mpp_source: str = "unknown"
    fields: tuple[FieldInfo, ...] = ()

    @classmethod
    def from_slide(cls, slide: SlideLike) -> SlideInfo:
        """Return what is to be remembered of an open slide."""
        return cls(
            name=str(slide.name),
            address=str(slide.address),
            fingerprint=str(slide.fingerprint),
            shapes=tuple((int(level.shape[0]), int(level.shape[1])) for level in slide.levels),
            downsamples=tuple(float(d) for d in slide.downsamples),
            mpp=None if slide.mpp is None else float(slide.mpp),
            mpp_source=str(slide.mpp_source),
            fields=tuple(FieldInfo(str(f.name), int(f.y), int(f.x), int(f.height), int(f.width)) for f in slide.fields),
        )

    def to_json(self) -> str:
        """Return the record as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> SlideInfo:
        """Return the record that `to_json` wrote."""
        value = json.loads(text)
        value["shapes"] = tuple((h, w) for h, w in value["shapes"])
        value["downsamples"] = tuple(value["downsamples"])
        value["fields"] = tuple(FieldInfo(**f) for f in value["fields"])
        return cls(**value)


@dataclass(frozen=True)
class RunSettings:
    """What an analysis was asked to do.

    Parameters
    ----------
    segmenter, model : str
        Their names.
    segmenter_fingerprint, model_fingerprint : str
        What tells two versions of the same name apart.
    classes : tuple of str
        The model's classes, in its order; taken from the first cell where empty.
    mpp : float or None
        µm per level-0 pixel that the analysis used; None: the slide's own, if that is known.
    mpp_source : str
        Where that figure comes from.
    profile : str
        The profile under which the case is counted unless another is asked for. It changes no cell.
    options : mapping
        Whatever else decides what is found (size of blocks, calibration, threshold): JSON values.
    notes : mapping
        What is worth recording but decides nothing (device, workers, versions): JSON values. "profile": what a profile
        of the laboratory's own said then.
    """

    segmenter: str
    model: str
    segmenter_fingerprint: str = ""
    model_fingerprint: str = ""
    classes: tuple[str, ...] = ()
    mpp: float | None = None
    mpp_source: str = "unknown"
    profile: str = "blood"
    options: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    def finds_the_same(self, other: RunSettings) -> bool:
        """Return whether a run with the other settings finds the same cells, so that one may continue the other."""

        def key(settings: RunSettings) -> str:
            plain = replace(settings, profile="", notes={}, mpp_source="", classes=())
            return json.dumps(asdict(plain), sort_keys=True)

        return key(self) == key(other)

    def to_json(self) -> str:
        """Return the settings as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> RunSettings:
        """Return the settings that `to_json` wrote."""
        value = json.loads(text)
        value["classes"] = tuple(value["classes"])
        return cls(**value)


def with_profile(settings: RunSettings) -> RunSettings:
    """Return settings with a note of what their profile says, where it does not ship: its file may change or go.

    Raises
    ------
    SettingsError
        If there is no such profile.
    """
    if settings.profile in profile_names():
        return settings
    return replace(settings, notes={**settings.notes, "profile": asdict(load_profile(settings.profile))})


@dataclass(frozen=True)
class CellRow:
    """One cell as a block of the analysis hands it in.

    Parameters
    ----------
    cell, nucleus : shapely geometry
        Outlines (polygons) in level-0 pixels; `nucleus` may be None or empty.
    x, y : float
        The cell's centroid, level-0 pixels.
    area_um2, nucleus_area_um2 : float or None
        In µm²; None where the resolution is not known.
    score : float
        The segmenter's confidence.
    probabilities : mapping of str to float
        By class.
    label : str
        The model's label; "unidentified" below its threshold.
    """

    cell: BaseGeometry
    nucleus: BaseGeometry | None
    x: float
    y: float
    area_um2: float | None
    nucleus_area_um2: float | None
    score: float
    probabilities: Mapping[str, float]
    label: str


@dataclass(frozen=True)
class Run:
    """One analysis of the slide, as it stood when it was asked for.

    Parameters
    ----------
    id : int
        1, 2, 3… within the case.
    settings : RunSettings
        What it was asked to do.
    blocks, done : int
        Blocks in all, and blocks committed; the next to be added is number `done`, counted from 0.
    status : RunStatus
        How far it came.
    detail : str
        What went wrong, where something did.
    """

    id: int
    settings: RunSettings
    blocks: int
    done: int
    status: RunStatus
    detail: str = ""

    @property
    def complete(self) -> bool:
        """Whether every block is in and the run was finished."""
        return self.status is RunStatus.COMPLETED
