from __future__ import annotations

import cv2
import numpy as np
import pytest

from agent.selection.looks import SIDE, Pixels, look_at, small


def textured(height: int, width: int, seed: int = 0) -> Pixels:
    """Return a grey picture with structures of some sizes, from fine to coarse."""
    chance = np.random.default_rng(seed)
    picture = np.zeros((height, width), np.float32)
    for size in (8, 20, 60, 160):
        coarse = chance.normal(0, size**0.4, (height // size + 2, width // size + 2)).astype(np.float32)
        picture += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return (picture - picture.mean()) / picture.std() * 40 + 120


def shot(picture: Pixels, *, noise: float = 4.0, seed: int = 0) -> Pixels:
    """Return a picture as a sensor sees it, in 8 bits."""
    chance = np.random.default_rng(seed)
    return np.clip(picture + chance.normal(0, noise, picture.shape), 0, 255).astype(np.uint8)


SCENE = textured(540, 960)


def distance(one: Pixels, other: Pixels) -> float:
    """Return how far two pictures look apart."""
    return look_at(small(shot(one))).print.distance(look_at(small(shot(other, seed=1))).print)


@pytest.mark.parametrize("gain", [0.7, 0.85, 1.15, 1.3])
def test_light_that_flickers_is_no_change(gain: float) -> None:
    """A scene that is a third darker or brighter looks the same."""
    assert distance(SCENE, SCENE * gain) < 0.01


def test_bands_of_light_are_no_change() -> None:
    """Lamps on the mains paint bands across a rolling shutter's picture, and they wander."""
    rows = np.arange(540)[:, None]
    assert distance(SCENE * (1 + 0.2 * np.sin(rows / 30)), SCENE * (1 + 0.2 * np.sin(rows / 30 + 2))) < 0.01


def test_noise_is_no_change() -> None:
    """A sensor's noise at night moves no cell."""
    assert (
        look_at(small(shot(SCENE, noise=20))).print.distance(look_at(small(shot(SCENE, noise=20, seed=3))).print) == 0
    )


@pytest.mark.parametrize("share", [0.02, 0.05, 0.1])
def test_the_distance_is_about_the_share_of_the_area(share: float) -> None:
    """A thing that covers so much of the picture changes about so much of it."""
    changed = SCENE.copy()
    side = round((share * 540 * 960) ** 0.5)
    changed[200 : 200 + side, 300 : 300 + side] = 15
    assert share / 2 < distance(SCENE, changed) < share * 2


def test_another_scene_is_far_away() -> None:
    """A hard cut changes most of the picture."""
    assert distance(SCENE, textured(540, 960, seed=9)) > 0.3


@pytest.mark.parametrize("side", [120, 320, 640, 1080, 2160])
def test_a_picture_is_measured_at_one_size(side: int) -> None:
    """A scene has the same brightness, sharpness and print at any size."""
    picture = textured(1080, 1080, seed=4)
    scaled = shot(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), noise=1)
    here, there = look_at(small(shot(picture, noise=1))), look_at(small(scaled))
    assert abs(here.light - there.light) < 2
    assert here.print.distance(there.print) < 0.01
    assert side < SIDE or 0.7 < there.sharp / here.sharp < 1.4


@pytest.mark.parametrize("shape", [(1, 1), (1, 4000), (4000, 1), (24, 32), (3, 5, 3)])
def test_a_picture_of_any_shape_can_be_looked_at(shape: tuple[int, ...]) -> None:
    """A picture of one pixel, or of one row, has a look as well."""
    look = look_at(small(np.full(shape, 77, np.uint8)))
    assert look.light == 77
    assert look.sharp == 0


def test_sharpness_falls_with_blur_and_not_with_contrast() -> None:
    """A smeared picture is told from a sharp one, and a pale one is not taken for a smeared one."""
    sharp = look_at(small(shot(SCENE))).sharp
    pale = look_at(small(shot((SCENE - 120) * 0.5 + 120, noise=2))).sharp
    smeared = look_at(small(shot(cv2.blur(SCENE, (31, 1))))).sharp
    assert 0.8 < pale / sharp < 1.25
    assert smeared < sharp / 3


def test_colours_do_not_matter() -> None:
    """A picture in colour looks as its grey copy does."""
    grey = shot(SCENE)
    assert look_at(small(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))) == look_at(small(grey))
