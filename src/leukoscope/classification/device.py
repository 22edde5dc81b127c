"""Which device a network runs on."""

from __future__ import annotations

import torch

from ..errors import SettingsError

__all__ = ["resolve_device"]


def resolve_device(name: str = "auto") -> torch.device:
    """Give the torch device for a setting.

    Parameters
    ----------
    name : str
        "auto" (CUDA, else Apple's MPS, else the CPU), "cpu", "cuda", "cuda:1", "mps".

    Raises
    ------
    SettingsError
        No such device on this computer.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, ok in there.items() if ok))
    kind, _, index = name.partition(":")
    usable = ", ".join(["auto", *(k for k, ok in there.items() if ok)])
    if kind not in there or (index and not index.isdigit()):
        raise SettingsError(f"unknown device {name!r}", f"Choose one of {usable}.")
    if not there[kind] or (kind == "cuda" and int(index or 0) >= torch.cuda.device_count()):
        raise SettingsError(f"there is no {name} device on this computer", f"Choose one of {usable}.")
    return torch.device(name)
