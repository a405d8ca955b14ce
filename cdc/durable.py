"""Files and names that are on the disk when the call returns."""

import os
from pathlib import Path


def write(path: Path, data: bytes) -> None:
    """Put a file there in one piece: until it has its name, there is none, or the one before."""
    new = path.with_name(f"{path.name}.new")
    with new.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    rename(new, path)


def rename(old: Path, new: Path) -> None:
    """Give what is at `old` the name `new`, in the same directory."""
    old.rename(new)
    sync(new.parent)


def sync(path: Path) -> None:
    """Bring a file's bytes, or a directory's names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
