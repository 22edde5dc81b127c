"""Keeps triton out of a process that draws with Mesa.

triton's library and Mesa's software and AMD drivers each bring an LLVM. Once Mesa's is loaded, which is as soon as
napari has drawn, importing triton ends the process with a segmentation fault. torch imports triton where it finds it,
through torchvision, and does without it elsewhere: nothing of ours needs it. (Loaded before Mesa, it does no harm.)
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

__all__ = ["guard"]


class _Guard(MetaPathFinder):
    """Refuses triton, and only it, once Mesa's LLVM is in the process."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == "triton" and _mesa_llvm():
            raise ModuleNotFoundError("triton crashes beside Mesa's LLVM; torch works without it", name="triton")
        return None


def guard() -> None:
    """Watch imports from now on; does nothing on systems without Mesa, and when called again."""
    if sys.platform.startswith("linux") and not any(isinstance(finder, _Guard) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Guard())


def _mesa_llvm() -> bool:
    try:
        return "libLLVM" in Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
