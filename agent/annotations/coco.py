"""COCO: a data set, or the results of a model on one.

    {"images": [{"id": 1, "file_name": "belt.jpg", "width": 640, "height": 480}],
     "annotations": [{"image_id": 1, "category_id": 3, "bbox": [12, 40, 76, 170], "score": 0.9}],
     "categories": [{"id": 3, "name": "dent"}]}

    [{"image_id": "belt", "category_id": 3, "bbox": [12, 40, 76, 170], "score": 0.9}]

A box is its upper left corner and its size in pixels. A picture is found by `file_name`. Results name neither pictures
nor classes: `image_id` (or a `file_name` beside it) has to be the picture's name, with or without its ending, or its
number; `category_id` is looked up in `classes`, whose file may be a list of COCO categories. An annotation that has
polygons alone becomes the box around them; a compressed mask alone is left out and counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.annotations.lookup import fits, last_part, the_one
from agent.annotations.sheet import score

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.annotations.document import Field
    from agent.annotations.lookup import Excerpts
    from agent.annotations.sheet import Sheet
    from agent.frame import Labels

_SIDES = 4


def signs(root: Field) -> str:
    """Return what tells a data set from other formats."""
    return "`images` and `annotations`" if root.has("images") and root.has("annotations") else ""


def signs_of_results(root: Field) -> str:
    """Return what tells results from other formats."""
    first = root.first()
    found = first is not None and first.has("image_id") and first.has("category_id")
    return "a list with `image_id` and `category_id`" if found else ""


def read(root: Field, sheet: Sheet) -> Labels:
    """Return what a data set says of the picture."""
    images = [(image.need("file_name").text(), image) for image in root.need("images").entries()]
    if not images:
        raise sheet.sidecar.bad("images", "is empty, so nothing is known of the picture")
    image = the_one(sheet.sidecar, images)
    sheet.declare(image.get("width"), image.get("height"))
    number = image.need("id").value
    names = {_hashable(entry.need("id")): entry.need("name") for entry in _listed(root, "categories")}
    for annotation in root.need("annotations").entries():
        if annotation.need("image_id").value == number:
            category = annotation.need("category_id")
            named = names.get(_hashable(category))
            if named is None:
                category.fail("must be the id of one of `categories`")
            _enter(annotation, named.text(), sheet)
    return sheet.labels()


def read_results(root: Field, sheet: Sheet) -> Labels:
    """Return what results say of the picture."""
    entries = [(_name(entry), entry) for entry in root.entries()]
    ours = [entry for name, entry in entries if _is_of(name, sheet.sidecar.picture)]
    if entries and not ours:
        names = {name for name, _ in entries}
        if len(names) > 1:
            raise sheet.sidecar.bad("", f"holds {len(names)} pictures, and none is named {sheet.sidecar.picture}")
        ours = [entry for _, entry in entries]
    for entry in ours:
        _enter(entry, sheet.class_name(entry.need("category_id")), sheet)
    return sheet.labels()


def excerpts(root: Field) -> Excerpts:
    """Return what a data set says of each picture, by file name."""
    found: Excerpts = {}
    by_id: dict[object, Excerpts] = {}
    for image in root.need("images").entries():
        document: Excerpts = {"images": [image.value], "annotations": [], "categories": []}
        found[last_part(image.need("file_name").text())] = by_id[_hashable(image.need("id"))] = document
    names = {_hashable(entry.need("id")): entry.value for entry in _listed(root, "categories")}
    for annotation in root.need("annotations").entries():
        target = by_id.get(_hashable(annotation.need("image_id")))
        if target is not None:
            target["annotations"].append(annotation.value)
            category = names.get(_hashable(annotation.need("category_id")))
            if category is not None and category not in target["categories"]:
                target["categories"].append(category)
    return found


def excerpts_of_results(root: Field) -> Excerpts:
    """Return the results of each picture, by its name."""
    found: Excerpts = {}
    for entry in root.entries():
        found.setdefault(last_part(_name(entry)), []).append(entry.value)
    return found


def _enter(annotation: Field, name: str, sheet: Sheet) -> None:
    confidence = score(annotation.get("score"))
    box = annotation.get("bbox")
    if box is None:
        _enter_polygons(annotation, name, confidence, sheet)
        return
    sides = list(box.items())
    if len(sides) != _SIDES:
        box.fail("must be [left, top, width, height]")
    sheet.add(name, sheet.sized(*sides), confidence)


def _enter_polygons(annotation: Field, name: str, confidence: float | None, sheet: Sheet) -> None:
    segmentation = annotation.get("segmentation")
    if segmentation is None or not isinstance(segmentation.value, list):
        sheet.skip()
        return
    points = [list(polygon.items()) for polygon in segmentation.items()]
    xs = [sheet.across(x) for polygon in points for x in polygon[0::2]]
    ys = [sheet.down(y) for polygon in points for y in polygon[1::2]]
    if len(xs) != len(ys):
        segmentation.fail("must be lists of x and y in turn")
    sheet.add_shape(name, xs, ys, confidence)


def _listed(root: Field, key: str) -> Iterator[Field]:
    found = root.get(key)
    return iter(()) if found is None else found.entries()


def _hashable(field: Field) -> object:
    if not isinstance(field.value, int | str):
        field.fail("must be a number or a text")
    return field.value


def _name(entry: Field) -> str:
    named = entry.get("file_name")
    return named.text() if named is not None else str(_hashable(entry.need("image_id")))


def _is_of(name: str, picture: str) -> bool:
    """Tell whether results are a picture's: 139 stands for `000000000139.jpg` as well."""
    stem = picture.rpartition(".")[0] or picture
    return fits(name, picture) or (name.isdecimal() and stem.isdecimal() and name == (stem.lstrip("0") or "0"))
