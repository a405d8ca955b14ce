"""Whether the disks have room for a backup, and for trying it."""

import shutil
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from cdc.errors import BackupError


def check(needs: Mapping[Path, int]) -> None:
    """Raise BackupError where a disk has less room than these directories together need, in bytes.

    A directory that is not there yet counts as its nearest parent.
    """
    disks: dict[int, tuple[Path, int]] = defaultdict(lambda: (Path(), 0))
    for directory, need in needs.items():
        there = next(each for each in (directory, *directory.parents) if each.exists())
        device = there.stat().st_dev
        disks[device] = (there, disks[device][1] + need)
    for there, need in disks.values():
        free = shutil.disk_usage(there).free
        if free < need:
            raise BackupError(
                f"The disk of {there} has {_mb(free)} MB free; this takes up to {_mb(need)} MB.",
                hint="Make room, or give a --directory on another disk.",
            )


def _mb(size: int) -> str:
    return f"{size / 1_000_000:,.0f}"
