"""Packing slips as PDF: what a warehouse without software prints, packs from, and scans.

A character no font here has is printed as its code, so that nothing is dropped in silence.
"""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import reportlab
from reportlab.graphics.barcode.code128 import Code128
from reportlab.lib.pagesizes import A4, LETTER
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFError, TTFont
from reportlab.pdfgen.canvas import Canvas

from oms_sync.flows.commands.context import CommandRefused

SIZES = {"a4": A4, "letter": LETTER}
PAGES_MAX = 10_000
MISSING_SHOWN_MAX = 20
#: of what the buyer wrote; the rest is left to the screen, and the slip says so
REMARK_ROWS_MAX = 100

_MARGIN = 18 * mm
_LINE = 6 * mm
_TEXT, _SMALL, _BIG = 10, 8, 16
_BAR_WIDTHS = (0.33 * mm, 0.25 * mm, 0.19 * mm)
_QUANTITY_AT, _SHIPPED_AT = 128 * mm, 146 * mm
_SKU_WIDTH, _TITLE_WIDTH = 52 * mm, 70 * mm
# Fonts machines often have, in the order of how many scripts they cover.
_SYSTEM_FONTS = (
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/TTF/DejaVuSans.ttf",
    "/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf",
    "/usr/share/fonts/truetype/freefont/FreeSans.ttf",
    "/usr/share/fonts/truetype/unifont/unifont.ttf",
    "/Library/Fonts/Arial Unicode.ttf",
    "/System/Library/Fonts/Supplemental/Arial Unicode.ttf",
)
# Asian scripts by fonts every PDF reader brings itself; what they cover is told by Python's codecs.
_READER_FONTS = (
    ("HeiseiKakuGo-W5", "shift_jis"),
    ("STSong-Light", "gb2312"),
    ("MSung-Light", "big5"),
    ("HYGothic-Medium", "euc_kr"),
)
_ASIAN_FROM = 0x1100


@dataclass(frozen=True, slots=True, kw_only=True)
class Slips:
    """A PDF, how many pages it has, and the characters that stand in it as codes."""

    content: bytes
    pages: int
    missing: str


def render_slips(
    orders: Sequence[Mapping[str, Any]], *, paper: str, font: Path | None, at: datetime
) -> Slips:
    """One slip an order, each on a page of its own, from order reports with the recipient."""
    fonts = _Fonts.load(font)
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=SIZES[paper], invariant=1)
    canvas.setTitle("Packing slips")
    sheet = _Sheet(canvas=canvas, fonts=fonts, size=SIZES[paper])
    for order in orders:
        _Slip(sheet, order, at).draw()
    canvas.save()
    missing = "".join(sorted(fonts.missing))[:MISSING_SHOWN_MAX]
    return Slips(content=buffer.getvalue(), pages=sheet.pages, missing=missing)


@dataclass(slots=True)
class _Fonts:
    """Fonts in the order they are tried, character by character."""

    #: font name to the code points it has
    covered: dict[str, frozenset[int]]
    missing: set[str] = field(default_factory=set)

    @classmethod
    def load(cls, chosen: Path | None) -> "_Fonts":
        folder = Path(reportlab.__file__).parent / "fonts"
        files = [folder / "Vera.ttf", *(Path(name) for name in _SYSTEM_FONTS)]
        if chosen is not None:
            files.insert(0, chosen)
        covered: dict[str, frozenset[int]] = {}
        for number, file in enumerate(files):
            if file != chosen and not file.exists():
                continue
            try:
                made = TTFont(f"slip-{number}", str(file))
            except (TTFError, OSError) as error:
                raise CommandRefused(f"{file} is no TrueType font that can be used") from error
            pdfmetrics.registerFont(made)
            covered[made.fontName] = frozenset(made.face.charToGlyph)
        return cls(covered=covered)

    def runs(self, text: str) -> Iterator[tuple[str, str]]:
        """The text as (font, piece), each piece in a font that has it."""
        run_font, piece = "", ""
        for character in text:
            name, shown = self._place(character)
            if name != run_font and piece:
                yield run_font, piece
                piece = ""
            run_font, piece = name, piece + shown
        if piece:
            yield run_font, piece

    def width(self, text: str, size: float) -> float:
        """How wide the text is in points."""
        return sum(pdfmetrics.stringWidth(piece, font, size) for font, piece in self.runs(text))

    def _place(self, character: str) -> tuple[str, str]:
        for name, points in self.covered.items():
            if ord(character) in points:
                return name, character
        if ord(character) >= _ASIAN_FROM:
            for name, codec in _READER_FONTS:
                if _is_encodable(character, codec):
                    if name not in pdfmetrics.getRegisteredFontNames():
                        pdfmetrics.registerFont(UnicodeCIDFont(name))
                    return name, character
        self.missing.add(character)
        return next(iter(self.covered)), f"[U+{ord(character):04X}]"


