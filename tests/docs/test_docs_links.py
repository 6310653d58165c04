from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(`+)[^\n]*?\1(?!`)")


@cache
def prose(page: Path) -> str:
    """Return a page without its blocks of code, in which nothing is a link or a heading."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return the anchors that a page names, and those that its headings get: lower case, dashes for spaces."""
    found: list[str] = re.findall(r'<a id="([^"]+)"></a>', prose(page))
    for heading in re.findall(r"^#+ +(.+?) *$", prose(page), flags=re.MULTILINE):
        words = re.sub(r"\]\([^)]*\)", "", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        again = sum(1 for one in found if re.fullmatch(rf"{re.escape(anchor)}(-\d+)?", one))
        found.append(f"{anchor}-{again}" if again else anchor)
    return frozenset(found)


def broken(page: Path) -> list[str]:
    """Return the links of a page that lead nowhere in this repository."""
    wrong = []
    for target in LINK.findall(CODE.sub("`", prose(page))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            wrong.append(target)
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    """A relative link names a file that is there, and a heading that it has."""
    assert broken(page) == []


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    """A missing file and a missing heading are both told; code and other sites are left alone."""
    page = tmp_path / "page.md"
    page.write_text(
        "# A `b` c\n[x](#a-b-c) [x](none.md) [x](#gone) `[x](y.md)` [x](https://a.example)\n```\n[x](z)\n```\n"
    )
    assert broken(page) == ["none.md", "#gone"]


def test_the_readme_is_read_in_five_minutes() -> None:
    """Commands and tables included; what is longer has a page of its own."""
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 1450
