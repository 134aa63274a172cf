"""QR codes: as SVG for a page, as half blocks for a terminal."""

from typing import Final

import segno

_BORDER: Final = 2
# Which halves of a character are dark: upper, lower.
_BLOCKS: Final = {
    (False, False): " ",
    (True, False): "\N{UPPER HALF BLOCK}",
    (False, True): "\N{LOWER HALF BLOCK}",
    (True, True): "\N{FULL BLOCK}",
}


def svg(text: str) -> str:
    """Return ``text`` as an ``<svg>`` element without external references."""
    code = segno.make(text, error="m", micro=False)
    element = code.svg_inline(scale=4, border=4, omitsize=True, svgclass=None, lineclass=None)
    return str(element)


def lines(text: str) -> list[str]:
    """Return ``text`` as terminal lines, dark on light; each line shows two rows of the code."""
    code = segno.make(text, error="l", micro=False)
    rows = [[bool(cell) for cell in row] for row in code.matrix_iter(border=_BORDER)]
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return [
        "".join(_BLOCKS[above, below] for above, below in zip(upper, lower, strict=True))
        for upper, lower in pairs
    ]