@dataclass(slots=True)
class _Sheet:
    """The page being filled, from the top down."""

    canvas: Canvas
    fonts: _Fonts
    size: tuple[float, float]
    y: float = 0.0
    pages: int = 0

    def begin(self) -> None:
        """A fresh page."""
        if self.pages >= PAGES_MAX:
            raise CommandRefused(f"more than {PAGES_MAX} pages; print fewer orders at once")
        self.pages += 1
        self.y = self.size[1] - _MARGIN

    def end(self) -> None:
        """The page is full."""
        self.canvas.showPage()

    def write(self, text: str, *, x: float = 0.0, size: float = _TEXT) -> None:
        """Text at the present height, `x` from the left margin."""
        drawing = self.canvas.beginText(_MARGIN + x, self.y)
        for name, piece in self.fonts.runs(text):
            drawing.setFont(name, size)
            drawing.textOut(piece)
        self.canvas.drawText(drawing)

    def rule(self) -> None:
        """A line across the page."""
        self.canvas.line(_MARGIN, self.y, self.size[0] - _MARGIN, self.y)

    def wrap(self, text: str, width: float, size: float = _TEXT) -> list[str]:
        """The text in pieces no wider than `width`, cut anywhere where no blank helps."""
        lines, line, filled = [], "", 0.0
        for character in " ".join(text.split()):
            wide = self.fonts.width(character, size)
            if line and filled + wide > width:
                head, blank, tail = line.rpartition(" ")
                lines.append(head if blank and head else line)
                line = ((tail if blank and head else "") + character).lstrip()
                filled = self.fonts.width(line, size)
                continue
            line, filled = line + character, filled + wide
        return [*lines, line] if line or not lines else lines


