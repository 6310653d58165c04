"""Rendered videos of which it is known what is news in them: ten frames a second, with a sensor's noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Pixels: TypeAlias = Any

WIDTH, HEIGHT = 480, 270
FRAMES = 300
NOISE = 4.0


@dataclass(frozen=True)
class Film:
    """A rendered video; `events` are stretches of frames, of each of which one at least has to be kept.

    `most` is how many may be kept in all without there being too many.
    """

    name: str
    events: tuple[range, ...]
    most: int
    draw: Callable[[int], Pixels]

    def frames(self) -> Iterator[Pixels]:
        """Yield the frames, grey, in 8 bits."""
        for number in range(FRAMES):
            yield np.clip(self.draw(number) + GRAIN[number % len(GRAIN)], 0, 255).astype(np.uint8)


def landscape(seed: int, width: int = WIDTH) -> Pixels:
    """Return a grey scene with structures of all sizes."""
    chance = np.random.default_rng(seed)
    scene = np.zeros((HEIGHT, width), np.float32)
    for size in (6, 16, 48, 120):
        coarse = chance.normal(0, size**0.4, (HEIGHT // size + 2, width // size + 2)).astype(np.float32)
        scene += cv2.resize(coarse, (width, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return (scene - scene.mean()) / scene.std() * 40 + 110


# Drawn once: to draw noise for each frame would take most of the time.
GRAIN = np.random.default_rng(0).normal(0, NOISE, (7, HEIGHT, WIDTH)).astype(np.float32)
YARD, STREET, HALL = landscape(1), landscape(2), landscape(3)
PANORAMA = landscape(4, WIDTH * 3)
ROWS = np.arange(HEIGHT)[:, None]
CROSSING = (range(60, 120), range(180, 240))


def _still(_: int) -> Pixels:
    return YARD


def _flicker(number: int) -> Pixels:
    return YARD * (1 + 0.25 * np.sin(number * 2.1))


def _bands(number: int) -> Pixels:
    return YARD * (1 + 0.15 * np.sin(ROWS / 18 + number * 0.7))


def _dusk(number: int) -> Pixels:
    return YARD * (1 - 0.6 * number / FRAMES)


def _shaking(number: int) -> Pixels:
    return np.roll(YARD, (number % 3 - 1, number % 2), (0, 1))


def _cuts(number: int) -> Pixels:
    return (YARD, STREET, HALL)[number // 100]


def _patrol(number: int) -> Pixels:
    return (YARD, STREET, HALL)[number // 20 % 3]


def _pan(number: int) -> Pixels:
    left = number * 3
    return PANORAMA[:, left : left + WIDTH]


def _visitor(number: int, size: int) -> Pixels:
    scene = YARD.copy()
    for crossing in CROSSING:
        if number in crossing:
            left = 30 + 6 * (number - crossing.start)
            scene[110 : 110 + size, left : left + size] = 20
    return scene


FILMS = (
    Film("still scene", (range(FRAMES),), 1, _still),
    Film("light flickers by a quarter", (range(FRAMES),), 1, _flicker),
    Film("bands of mains light", (range(FRAMES),), 1, _bands),
    Film("dusk falls, to 40 % of the light", (range(FRAMES),), 2, _dusk),
    Film("camera shakes by a pixel", (range(FRAMES),), 1, _shaking),
    Film("two hard cuts", (range(100), range(100, 200), range(200, 300)), 3, _cuts),
    Film("camera on patrol, 3 views, 5 rounds", (range(20), range(20, 40), range(40, 60)), 3, _patrol),
    Film("slow pan, nearly two pictures wide", tuple(range(at, at + 60) for at in range(0, 300, 60)), 200, _pan),
    Film("a thing of 4 % comes and goes, twice", CROSSING, 60, lambda number: _visitor(number, 72)),
    Film("a thing of 2 % comes and goes, twice", CROSSING, 60, lambda number: _visitor(number, 51)),
)
