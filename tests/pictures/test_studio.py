from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import textwrap
import time
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from agent.errors import BadPicture, Wait
from agent.pictures.dialogue import Dialogue
from agent.pictures.exif import with_orientation
from agent.pictures.inspect import NotWhole, PictureLimits, inspect
from agent.pictures.studio import CHILD, NoDecoder, PictureChild
from agent.pictures.tape import opened as opened_tape
from agent.pictures.transform import Recipe, Transform
from agent.workers import Nursery, Stop

if TYPE_CHECKING:
    from pathlib import Path

Coder = Callable[..., bytes]
Opener = Callable[[bytes], int]
Keeper = Callable[..., PictureChild]

CONVERTED = (".webp", ".bmp", ".tiff")


@pytest.fixture
def kept() -> Iterator[Keeper]:
    """Return a function that makes picture children and closes them when the test ends."""
    children: list[PictureChild] = []

    def make(environment: dict[str, str] | None = None, **options: float) -> PictureChild:
        children.append(PictureChild(environment=environment or {}, **options))  # type: ignore[arg-type]
        return children[-1]

    yield make
    for child in children:
        child.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[PictureChild]:
    """Return one child for the tests that only want an answer."""
    child = PictureChild(environment={})
    yield child
    child.close()


def as_it_is(data: bytes, max_side: int = 0) -> Transform:
    """Return the transform that only makes a picture smaller, if that."""
    height, width = pixels(data).shape[:2]
    return Recipe(max_side=max_side).for_picture(width, height)