class _Slip:
    """One order on as many pages as its lines need."""

    def __init__(self, sheet: _Sheet, order: Mapping[str, Any], at: datetime) -> None:
        self._sheet = sheet
        self._order = order
        self._at = at
        self._page = 0

    def draw(self) -> None:
        self._begin_page()
        self._address()
        self._remarks()
        self._heading()
        for line in self._order["lines"]:
            self._line(line)
        self._sheet.end()

    def _begin_page(self) -> None:
        sheet, order = self._sheet, self._order
        sheet.begin()
        self._page += 1
        self._barcode(str(order["id"]))
        sheet.write("Packing slip", size=_BIG)
        sheet.y -= 1.5 * _LINE
        sheet.write(f"Order {order['id']}")
        sheet.y -= _LINE
        number = order.get("channel_order_number") or order["channel_order_id"]
        sheet.write(f"{order['account']} {number}")
        sheet.y -= _LINE
        placed = str(order.get("placed_at") or "")[:10]
        printed = self._at.strftime("%Y-%m-%d %H:%M UTC")
        sheet.write(f"Placed {placed or '–'}, printed {printed}, page {self._page}", size=_SMALL)
        sheet.y -= 2 * _LINE

    def _barcode(self, text: str) -> None:
        """Code 128 at the top right, as wide as fits; a scanner gives back the order's id."""
        sheet = self._sheet
        room = sheet.size[0] - 2 * _MARGIN - 70 * mm
        bars = [Code128(text, barHeight=14 * mm, barWidth=width) for width in _BAR_WIDTHS]
        chosen = next((bar for bar in bars if bar.width <= room), bars[-1])
        left = sheet.size[0] - _MARGIN - chosen.width
        chosen.drawOn(sheet.canvas, left, sheet.y - 10 * mm)
        sheet.canvas.setFont("Courier", _SMALL)
        sheet.canvas.drawRightString(sheet.size[0] - _MARGIN, sheet.y - 14 * mm, text)

    def _address(self) -> None:
        sheet = self._sheet
        lines = list(_address_lines(self._order.get("recipient") or {}))
        for text in lines or [_no_address(self._order)]:
            for piece in sheet.wrap(text, sheet.size[0] - 2 * _MARGIN, 12):
                sheet.write(piece, size=12)
                sheet.y -= _LINE
        sheet.y -= _LINE

    def _remarks(self) -> None:
        """What the customs form needs, and what the buyer wrote; long notes go on overleaf."""
        sheet, order = self._sheet, self._order
        number, wish = order.get("import_tax_number"), order.get("buyer_note")
        texts = [f"Import tax is paid under {number}"] if number else []
        texts += ["The buyer wrote:", *str(wish).splitlines()] if wish else []
        rows = self._rows(texts)
        for row in rows:
            self._make_room(1)
            sheet.write(row)
            sheet.y -= _LINE
        sheet.y -= _LINE if rows else 0

    def _rows(self, texts: Iterable[str]) -> list[str]:
        """The texts as rows of the sheet without empty ones, no more than a packer can read."""
        sheet, rows = self._sheet, list[str]()
        for text in texts:
            rows += filter(None, sheet.wrap(text, sheet.size[0] - 2 * _MARGIN))
            if len(rows) > REMARK_ROWS_MAX:
                return [*rows[:REMARK_ROWS_MAX], "… and more: oms-sync orders show --reveal"]
        return rows

    def _make_room(self, rows: int) -> None:
        """A fresh page where so many rows do not fit any more."""
        if self._sheet.y - rows * _LINE < _MARGIN:
            self._sheet.end()
            self._begin_page()

    def _heading(self) -> None:
        sheet = self._sheet
        self._make_room(2)
        sheet.write("SKU", size=_SMALL)
        sheet.write("Title", x=_SKU_WIDTH + 4 * mm, size=_SMALL)
        sheet.write("To ship", x=_QUANTITY_AT, size=_SMALL)
        sheet.write("Packed", x=_SHIPPED_AT, size=_SMALL)
        sheet.y -= 2 * mm
        sheet.rule()
        sheet.y -= _LINE

    def _line(self, line: Mapping[str, Any]) -> None:
        sheet = self._sheet
        units = line["quantity_ordered"] - line["quantity_cancelled"] - line["quantity_shipped"]
        if units <= 0:
            return
        skus = sheet.wrap(str(line["sku"] or line["channel_sku"] or "–"), _SKU_WIDTH)
        titles = sheet.wrap(str(line["title"] or ""), _TITLE_WIDTH)
        rows = max(len(skus), len(titles))
        if sheet.y - rows * _LINE < _MARGIN:
            sheet.end()
            self._begin_page()
            self._heading()
        sheet.write(str(units), x=_QUANTITY_AT)
        sheet.canvas.rect(_MARGIN + _SHIPPED_AT, sheet.y - 1 * mm, 4 * mm, 4 * mm)
        for row in range(rows):
            for texts, x in ((skus, 0.0), (titles, _SKU_WIDTH + 4 * mm)):
                if row < len(texts):
                    sheet.write(texts[row], x=x)
            sheet.y -= _LINE


def _no_address(order: Mapping[str, Any]) -> str:
    if order.get("erased_at"):
        return f"Personal data was erased on {str(order['erased_at'])[:10]}; look at the channel."
    return "No address is known; look at the channel."


def _address_lines(recipient: Mapping[str, Any]) -> Iterable[str]:
    address = recipient.get("address") or {}
    place = " ".join(
        str(address[name]) for name in ("postal_code", "city", "region") if address.get(name)
    )
    listed = (
        recipient.get("name"),
        recipient.get("company"),
        *(address.get("lines") or ()),
        place,
        address.get("country"),
        recipient.get("phone"),
    )
    return [str(text) for text in listed if text]


def _is_encodable(character: str, codec: str) -> bool:
    try:
        character.encode(codec)
    except UnicodeEncodeError:
        return False
    return True
