"""What stands in the way of opening a source, in real grabbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import pytest
from camera_rig import running, video
from structlog.testing import capture_logs

from agent.sources.camera import CameraPlan
from agent.sources.opener import grabber_environment

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.skipif(
    cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER), reason="this OpenCV has GStreamer: nothing to refuse"
)
def test_a_pipeline_without_gstreamer_names_the_way_out() -> None:
    """A gst: source on an OpenCV without GStreamer says so, and what to use instead."""
    with running(CameraPlan("csi", "gst:videotestsrc ! appsink")) as camera:
        camera.until(lambda: camera.state.restarts >= 1)
    assert "this OpenCV has no GStreamer" in camera.state.problem
    assert "cmd:gst-launch-1.0" in camera.state.problem


@pytest.mark.parametrize("source", ["0", "file"])
def test_a_missing_opencv_names_the_extra(tmp_path: Path, source: str) -> None:
    """Without cv2 a camera says what to install; a live one keeps looking, a file is given up."""
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    if source == "file":
        source = str(video(tmp_path / "clip.avi", 1))
    with capture_logs() as logs, running(CameraPlan("gate", source), PYTHONPATH=str(tmp_path)) as camera:
        camera.until(lambda: camera.state.problem)
        if source != "0":
            camera.until(camera.ended)
    assert "libGL.so.1" in camera.state.problem
    assert "pip install 'acusight-agent[camera]'" in camera.state.problem
    assert ["retry_in_s" in entry for entry in logs] == [source == "0"]


def test_what_a_library_prints_does_not_hurt_the_pictures(tmp_path: Path) -> None:
    """Whatever is printed to standard output in the grabber goes to its standard error instead."""
    (tmp_path / "sitecustomize.py").write_text(
        "import builtins, os\n"
        "genuine = builtins.__import__\n"
        "def noisy(name, *rest, **more):\n"
        "    if name == 'cv2': os.write(1, b'[ WARN ] a library speaks\\n')\n"
        "    return genuine(name, *rest, **more)\n"
        "builtins.__import__ = noisy\n"
    )
    clip = video(tmp_path / "clip.avi", 3)
    with running(CameraPlan("belt", str(clip), interval_s=0), PYTHONPATH=str(tmp_path)) as camera:
        camera.until(camera.ended)
    assert camera.indexes() == [0, 1, 2]
    assert camera.state.restarts == 0


def test_what_lies_in_the_present_directory_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A grabber started in a folder of strangers' files imports none of them."""
    (tmp_path / "cv2.py").write_text("raise SystemExit('a stranger was let in')")
    clip = video(tmp_path / "clip.avi", 2)
    monkeypatch.chdir(tmp_path)
    with running(CameraPlan("belt", "clip.avi", interval_s=0)) as camera:
        camera.until(camera.ended)
    assert camera.indexes() == [0, 1]
    assert camera.frames[0].position is not None
    assert camera.frames[0].position.path == str(clip), "a relative path is stored as an absolute one"


def test_a_grabber_gets_the_variables_it_needs() -> None:
    """Search paths and the settings of OpenCV and GStreamer pass; everything else stays with the agent."""
    given = {"PATH": "/bin", "GST_PLUGIN_PATH": "/p", "OPENCV_LOG_LEVEL": "E", "DEVICE_KEY": "x", "PYTHONSTARTUP": "y"}
    assert grabber_environment(given) == {
        "PATH": "/bin",
        "GST_PLUGIN_PATH": "/p",
        "OPENCV_LOG_LEVEL": "E",
        "OPENBLAS_NUM_THREADS": "1",
    }