def pixels(data: bytes) -> np.ndarray:
    """Return the pixels as they are stored."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    assert image is not None
    return image


def difference(one: bytes, other: bytes) -> float:
    """Return how far two pictures of one size are apart, in levels of 255 on average."""
    return float(np.abs(pixels(one).astype(int) - pixels(other)).mean())


def running(child: PictureChild) -> Dialogue:
    """Return the process behind a picture child."""
    assert child._child is not None
    return child._child


def fake_cv2(folder: Path, source: str) -> dict[str, str]:
    """Return an environment in which this source is what `import cv2` finds."""
    (folder / "cv2.py").write_text(textwrap.dedent(source))
    return {"PYTHONPATH": str(folder)}


def gone(pid: int) -> bool:
    """Tell within two seconds whether a process has ended, be it reaped or not."""
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as stat:  # noqa: PTH123 (a process, not a path)
                if stat.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except FileNotFoundError:
            return True
        os.sched_yield()
    return False


@pytest.mark.parametrize("extension", CONVERTED)
def test_what_the_platform_does_not_take_becomes_a_jpeg(
    shared: PictureChild, coded: Coder, opened: Opener, extension: str
) -> None:
    """WebP, BMP and TIFF come back as a JPEG of the same pixels, from a descriptor and from bytes alike."""
    data = coded(extension)
    jpeg = shared.convert(opened(data), quality=95, transform=as_it_is(data))
    assert jpeg == shared.convert(data, quality=95, transform=as_it_is(data))
    assert jpeg.startswith(b"\xff\xd8\xff")
    assert difference(jpeg, data) < 3


def test_sixteen_bits_and_transparency_become_what_a_jpeg_holds(shared: PictureChild) -> None:
    """Grey stays grey, deep channels are made 8 bits, transparency is left out."""
    ramp = np.tile(np.linspace(0, 65535, 64, dtype=np.uint16), (16, 1))
    for image, shape in ((ramp, (16, 64)), (np.dstack([ramp] * 4), (16, 64, 3))):
        data = bytes(cv2.imencode(".tiff", image)[1])
        jpeg = shared.convert(data, quality=95, transform=as_it_is(data))
        found = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_UNCHANGED)
        assert found is not None
        assert found.shape == shape
        assert np.abs(found.reshape(16, 64, -1)[:, :, 0].astype(int) - ramp // 257).max() < 6


@pytest.mark.parametrize(
    ("max_side", "size"), [(0, (1600, 1200)), (2000, (1600, 1200)), (800, (800, 600)), (1, (1, 1))]
)
def test_a_large_webp_is_made_smaller_but_never_larger(
    shared: PictureChild, coded: Coder, max_side: int, size: tuple[int, int]
) -> None:
    """The longer side comes down to `max_side` and the other in proportion; a smaller picture keeps its size."""
    data = coded(".webp", cv2.IMWRITE_WEBP_QUALITY, 50, width=1600, height=1200)
    jpeg = shared.convert(data, quality=80, transform=as_it_is(data, max_side))
    height, width, _ = pixels(jpeg).shape
    assert (width, height) == size


def test_a_shrunk_picture_stays_as_stored_and_takes_its_orientation_along(shared: PictureChild, coded: Coder) -> None:
    """Its boxes are in the spool already: it is not turned, and viewers turn it as before."""
    jpeg = shared.shrink(with_orientation(coded(".jpg"), 6), max_bytes=2000)
    assert pixels(jpeg).shape == (32, 48, 3)
    turned = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert turned is not None
    assert turned.shape == (48, 32, 3)


def test_a_transform_made_for_another_picture_is_not_carried_out(shared: PictureChild, coded: Coder) -> None:
    """Between the look and the work a file may be exchanged; masks and boxes would be of the other one."""
    data = with_orientation(coded(".jpg"), 6)
    for other in ((48, 32, 1), (32, 48, 6), (96, 64, 6)):
        with pytest.raises(NotWhole, match="changed"):
            shared.convert(data, quality=80, transform=Recipe().for_picture(*other))
    assert shared.convert(data, quality=80, transform=Recipe().for_picture(48, 32, 6))


@pytest.mark.parametrize("extension", [".jpg", ".png"])
@pytest.mark.parametrize("max_bytes", [60_000, 20_000, 3_000])
def test_a_picture_that_is_too_large_shrinks_until_it_fits(
    shared: PictureChild, coded: Coder, extension: str, max_bytes: int
) -> None:
    """Quality goes first, then the side is halved; the result fits, and is no smaller than it need be."""
    data = (
        with_orientation(coded(".jpg", width=640, height=480), 3)
        if extension == ".jpg"
        else coded(".png", width=640, height=480)
    )
    jpeg = shared.shrink(data, max_bytes=max_bytes)
    assert max_bytes / 8 < len(jpeg) <= max_bytes
    assert pixels(jpeg).shape[0] in (480, 240, 120, 60)


def test_a_picture_that_cannot_fit_is_refused(shared: PictureChild, coded: Coder) -> None:
    """The tries are counted: an eighth of the side is the last."""
    with pytest.raises(BadPicture, match="200 bytes"):
        shared.shrink(coded(".jpg", width=640, height=480), max_bytes=200)


@pytest.mark.parametrize("extension", [".jpg", ".png", *CONVERTED])
def test_a_sound_picture_passes_the_decoder(shared: PictureChild, coded: Coder, opened: Opener, extension: str) -> None:
    """Verifying raises nothing for a picture that decodes."""
    shared.verify(opened(coded(extension)))


def test_damage_that_only_the_decoder_sees_is_refused(shared: PictureChild, coded: Coder) -> None:
    """Markers in place and half of the pixels missing: cv2 calls that a success, the child does not."""
    whole = coded(".jpg", width=640, height=480)
    with pytest.raises(BadPicture, match="pixels are missing"):
        shared.verify(whole[: len(whole) // 2] + b"\xff\xd9")
    shared.verify(whole)


@pytest.mark.parametrize("operation", ["verify", "convert"])
def test_what_does_not_decode_is_refused(shared: PictureChild, coded: Coder, operation: str) -> None:
    """A container that is in order around nonsense ends at the decoder, and the child lives on."""
    whole = coded(".webp", width=640, height=480)
    webp = whole[:200] + bytes(len(whole) - 200)
    transform = Recipe().for_picture(640, 480)
    with pytest.raises(BadPicture, match="cannot be decoded"):
        shared.verify(webp) if operation == "verify" else shared.convert(webp, quality=80, transform=transform)
    shared.verify(coded(".jpg"))


def test_no_picture_goes_to_the_child_uninspected(kept: Keeper, coded: Coder) -> None:
    """Half a picture and one beyond the limits are turned away before a child is started for them."""
    child = kept(limits=PictureLimits(max_pixels=100))
    with pytest.raises(BadPicture, match="48 x 32 pixels"):
        child.convert(coded(".webp"), quality=80, transform=Recipe().for_picture(48, 32))
    with pytest.raises(NotWhole):
        child.verify(coded(".jpg")[:-1])
    assert child._child is None


def test_a_decoder_of_another_opinion_than_the_header_is_not_believed(coded: Coder) -> None:
    """Boxes and limits were held against the header's size, so the pixels must have it."""
    data = coded(".png")
    child = Dialogue((*CHILD, "5", "5", str(os.getpid())), {})
    try:
        deadline = time.monotonic() + 10
        assert child.receive(0, deadline) == ({"size": 0}, b"")
        request = {"operation": "decode", "size": len(data), "width": 47, "height": 32}
        with opened_tape(data) as descriptor:
            child.send(request, descriptor, deadline)
        answer, _ = child.receive(0, deadline)
        assert answer["error"] == "its header says 47 x 32, its pixels 48 x 32"
    finally:
        child.close()


