"""The kinds of picture that the platform takes as they are.

Apart from the nouns in `frame`: the children that look at pictures know these alone, and each noun costs a start a
millisecond.
"""

from __future__ import annotations

JPEG = "image/jpeg"
PNG = "image/png"
EXTENSIONS = {JPEG: "jpg", PNG: "png"}
