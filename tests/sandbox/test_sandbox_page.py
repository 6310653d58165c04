from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest

from agent.media import JPEG
from agent.sandbox.page import COLOURS, MAX_BOXES, cards, document
from agent.sandbox.store import Upload

VOID = {"meta", "link", "img"}
HOSTILE = "\"><script>alert('x')</script>&amp;{last}\ud800"


class Page(HTMLParser):
    """Reads HTML strictly: what is opened is closed, in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the tag, and that it is open."""
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the tag."""
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Close the tag, which must be the one opened last."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note the text."""
        self.text.append(data)

    def all(self, wanted: str) -> list[dict[str, str | None]]:
        """Return the attributes of every tag of a kind."""
        return [attributes for tag, attributes in self.tags if tag == wanted]


def upload(number: int = 1, filename: str = "belt.jpg", metadata: dict[str, Any] | None = None) -> Upload:
    """Return an upload to show."""
    return Upload(
        filename=filename,
        sha256="0" * 64,
        bytes=204_800,
        media_type=JPEG,
        metadata=metadata,
        received_at="2026-03-14T08:15:03.000Z",
        key_suffix="cdef",
        id=number,
        duplicate=False,
    )


def box(name: str, *geometry: float) -> dict[str, Any]:
    """Return an annotation."""
    return {"class_value": name, "type": "bbox", "geometry": list(geometry)}


def test_an_empty_page_says_what_to_do() -> None:
    """Without uploads the page names its own URL and a command that sends a picture."""
    page = Page(document([], 0, 0, "http://127.0.0.1:8600"))
    text = "".join(page.text)
    assert "Nothing has arrived yet" in text
    assert 'server.url = "http://127.0.0.1:8600"' in text
    assert "http://127.0.0.1:8600/device/images/upload" in text
    assert "hidden" not in page.all("section")[0]
    assert page.all("article") == []


def test_a_page_reads_without_its_script() -> None:
    """The pictures and what is known of them are in the HTML itself, in the order given."""
    metadata = {
        "source": "belt-west",
        "timestamp": "2026-03-14T08:15:02.417Z",
        "model_id": "mdl_77",
        "model_version": "2",
    }
    page = Page(document([upload(2, metadata=metadata), upload(1)], 2, 2, "http://x"))
    text = "".join(page.text)
    assert [article["id"] for article in page.all("article")] == ["upload-2", "upload-1"]
    assert [image["src"] for image in page.all("img")] == ["/_sandbox/images/2", "/_sandbox/images/1"]
    for fact in ("belt.jpg", "belt-west", "2026-03-14T08:15:02.417Z", "mdl_77 2", "204,800 bytes", "no metadata"):
        assert fact in text
    assert "hidden" in page.all("section")[0]


def test_boxes_lie_where_the_geometry_says() -> None:
    """A box of centre and size is drawn from its top left corner, in per cent of the picture, with its name."""
    page = Page(cards([upload(metadata={"annotations": [box("scratch", 0.31, 0.62, 0.08, 0.05)]})]))
    rectangle = page.all("rect")[0]
    assert rectangle == {"x": "27.000%", "y": "59.500%", "width": "8.000%", "height": "5.000%"}
    assert "scratch" in page.text


@pytest.mark.parametrize(("top", "offset"), [(0.0, "1.1em"), (0.5, "-0.3em")])
def test_a_label_stays_in_the_picture(top: float, offset: str) -> None:
    """The label of a box at the upper edge goes inside it."""
    page = Page(cards([upload(metadata={"annotations": [box("a", 0.5, top + 0.1, 0.2, 0.2)]})]))
    assert page.all("text")[0]["dy"] == offset


def test_a_class_keeps_its_colour() -> None:
    """The same class has the same colour in every picture, one of those that the style knows."""
    annotations = [box("a", 0.5, 0.5, 0.1, 0.1), box("b", 0.2, 0.2, 0.1, 0.1), box("a", 0.1, 0.1, 0.1, 0.1)]
    first, second, third = (
        group["class"] for group in Page(cards([upload(metadata={"annotations": annotations})])).all("g")
    )
    assert first == third
    assert {first, second} <= {f"c{number}" for number in range(COLOURS)}


def test_strangers_text_stays_text() -> None:
    """No filename, class name, metadata or host makes a tag, an attribute or a style."""
    metadata = dict.fromkeys(("source", "timestamp", "model_id", "model_version"), HOSTILE)
    hostile = upload(filename=HOSTILE, metadata={**metadata, "annotations": [box(HOSTILE, 0.5, 0.5, 1, 1)]})
    page = Page(document([hostile], 1, 1, HOSTILE))
    harmless = Page(
        document(
            [upload(metadata={**dict.fromkeys(metadata, "x"), "annotations": [box("x", 0.5, 0.5, 1, 1)]})], 1, 1, "x"
        )
    )
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in harmless.tags]
    assert page.all("img")[0]["alt"] == HOSTILE
    assert not any("style" in attributes or "onload" in attributes for _, attributes in page.tags)


def test_a_picture_full_of_boxes_is_bounded() -> None:
    """More boxes than anyone can see are counted, not drawn."""
    crowd = [box("a", 0.5, 0.5, 0.1, 0.1)] * (MAX_BOXES + 1)
    page = Page(cards([upload(metadata={"annotations": crowd})]))
    assert len(page.all("rect")) == MAX_BOXES
    assert str(MAX_BOXES + 1) in page.text


def test_nothing_comes_from_elsewhere() -> None:
    """The page refers to its own server alone, and holds no script or style inline."""
    page = Page(document([upload()], 1, 1, "http://x"))
    links = [value for _, attributes in page.tags for key, value in attributes.items() if key in {"src", "href"}]
    assert all(value == "data:," or (value or "").startswith("/_sandbox/") for value in links)
    assert [script["src"] for script in page.all("script")] == ["/_sandbox/static/page.js"]
    assert page.all("style") == []
