"""One door for every format."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from leukoscope.errors import SlideError
from leukoscope.slides._folder import field_files, open_folder
from leukoscope.slides._image import open_image
from leukoscope.slides._openslide import OPENSLIDE_SUFFIXES, open_openslide
from leukoscope.slides._pixels import Source
from leukoscope.slides._tiff import open_tiff
from leukoscope.slides.slide import Slide

__all__ = ["open_slide"]

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG", b"BM")
_PIECE = 65536  # bytes of a file that are hashed in one go,
_PIECES = 16  # and how many there are between the first and the last
_SLIDE_SUFFIXES = (".svs", ".ndpi", ".scn", ".tif", ".tiff", ".qptiff", ".btf")
_ZARR_FILES = ("zarr.json", ".zattrs", ".zgroup", ".zarray")
_ENDINGS = r"\.(ome\.)?(tiff?|zarr|btf)$|\.[A-Za-z][A-Za-z0-9]{1,6}$"


def open_slide(path: str | os.PathLike[str], mpp: float | None = None) -> Slide:
    """Open a slide, a field, or a folder of fields; nothing but headers is read.

    Parameters
    ----------
    path : path-like or str
        SVS, NDPI, SCN, TIFF, OME-TIFF, JPG, PNG, BMP; what OpenSlide reads; an OME-Zarr folder or its address
        (``https://…``, ``s3://…``); or a folder of picture files, which becomes one slide of many fields.
    mpp : float, optional
        µm per level-0 pixel, in place of what the file says.

    Returns
    -------
    Slide

    Raises
    ------
    SlideError
        If the file is missing, empty, truncated, damaged or no image that can be shown as RGB.
    """
    address = os.fspath(path)
    if isinstance(address, bytes):
        address = os.fsdecode(address)
    if address.startswith("file://"):
        address = address.removeprefix("file://")
    remote = "://" in address
    if not remote:
        address = os.path.abspath(os.path.expanduser(address))
    try:
        source = _open_zarr(address) if remote else _open_local(address)
        try:
            return Slide(source, address, _name(address), *_fingerprints(address, source), mpp)
        except BaseException:
            source.close()
            raise
    except OSError as error:
        raise SlideError(
            f"cannot be read ({error.strerror or error})", "Check the path and your permissions.", address
        ) from error


def _open_local(path: str) -> Source:
    if not os.path.exists(path):
        raise SlideError("no such file or folder", "Check the path.", path)
    if os.path.isdir(path):
        if path.lower().endswith(".zarr") or any(os.path.exists(os.path.join(path, n)) for n in _ZARR_FILES):
            return _open_zarr(path)
        if os.path.exists(os.path.join(path, "Slidedat.ini")):
            raise SlideError("the companion folder of a MIRAX slide", "Give the .mrxs file beside it.", path)
        return open_folder(path, _open_field)
    return _open_file(path)


def _open_zarr(address: str) -> Source:
    from leukoscope.slides._omezarr import open_omezarr  # zarr takes a while to import; most slides need none

    return open_omezarr(address)


def _open_file(path: str) -> Source:
    if not os.path.isfile(path):
        raise SlideError("neither a file nor a folder", "Give a slide's file.", path)
    with open(path, "rb") as file:
        head = file.read(16)
    suffix = os.path.splitext(path)[1].lower()
    if not head:
        raise SlideError("an empty file", "Copy or export the slide again.", path)
    if suffix in OPENSLIDE_SUFFIXES:
        return open_openslide(path)
    if head.startswith(_TIFF):
        return open_tiff(path)
    if head.startswith(_PICTURES):
        return open_image(path)
    if suffix in _SLIDE_SUFFIXES:
        raise SlideError(
            f"not a {suffix.lstrip('.').upper()} file, whatever its name says", "Copy or export the slide again.", path
        )
    try:
        return open_openslide(path)
    except SlideError:
        return open_image(path)  # the last to try says what can be read


def _open_field(path: str) -> Source:
    """Open a picture of a folder: its header only, for there may be hundreds."""
    with open(path, "rb") as file:
        head = file.read(16)
    if not head:
        raise SlideError("an empty file", "Copy it again, or remove it from the folder.", path)
    return open_tiff(path) if head.startswith(_TIFF) else open_image(path, verify=False)


def _name(address: str) -> str:
    """Make a stem for file names, without the format's endings and what file systems refuse."""
    last = re.split(r"[/\\]", address.rstrip("/\\"))[-1]
    stem = last if os.path.isdir(address) and not last.lower().endswith(".zarr") else re.sub(_ENDINGS, "", last)
    return re.sub(r'[<>:"|?*\x00-\x1f]', "_", stem).strip(" .") or "slide"


def _fingerprints(address: str, source: Source) -> tuple[str, str]:
    """Hash sizes and pieces of the files, not every byte; and as version 0.1.0 did it, with the name of a single file.

    A file that is renamed or copied is the same slide, and what trained a model is known again by it.
    """
    digest, former = hashlib.sha256(), hashlib.sha256()
    if "://" in address or os.path.isdir(address):
        if source.fields:
            files: Iterable[str] = field_files(address)
        else:  # a Zarr folder of any number of chunks: its small image stands for it
            coarse = source.levels[-1]
            for one in (digest, former):
                one.update(repr([level.shape for level in source.levels]).encode())
                one.update(coarse.region(0, 2048, 0, 2048).tobytes())
            files = ()
    else:
        companion = Path(address).with_suffix("")
        files = [address, *(sorted(map(str, companion.glob("*.ini"))) if companion.is_dir() else ())]
    for name in files:
        size = os.path.getsize(name)
        file_name = os.fsencode(os.path.basename(name))
        former.update(file_name + str(size).encode())
        if name != address:  # of several files, which is which belongs to the slide
            digest.update(file_name)
        digest.update(str(size).encode())
        last = max(size - _PIECE, 0)
        with open(name, "rb") as file:
            # Heads and tails of two uncompressed pictures may be alike: background. What lies between tells them apart.
            for at in sorted({last * i // _PIECES for i in range(_PIECES + 1)}):
                file.seek(at)
                piece = file.read(_PIECE)
                digest.update(piece)
                if at in (0, last):
                    former.update(piece)
            if not last:
                former.update(piece)
    return digest.hexdigest()[:32], former.hexdigest()[:32]
