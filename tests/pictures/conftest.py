"""Pictures to look at, made with the real encoder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

if TYPE_CHECKING:
    from pathlib import Path

Coder = Callable[..., bytes]
Opener = Callable[[bytes], int]


@pytest.fixture(scope="session")
def coded() -> Coder:
    """Return a function that encodes a blurred colour noise, 48 pixels wide and 32 high unless told otherwise."""

    def encode(extension: str, *options: int, width: int = 48, height: int = 32) -> bytes:
        noise = np.random.default_rng(7).integers(0, 255, (height, width, 3), dtype=np.uint8)
        done, data = cv2.imencode(extension, cv2.GaussianBlur(noise, (0, 0), 2), options)
        assert done
        return bytes(data)

    return encode


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    """Return a function that writes bytes to a file and opens it for reading."""
    descriptors: list[int] = []

    def write(data: bytes) -> int:
        path = tmp_path / f"picture-{len(descriptors)}"
        path.write_bytes(data)
        descriptors.append(os.open(path, os.O_RDONLY))
        return descriptors[-1]

    yield write
    for descriptor in descriptors:
        os.close(descriptor)
