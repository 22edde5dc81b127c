"""Whether a folder lies on a disk of this machine, which decides how SQLite may journal there."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

__all__ = ["filesystem_of", "is_local"]

# WAL keeps its index in shared memory, which two machines on a network share do not share: it is used only where the
# type of file system is known to be local. Anything not named here gets a rollback journal, slower and safe anywhere.
_LOCAL = frozenset(
    {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs", "reiserfs", "bcachefs", "tmpfs", "ramfs", "overlay"}
    | {"apfs", "hfs", "ufs", "ffs", "hammer2", "ntfs", "ntfs3", "refs", "exfat", "vfat", "msdos", "fat", "fat32"}
)


def is_local(folder: str | os.PathLike[str]) -> bool:
    """Return whether a folder is known to lie on a local disk."""
    return filesystem_of(folder) in _LOCAL


def filesystem_of(folder: str | os.PathLike[str]) -> str:
    """Return the type of file system that an existing folder lies on, in lower case; "unknown" if it cannot be told.

    Linux: the longest mount point in ``/proc/self/mountinfo`` that the folder lies under. Windows: ``GetDriveTypeW``
    and ``GetVolumeInformationW``. macOS and other Unix: the output of ``mount``.
    """
    path = Path(folder).resolve()
    try:
        if sys.platform == "win32":
            return _windows(path)
        if sys.platform == "linux":
            return _deepest(path, _linux_mounts(Path("/proc/self/mountinfo").read_text(encoding="utf-8")))
        listing = subprocess.run(["/sbin/mount"], capture_output=True, text=True, timeout=5, check=True)
        return _deepest(path, _bsd_mounts(listing.stdout))
    except (OSError, ValueError, subprocess.SubprocessError):
        return "unknown"


def _linux_mounts(mountinfo: str) -> list[tuple[Path, str]]:
    mounts = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        point = before.split(" ")[4]
        for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
            point = point.replace(code, character)
        mounts.append((Path(point), after.split(" ")[0]))
    return mounts


def _bsd_mounts(listing: str) -> list[tuple[Path, str]]:
    mounts = []
    for line in listing.splitlines():  # "/dev/disk3s1 on /System/Volumes/Data (apfs, local, journaled)"
        _, _, rest = line.partition(" on ")
        point, _, options = rest.rpartition(" (")
        if point:
            mounts.append((Path(point), options.rstrip(")").split(",")[0]))
    return mounts


def _deepest(path: Path, mounts: list[tuple[Path, str]]) -> str:
    kind, depth = "unknown", -1
    for point, name in mounts:
        # The last of equally deep mounts hides the ones before it.
        if len(point.parts) >= depth and (path == point or point in path.parents):
            kind, depth = name.lower(), len(point.parts)
    return kind


def _windows(path: Path) -> str:
    if path.drive.startswith("\\\\"):
        return "unc"
    kernel = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined,unused-ignore]
    root = f"{path.drive}\\"
    drive_fixed, drive_removable, drive_ram = 3, 2, 6
    if kernel.GetDriveTypeW(root) not in (drive_fixed, drive_removable, drive_ram):
        return "remote"
    name = ctypes.create_unicode_buffer(64)
    found = kernel.GetVolumeInformationW(root, None, 0, None, None, None, name, len(name))
    return name.value.lower() if found else "unknown"
