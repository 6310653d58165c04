"""The rules on annotations: an ordered list of which the first that holds counts. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.frame import Annotation
    from agent.selection.plan import Rule

Boxes = tuple["Annotation", ...]


def first_that_holds(rules: Sequence[Rule], boxes: Boxes | None, is_novel: Callable[[str], bool]) -> Rule | None:
    """Return the rule that counts for a picture with these boxes (None: nothing is known of it), or None."""
    return next((rule for rule in rules if holds(rule, boxes, is_novel)), None)


def holds(rule: Rule, boxes: Boxes | None, is_novel: Callable[[str], bool]) -> bool:
    """Tell whether a rule is about a picture with these boxes."""
    if not rule.asks:
        return True
    if boxes is None:
        return False
    meant = [box for box in boxes if _is_meant(rule, box)]
    # A rule that names no number of boxes wants one; but "at most so many" is content with none.
    fewest = rule.min_boxes if rule.min_boxes is not None else int(rule.max_boxes is None)
    if len(meant) < fewest or (rule.max_boxes is not None and len(meant) > rule.max_boxes):
        return False
    return not rule.novel or any(is_novel(box.class_value) for box in meant)


def _is_meant(rule: Rule, box: Annotation) -> bool:
    if rule.classes and box.class_value not in rule.classes:
        return False
    if rule.confidence is None:
        return True
    least, most = rule.confidence
    return box.confidence is not None and least <= box.confidence <= most
