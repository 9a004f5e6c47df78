"""A statement as a PDF file, of the same tables as its HTML."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from analytics.exports.printable import printable
from analytics.reports.statement_formats import INCOMPLETE, tables_of, title_of

_FONT, _BOLD = "DejaVuSans", "DejaVuSans-Bold"
_NAME_SHARE = 0.34
"""The share of the page's width that the first column has."""


class PdfMissing(Exception):
    """The package that writes PDF is not installed."""


def as_pdf(figures: dict[str, Any], now: datetime | None = None) -> bytes:
    """Return the statement as a PDF of A4 pages. Raises :class:`PdfMissing`.

    Its font has Latin, Greek and Cyrillic letters; others are shown as boxes.
    """
    try:
        from reportlab.lib import colors
        from reportlab.lib.pagesizes import A4
        from reportlab.lib.styles import ParagraphStyle
        from reportlab.lib.units import mm
        from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle
    except ImportError:
        raise PdfMissing("pip install -r requirements/pdf.txt") from None
    _register_fonts()
    text = ParagraphStyle("text", fontName=_FONT, fontSize=8, leading=11)
    cell = ParagraphStyle("cell", parent=text, fontSize=7.5, leading=9.5, splitLongWords=1)
    heading = ParagraphStyle("heading", parent=text, fontName=_BOLD, fontSize=10, spaceBefore=8)
    title = ParagraphStyle("title", parent=heading, fontSize=15, leading=19, spaceAfter=6)
    parts: list[Any] = [
        Paragraph(_plain(title_of(figures)), title),
        Paragraph(
            "Amounts are in USD, days are in UTC. “Saved” is the difference to what the same "
            f"requests would have cost on the baseline: {_plain(figures['baseline'])}.",
            text,
        ),
    ]
    if figures.get("pruned"):
        parts.append(Paragraph(INCOMPLETE, heading))
    width = A4[0] - 36 * mm
    for caption, headings, rows in tables_of(figures):
        parts += [Spacer(1, 4 * mm), Paragraph(_plain(caption), heading), Spacer(1, 1 * mm)]
        named = headings[0] in {"name", "model", "day"}
        body = [[Paragraph(_plain(row[0]), cell), *row[1:]] if named else list(row) for row in rows]
        first = width * _NAME_SHARE if named else width / len(headings)
        others = (width - first) / max(len(headings) - 1, 1)
        table = Table(
            [headings, *body], colWidths=[first, *[others] * (len(headings) - 1)], repeatRows=1
        )
        table.setStyle(
            TableStyle([
                ("FONT", (0, 0), (-1, -1), _FONT, 7.5),
                ("FONT", (0, 0), (-1, 0), _BOLD, 7.5),
                ("ALIGN", (1, 0), (-1, -1), "RIGHT"),
                ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
                ("LINEBELOW", (0, 0), (-1, -1), 0.4, colors.HexColor("#d0d0d0")),
            ])
        )  # fmt: skip
        parts.append(table)
    at = (now or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC")

    def footer(canvas: Any, document: Any) -> None:
        canvas.setFont(_FONT, 7)
        canvas.drawString(18 * mm, 10 * mm, f"AI Cost Optimizer, {at}")
        canvas.drawRightString(A4[0] - 18 * mm, 10 * mm, f"Page {document.page}")

    buffer = io.BytesIO()
    SimpleDocTemplate(
        buffer, pagesize=A4, title=title_of(figures), author="AI Cost Optimizer",
        leftMargin=18 * mm, rightMargin=18 * mm, topMargin=18 * mm, bottomMargin=18 * mm,
    ).build(parts, onFirstPage=footer, onLaterPages=footer)  # fmt: skip
    return buffer.getvalue()


def pdf_available() -> bool:
    """Return whether the package that writes PDF is installed."""
    return find_spec("reportlab") is not None


def _register_fonts() -> None:
    """Make the fonts of the charts known: PDF's own have the letters of Western Europe only."""
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    # Found without an import, which takes a second.
    charts = find_spec("matplotlib")
    assert charts is not None
    assert charts.origin is not None
    folder = Path(charts.origin).parent / "mpl-data" / "fonts" / "ttf"
    for name in (_FONT, _BOLD):
        if name not in pdfmetrics.getRegisteredFontNames():
            pdfmetrics.registerFont(TTFont(name, str(folder / f"{name}.ttf")))


def _plain(text: str) -> str:
    """Return text in which nothing is markup of a paragraph."""
    return printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
