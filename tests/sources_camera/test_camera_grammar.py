from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.sources.grammar import parse_source, redact

SHARED = "/dev/shm"  # noqa: S108 (nothing is written there)


@pytest.mark.parametrize(
    ("text", "kind", "target"),
    [
        ("0", "index", "0"),
        (" 12 ", "index", "12"),
        ("/dev/video0", "device", "/dev/video0"),
        ("/dev/v4l/by-id/usb-Cam-video-index0", "device", "/dev/v4l/by-id/usb-Cam-video-index0"),
        (f"{SHARED}/clip.avi", "file", f"{SHARED}/clip.avi"),
        ("rtsp://cam/stream1", "stream", "rtsp://cam/stream1"),
        ("HTTP://cam/video", "stream", "HTTP://cam/video"),
        ("https://cam/video", "stream", "https://cam/video"),
        ("clips/*.mp4", "file", "clips/*.mp4"),
        ("/data/a b.avi", "file", "/data/a b.avi"),
        ("gst: libcamerasrc ! appsink", "gst", "libcamerasrc ! appsink"),
        ("cmd:rpicam-vid -t 0 -o -", "command", "rpicam-vid -t 0 -o -"),
    ],
)
def test_a_source_is_told_by_its_form(text: str, kind: str, target: str) -> None:
    """Each form of the grammar gives its kind and what is to be opened."""
    source = parse_source(text)
    assert (source.kind, source.target) == (kind, target)


def test_only_files_are_not_live() -> None:
    """A file waits to be read; everything else goes on without us."""
    texts = ["0", "/dev/video0", "http://cam/", "gst:x", "cmd:x", "clip.avi"]
    assert [parse_source(text).live for text in texts] == [True] * 5 + [False]


def test_a_command_is_split_like_a_shell_does_without_one() -> None:
    """Quotes group arguments; nothing else of a shell is understood."""
    assert parse_source("cmd:prog 'a b' $HOME | cat").arguments == ["prog", "a b", "$HOME", "|", "cat"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "the source is empty"),
        ("   ", "the source is empty"),
        ("a\0b", "the source is empty"),
        ("cmd:", "nothing follows cmd:"),
        ("gst:  ", "nothing follows gst:"),
        ("cmd:say 'hello", "No closing quotation"),
        ("ftp://me:secret@cam/x", r"ftp://\*\*\*@cam/x is of an unknown kind; give an index"),
    ],
)
def test_a_bad_source_is_refused_with_the_remedy(text: str, told: str) -> None:
    """What is outside the grammar is a ValueError that says what to write and shows no password."""
    with pytest.raises(ValueError, match=told):
        parse_source(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://u:p@cam:554/a", "rtsp://***@cam:554/a"),
        ("rtsp://u:p@ss/w@cam/a", "rtsp://***@cam/a"),
        ("rtsp://token@cam/a", "rtsp://***@cam/a"),
        ("cannot open 'http://u:p@cam/' (http://x/)", "cannot open 'http://***@cam/' (http://x/)"),
        ("http://cam/v?user=a&pwd=b&n=1", "http://cam/v?user=a&pwd=***&n=1"),
        ("rtspsrc location=rtsp://cam user-pw=abc ! x", "rtspsrc location=rtsp://cam user-pw=*** ! x"),
        ("mail me@example.org", "mail me@example.org"),
    ],
)
def test_credentials_are_redacted_wherever_a_url_stands(text: str, shown: str) -> None:
    """User and password of every URL in a text, and password parameters, are shown as stars."""
    assert redact(text) == shown
    assert redact(shown) == shown


def test_a_source_shows_no_password_in_its_repr_either() -> None:
    """Neither `shown` nor `repr` of a source gives its password away."""
    source = parse_source("rtsp://u:hidden@cam/a")
    assert source.shown == "rtsp://***@cam/a"
    assert "hidden" not in repr(source)


@given(st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="\"'<>"), min_size=1))
def test_no_password_survives_redaction(password: str) -> None:
    """Whatever visible characters a password has, unescaped or not, it is hidden with the user."""
    assert redact(f"at rtsp://user:{password}@cam/live now") == "at rtsp://***@cam/live now"