def test_a_picture_that_needs_too_much_memory_is_refused(kept: Keeper) -> None:
    """The child's memory is capped: what gets past a careless limit ends as an error, not as a full machine."""
    header = struct.pack(">IIBBBBB", 32_000, 32_000, 1, 3, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n"
    for kind, body in ((b"IHDR", header), (b"PLTE", bytes(6)), (b"IDAT", b""), (b"IEND", b"")):
        bomb += struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", zlib.crc32(kind + body))
    child = kept(limits=PictureLimits(max_pixels=2_000_000_000))
    with pytest.raises(BadPicture, match=r"cannot be decoded.*allocate"):
        child.convert(bomb, quality=80, transform=Recipe().for_picture(32_000, 32_000))
    assert running(child).alive()


def test_a_frozen_child_is_killed_at_the_deadline(kept: Keeper, coded: Coder) -> None:
    """A decoder that does not come back costs its picture and the deadline; the next picture gets a new child."""
    child = kept()
    child.verify(coded(".jpg"))
    frozen = running(child).pid
    # Only now: to start takes a second and more where the machine is busy.
    child._deadline_s = 0.8
    os.kill(frozen, signal.SIGSTOP)
    with pytest.raises(BadPicture, match=r"longer than 0\.8 s"):
        child.convert(coded(".bmp", width=1000, height=1000), quality=80, transform=Recipe().for_picture(1000, 1000))
    assert gone(frozen)
    child._deadline_s = 20.0
    child.verify(coded(".jpg"))


def test_a_child_that_died_of_something_else_costs_nothing(kept: Keeper, coded: Coder) -> None:
    """Between two pictures or in the middle of one: the first death is not the picture's fault."""
    child = kept()
    child.verify(coded(".jpg"))
    os.kill(running(child).pid, signal.SIGKILL)
    child.verify(coded(".jpg"))


def test_a_picture_on_which_the_decoder_dies_is_refused(kept: Keeper, coded: Coder, tmp_path: Path) -> None:
    """The second death in a row is the picture's fault; the daemon goes on."""
    deaths = tmp_path / "deaths"
    child = kept(
        fake_cv2(
            tmp_path,
            f"""
            import os
            IMREAD_ANYCOLOR = IMREAD_IGNORE_ORIENTATION = 0
            class error(Exception): pass
            def setNumThreads(count): pass
            def imdecode(data, flags):
                with open({str(deaths)!r}, "a") as deaths:
                    deaths.write("x")
                os.abort()
            """,
        )
    )
    with pytest.raises(BadPicture, match="crashed"):
        child.verify(coded(".jpg"))
    assert deaths.read_text() == "xx"


def test_a_missing_opencv_is_said_with_its_remedy(kept: Keeper, coded: Coder, tmp_path: Path) -> None:
    """Without cv2 the picture is not called bad: the message says what to install."""
    child = kept(fake_cv2(tmp_path, "raise ImportError('libGL.so.1: no such file')"))
    with pytest.raises(NoDecoder, match=r"libGL\.so\.1.*pip install 'acusight-agent\[camera\]'"):
        child.convert(coded(".webp"), quality=80, transform=Recipe().for_picture(48, 32))
    assert running(child).alive()


def test_a_child_that_does_not_start_blames_no_picture(kept: Keeper, coded: Coder, tmp_path: Path) -> None:
    """An interpreter that is being upgraded under the daemon, or a full process table, passes: the picture waits."""
    child = kept(fake_cv2(tmp_path, "import os; os.abort()"))
    with pytest.raises(Wait, match="does not start"):
        child.verify(coded(".jpg"))
    child._command = (str(tmp_path / "no-python"), *child._command[1:])
    with pytest.raises(Wait, match="does not start"):
        child.verify(coded(".jpg"))


def test_an_idle_child_ends_by_itself(kept: Keeper, coded: Coder) -> None:
    """A folder that is quiet costs no memory; the next picture starts a child again."""
    child = kept(idle_s=0.05)
    child.verify(coded(".jpg"))
    assert gone(running(child).pid)
    child.verify(coded(".jpg"))


def test_the_child_of_a_thread_that_keeps_to_one_core_does_not(kept: Keeper, coded: Coder) -> None:
    """Decoding goes where there is room, whichever thread asked first."""
    child, free = kept(), os.sched_getaffinity(0)
    nursery = Nursery(Stop(), core=max(free))
    nursery.start("asks", lambda: child.verify(coded(".jpg")), neighbours=True)
    assert nursery.join(30) == []
    assert nursery.failure is None
    running = child._child
    assert running is not None
    assert os.sched_getaffinity(running.pid) == free
    assert os.sched_getscheduler(running.pid) == os.SCHED_OTHER


def test_closing_interrupts_a_picture(kept: Keeper, coded: Coder, opened: Opener) -> None:
    """A stop does not wait for a decoder: whoever does gets `Wait`, at once, and nothing is started any more."""
    child = kept()
    child.verify(coded(".jpg"))
    pid = running(child).pid
    os.kill(pid, signal.SIGSTOP)
    nursery, ends = Nursery(Stop()), list[str]()

    def convert() -> None:
        try:
            child.verify(opened(coded(".jpg")))
        except Wait as error:
            ends.append(str(error))

    nursery.start("converting", convert)
    while not child._lock.locked():
        os.sched_yield()
    child.close()
    assert nursery.join(2.0) == []
    assert ends == ["the agent is stopping"]
    assert gone(pid)


def test_the_child_does_not_outlive_a_killed_daemon(tmp_path: Path, coded: Coder) -> None:
    """SIGKILL leaves no time for cleaning up; the kernel ends the child, even one that is frozen."""
    (tmp_path / "a.jpg").write_bytes(coded(".jpg"))
    daemon = subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent(
                """
                import os, signal, sys
                from agent.pictures.studio import PictureChild
                child = PictureChild(environment={})
                child.verify(os.open(sys.argv[1], os.O_RDONLY))
                os.kill(child._child.pid, signal.SIGSTOP)
                os.write(2, b"%d\\n" % child._child.pid)
                signal.pause()
                """
            ),
            str(tmp_path / "a.jpg"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    with daemon:
        assert daemon.stderr is not None
        pid = int(daemon.stderr.readline())
        daemon.kill()
    assert gone(pid)


def test_the_child_gets_the_environment_that_was_handed_in(kept: Keeper, coded: Coder, opened: Opener) -> None:
    """No key of the daemon's surroundings reaches a process that decodes what strangers send; nor does its Ctrl-C."""
    child = kept({"LANG": "C.UTF-8"})
    child.verify(opened(coded(".jpg")))
    pid = running(child).pid
    with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123 (a process, not a path)
        names = {entry.partition(b"=")[0] for entry in file.read().split(b"\0") if entry}
    assert names <= {b"LANG", b"OPENBLAS_NUM_THREADS", b"LC_CTYPE"}
    assert os.getpgid(pid) == pid


@pytest.mark.parametrize(
    "said",
    [
        b"x" * 9000,
        b"[" * 4000 + b"\n",
        b"{}\n",
        b'{"size": "?"}\n',
        b'{"size": 11}\nmore than was',
        b'{"size": 9}\nless',
    ],
)
def test_a_child_that_talks_nonsense_counts_as_dead(tmp_path: Path, said: bytes) -> None:
    """A decoder that was taken over cannot fill the daemon's memory or confuse it."""
    (tmp_path / "said").write_bytes(said)
    child = Dialogue(("cat", str(tmp_path / "said")), {"PATH": os.defpath})
    try:
        with pytest.raises(ConnectionError):
            child.receive(10, time.monotonic() + 5)
    finally:
        child.close()


def gradient(orientation: int = 1) -> bytes:
    """Return a grey JPEG that is dark on its left and bright on its right as it is stored."""
    ramp = np.tile(np.linspace(0, 250, 640, dtype=np.uint8), (480, 1))
    return with_orientation(cv2.imencode(".jpg", ramp)[1].tobytes(), orientation)


def test_only_what_is_asked_for_is_measured(shared: PictureChild) -> None:
    """A limit on darkness needs no print; what is asked for is the same whoever asks for more."""
    whole = shared.look(gradient())
    assert whole.light == pytest.approx(125, abs=1)
    assert shared.look(gradient(), needs=["dark"]).light == pytest.approx(whole.light, abs=0.5)
    assert shared.look(gradient(), needs=["dark"]).print.planes == (0,) * 8
    assert shared.look(gradient(), needs=["change"]).print.distance(whole.print) < 0.01
    assert shared.look(gradient(), needs=["blur"]).sharp == whole.sharp


@pytest.mark.parametrize(
    ("orientation", "crop", "light"),
    [
        (1, (0.0, 0.0, 0.5, 1.0), 62),
        (3, (0.0, 0.0, 0.5, 1.0), 188),
        (6, (0.0, 0.0, 1.0, 0.5), 62),
        (8, (0.0, 0.0, 1.0, 0.5), 188),
    ],
)
def test_a_look_is_at_what_is_sent(
    shared: PictureChild, orientation: int, crop: tuple[float, ...], light: float
) -> None:
    """The crop is of the picture as it is shown; masked, the same half is black."""
    assert shared.look(gradient(orientation), recipe=Recipe(crop)).light == pytest.approx(light, abs=3)  # type: ignore[arg-type]
    left, top, width, height = crop
    corners = ((left, top), (left + width, top), (left + width, top + height), (left, top + height))
    masked = shared.look(gradient(orientation), recipe=Recipe(masks=(corners,))).light
    assert masked == pytest.approx((250 - light) / 2, abs=4)


def test_a_file_goes_over_as_it_is_open(shared: PictureChild, opened: Opener) -> None:
    """Its bytes do not pass through the daemon, its position is left alone, and the child lets go of it."""
    descriptor = opened(gradient())
    os.lseek(descriptor, 99, os.SEEK_SET)
    shared.look(descriptor)
    before = len(os.listdir(f"/proc/{running(shared).pid}/fd"))  # noqa: PTH208 (a process, not a folder)
    for _ in range(20):
        shared.verify(descriptor)
    assert len(os.listdir(f"/proc/{running(shared).pid}/fd")) == before  # noqa: PTH208
    assert os.lseek(descriptor, 0, os.SEEK_CUR) == 99


def test_a_file_that_shrinks_under_the_child_is_not_whole(shared: PictureChild, opened: Opener) -> None:
    """What was inspected is not there any more: it is looked at again later."""
    descriptor = opened(gradient())
    picture = inspect(descriptor, PictureLimits())
    os.truncate(f"/proc/self/fd/{descriptor}", picture.size - 1)
    with pytest.raises(NotWhole, match="ends in the middle"):
        shared.look(descriptor, picture)


def test_a_request_may_be_long(shared: PictureChild) -> None:
    """Ten thousand boxes are more than a socket takes at once."""
    data = gradient()
    boxes = [(f"box {number}", (0.5, 0.5, 0.1, 0.1)) for number in range(10_000)]
    assert shared.draw(data, transform=as_it_is(data), boxes=boxes).startswith(b"\x89PNG")


@pytest.mark.parametrize(("kind", "most"), [("RLIMIT_AS", 1_400_000_000), ("RLIMIT_CPU", 15)])
def test_a_machine_that_allows_less_still_gets_its_pictures_decoded(kind: str, most: int) -> None:
    """The child keeps to a lower limit of memory or time and never asks to raise it, which only root is granted."""
    lines = (
        "import os, resource, cv2, numpy",
        f"resource.setrlimit(resource.{kind}, ({most}, {most}))",
        "from agent.pictures.studio import PictureChild",
        "child = PictureChild(environment=dict(os.environ))",
        "child.verify(cv2.imencode('.jpg', numpy.zeros((50, 60), numpy.uint8))[1].tobytes())",
        "child.close()",
    )
    plain = ["setpriv", "--bounding-set", "-sys_resource"] if os.geteuid() == 0 else []
    command = [*plain, sys.executable, "-c", "\n".join(lines)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
