"""OpenCV: which one, whether it has GStreamer, whether two copies are in each other's way; asked in a child process."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent.doctor.finding import Finding, ok, problem, warning
from agent.sources.grammar import parse_source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.config.settings import Settings

LOAD_S = 30.0
"""0.4 s where it was measured; much more on a busy board with an SD card."""

# `metadata` tells what pip installed; a copy that the distribution brought is found on the search path.
_LOOK = """
import importlib.metadata, json, os, sys
told = {"error": "", "file": "", "version": "", "gstreamer": False, "ffmpeg": False}
names = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
installed = {found.metadata["Name"] for found in importlib.metadata.distributions()}
told["packages"] = sorted(installed.intersection(names))
def holds(folder):
    try:
        return any(e == "cv2" or e.startswith("cv2.") and e.endswith(".so") for e in os.listdir(folder or "."))
    except OSError:
        return False
told["folders"] = list(dict.fromkeys(folder for folder in sys.path if holds(folder)))
try:
    import cv2
    told.update(file=str(cv2.__file__), version=str(cv2.__version__))
    told["gstreamer"] = bool(cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER))
    told["ffmpeg"] = bool(cv2.videoio_registry.hasBackend(cv2.CAP_FFMPEG))
except (ImportError, AttributeError, OSError) as error:
    told["error"] = " ".join(str(error).split())[:300] or type(error).__name__
sys.stdout.write(json.dumps(told))
"""


@dataclass(frozen=True, slots=True)
class OpenCV:
    """What a child saw of it: `folders` are the places of the search path that hold a copy, the first is in use."""

    error: str = ""
    file: str = ""
    version: str = ""
    gstreamer: bool = False
    ffmpeg: bool = False
    packages: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()


def is_needed(settings: Settings) -> bool:
    """Tell whether a source can give nothing without it: cameras but for programs, and what is masked or cropped."""
    framed = any(watch.crop or watch.mask for watch in settings.watch) or not settings.encode.passthrough
    return framed or any(
        camera.crop or camera.mask or parse_source(camera.source).kind != "command" for camera in settings.camera
    )


def finding(found: OpenCV, *, needed: bool, gstreamer_needed: bool) -> Finding:
    """Judge it: `needed` where a camera is opened or every picture encoded with it, else it only converts some."""
    if found.error:
        return _absent(found, needed=needed)
    what = f"OpenCV {found.version} ({found.file}), {'with' if found.gstreamer else 'without'} GStreamer"
    if len(found.packages) > 1:
        why = "They write over each other's files, and cv2 breaks in odd ways. Keep the headless one."
        remove = f"{_pip()} uninstall -y {' '.join(name for name in found.packages if not name.endswith('headless'))}"
        return problem(
            "opencv", f"installed twice: {' and '.join(found.packages)}", why, remove, "two-copies-of-opencv"
        )
    if gstreamer_needed and not found.gstreamer:
        why = "A gst: source needs it, and no OpenCV of the package index has it."
        return problem("opencv", what, why, "sudo apt install python3-opencv", "opencv-has-no-gstreamer")
    if len(found.folders) > 1:
        why = f"The one in {found.folders[0]} is used; the other, in {found.folders[1]}, is not."
        if not found.gstreamer:
            why += " The distribution's has GStreamer, the package index's has not."
        return warning("opencv", f"two copies: {what}", why, f"{_pip()} list", "two-copies-of-opencv")
    return ok("opencv", what)


def _absent(found: OpenCV, *, needed: bool) -> Finding:
    judge = problem if needed else warning
    why = (
        "Without it no camera is opened, and no picture cropped or masked: those are not sent."
        if needed
        else "JPEG and PNG are sent as they are; BMP, TIFF, WebP wait."
    )
    what = f"OpenCV cannot be loaded ({found.error})"
    if ".so" in found.error:
        library = "libgl1 libglib2.0-0" if "libGL" in found.error else "python3-opencv"
        return judge("opencv", what, why, f"sudo apt install {library}", "opencv-cannot-be-loaded")
    return judge("opencv", what, why, f"{_pip()} install opencv-python-headless", "opencv-cannot-be-loaded")


def ask(environment: Mapping[str, str]) -> OpenCV:
    """Load OpenCV in a child of the interpreter that the grabber has too, and say what it saw."""
    try:
        ended = subprocess.run(
            [sys.executable, "-P", "-c", _LOOK],
            capture_output=True,
            timeout=LOAD_S,
            check=False,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return OpenCV(error=f"it did not load within {LOAD_S:g} s")
    except OSError as error:
        return OpenCV(error=error.strerror or str(error))
    return parse(ended.stdout, ended.returncode)


def parse(output: bytes, code: int) -> OpenCV:
    """Read a child's report; one that died says nothing, and then how it ended is told."""
    try:
        told = json.loads(output)
        return OpenCV(**{**told, "packages": tuple(told["packages"]), "folders": tuple(told["folders"])})
    except (ValueError, TypeError, KeyError):
        fate = f"signal {-code}" if code < 0 else f"status {code}"
        return OpenCV(error=f"the process that loads it ended with {fate}")


def _pip() -> str:
    return shlex.quote(str(Path(sys.executable).with_name("pip")))
