"""Packing slips: readable by a scanner and by people, in every script."""

import re
import zlib
from datetime import UTC, datetime

import pytest

from oms_sync.cli.packing_slip import _Fonts, render_slips
from oms_sync.flows.commands.context import CommandRefused

AT = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
LINE = {
    "sku": "TEE RED M",
    "channel_sku": "tee",
    "title": "T-shirt, red",
    "quantity_ordered": 3,
    "quantity_cancelled": 0,
    "quantity_shipped": 1,
}


def order(name="Zoë Müller", lines=(LINE,)):
    return {
        "id": "01jx5-order",
        "account": "shop-a",
        "channel_order_id": "gid://x/1",
        "channel_order_number": "#1001",
        "placed_at": "2026-05-01T11:00:00Z",
        "recipient": {"name": name, "address": {"lines": ["1 Main St"], "city": "Town"}},
        "lines": list(lines),
    }


def render(*orders, paper="a4"):
    return render_slips(list(orders), paper=paper, font=None, at=AT)


def streams(pdf: bytes) -> bytes:
    """Every content stream, unpacked."""
    import base64

    found = b""
    for body in re.findall(rb"stream\r?\n(.*?)endstream", pdf, flags=re.DOTALL):
        try:
            found += zlib.decompress(base64.a85decode(body.strip(), adobe=False))
        except (ValueError, zlib.error):
            try:
                found += zlib.decompress(base64.a85decode(b"<~" + body.strip(), adobe=True))
            except (ValueError, zlib.error):
                continue
    return found


def test_a_slip_has_the_order_id_as_text_and_as_bars():
    slips = render(order())
    assert slips.content.startswith(b"%PDF-")
    drawn = streams(slips.content)
    assert b"(01jx5-order) Tj" in drawn
    bars = re.findall(rb"[\d.]+ [\d.]+ [\d.]+ [\d.]+ re", drawn)
    # Code 128: three bars a symbol, four in the stop symbol; start, 11 characters, check, stop.
    assert len(bars) >= 3 * 13 + 4
    assert (slips.pages, slips.missing) == (1, "")


def test_the_same_slip_is_the_same_file():
    assert render(order()).content == render(order()).content


@pytest.mark.parametrize(("paper", "box"), [("a4", b"595.2756 841.8898"), ("letter", b"612 792")])
def test_the_paper_is_as_asked(paper, box):
    assert b"/MediaBox [ 0 0 " + box + b" ]" in render(order(), paper=paper).content


def test_each_order_begins_a_page_and_long_ones_go_on():
    many = [{**LINE, "sku": f"SKU-{number}"} for number in range(60)]
    assert render(order(lines=many), order()).pages == 3


def test_units_no_longer_to_ship_are_left_out():
    done = {**LINE, "sku": "DONE", "quantity_shipped": 3}
    assert render(order(lines=[LINE, done])).content == render(order(lines=[LINE])).content


@pytest.mark.parametrize("name", ["李小龍", "김철수", "ひらがな"])
def test_asian_names_use_the_readers_own_fonts(name):
    slips = render(order(name))
    assert slips.missing == ""
    assert re.search(rb"HeiseiKakuGo|STSong|MSung|HYGothic", slips.content)


def test_a_letter_no_font_has_stands_as_its_code(monkeypatch):
    monkeypatch.setattr("oms_sync.cli.packing_slip._SYSTEM_FONTS", ())
    slips = render(order("ᚠ Runa"))
    assert slips.missing == "ᚠ"
    assert render(order("ᚠ Runa")).content != render(order(" Runa")).content


def test_what_the_buyer_wrote_and_the_number_for_customs_stand_above_the_lines():
    words = {"buyer_note": "Ring twice\nplease", "import_tax_number": "IM1234567890"}
    drawn = streams(render({**order(), **words}).content)
    said = [b"(Import tax is paid under IM1234567890)", b"(The buyer wrote:)", b"(Ring twice)"]
    places = [drawn.index(text) for text in (*said, b"(please)", b"(SKU)")]
    assert places == sorted(places)
    assert b"The buyer wrote" not in streams(render(order()).content)


def test_a_note_longer_than_a_page_goes_on_overleaf():
    long = {"buyer_note": "\n".join(f"line {number}" for number in range(60))}
    assert render({**order(), **long}).pages == 2


def test_a_title_of_one_endless_word_is_broken():
    assert render(order(lines=[{**LINE, "title": "x" * 500}])).pages == 1


def test_a_file_that_is_no_font_is_refused(tmp_path):
    file = tmp_path / "x.ttf"
    file.write_bytes(b"nonsense")
    with pytest.raises(CommandRefused, match="no TrueType font"):
        render_slips([order()], paper="a4", font=file, at=AT)


def test_the_command_writes_the_file_and_logs_who_saw_the_address(stocked):
    path = stocked.folder / "slip.pdf"
    result = stocked("orders", "slip", "manual:B2B-1", "--output", str(path))
    assert path.read_bytes().startswith(b"%PDF-")
    assert "1 packing slips, 1 pages" in result.stdout
    timeline = stocked.json("orders", "show", "manual:B2B-1")["timeline"]
    assert [one["detail"]["purpose"] for one in timeline if one["name"] == "order.revealed"] == [
        "packing slip"
    ]
    refused = stocked("orders", "slip", "manual:nope", "--output", str(path), status=1)
    assert "no order" in refused.stderr


def test_no_note_fills_more_paper_than_anybody_reads_and_the_slip_says_that_there_is_more():
    slips = render(order() | {"buyer_note": "\n".join(f"line {number}" for number in range(5_000))})
    assert slips.pages < 6
    drawn = streams(slips.content)
    assert b"(line 98) Tj" in drawn
    assert b"(line 99) Tj" not in drawn
    assert b"oms-sync orders show --reveal) Tj" in drawn
    empty = render(order() | {"buyer_note": "Ring" + "\n" * 5_000 + "twice"})
    assert empty.pages == 1
    assert b"(twice) Tj" in streams(empty.content)


def test_a_note_without_any_width_is_laid_out_in_no_time(monkeypatch):
    measured = []
    width = _Fonts.width

    def measure(self, text, size):
        measured.append(len(text))
        return width(self, text, size)

    monkeypatch.setattr(_Fonts, "width", measure)
    assert render(order() | {"buyer_note": "\u2060" * 2_000}).pages == 1
    assert sum(measured) < 10_000, "each character is measured once"
