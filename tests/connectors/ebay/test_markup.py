"""eBay's XML is read without entities, document types or network, control characters cut out."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.ebay.markup import read_markup, wrap
from oms_sync.sdk import BadPayload

BOMB = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">
]><lolz>&c;</lolz>"""
OUTSIDE = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'


@pytest.mark.proves("A29", "A30")
@pytest.mark.parametrize(
    "body",
    [
        BOMB,
        OUTSIDE,
        b"\xef\xbb\xbf" + OUTSIDE,
        b"<?xml version='1.0'?><!-- <a> --><!doctype a><a/>",
        OUTSIDE.decode().encode("utf-16"),
    ],
)
def test_a_document_type_is_refused_at_once(body):
    started = time.perf_counter()
    with pytest.raises(BadPayload):
        read_markup(body)
    assert time.perf_counter() - started < 0.01


def test_a_document_type_named_in_a_text_is_only_a_text():
    body = b"<a><![CDATA[<!DOCTYPE html>]]></a>"
    assert read_markup(body).text() == "<!DOCTYPE html>"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("A\x07B", "AB"),  # a byte XML forbids
        ("A&#7;B", "AB"),  # a reference to it
        ("A&#x07;B", "AB"),
        ("A&#xFFFE;B", "AB"),
        ("A&#xD800;B", "AB"),
        ("A\ufffeB", "AB"),
        ("A&#x41;B", "AAB"),  # an allowed reference stays
        ("A&#10;B", "A\nB"),
        ("A&amp;#7;B", "A&#7;B"),  # an escaped one is a text
        ("Ä😀", "Ä😀"),
    ],
)
@pytest.mark.proves("F42")
def test_characters_xml_forbids_are_cut_out(written, read):
    assert read_markup(f"<a><b>{written}</b></a>".encode()).text("b") == read


@given(st.binary(max_size=200))
def test_whatever_the_bytes_the_only_error_is_bad_payload(body):
    try:
        read_markup(body)
    except BadPayload:
        return


@pytest.mark.parametrize("body", [b"", b"<html>", b"<a><b></a>", b"plain", b"\xff\xfe", b"<a>\xff"])
def test_what_is_no_xml_is_bad_payload(body):
    with pytest.raises(BadPayload):
        read_markup(body)


@pytest.mark.proves("A22")
def test_depth_is_bounded():
    with pytest.raises(BadPayload):
        read_markup(b"<a>" * 100_000)


def test_names_are_read_without_namespaces_and_instructions_are_skipped():
    root = read_markup(b'<?x?><e:a xmlns:e="urn:e"><?pi?><!-- c --><e:b k="v"> t </e:b></e:a>')
    assert (root.name, root.text("b"), root.find("b").attribute("k")) == ("a", "t", "v")


def test_one_many_and_no_children_are_always_a_list():
    for body, count in ((b"<a/>", 0), (b"<a><b/></a>", 1), (b"<a><b/><b/></a>", 2)):
        assert len(read_markup(body).all("b")) == count


def test_an_empty_element_has_no_text():
    root = read_markup(b"<a><ShippedTime/><SKU>\n\t</SKU></a>")
    assert root.text("ShippedTime") is None
    assert root.text("SKU") is None
    assert root.text("Absent") is None


def test_a_wrapped_element_reads_the_same():
    inner = read_markup(b'<o xmlns="urn:x"><a k="1">&amp;</a>tail</o>').find("a")
    again = read_markup(wrap("Seen", {"level": "1"}, inner))
    assert (again.name, again.attribute("level")) == ("Seen", "1")
    assert (again.text("a"), again.find("a").attribute("k")) == ("&", "1")
