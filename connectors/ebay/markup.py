"""XML as eBay sends it, read without entities, document types or network. Pure.

Bytes that XML forbids are cut out first: eBay lets control characters through in buyers' names,
and one of them would hide a page of orders.
"""

import re
from typing import Final

from lxml import etree

from oms_sync.sdk import BadPayload

_FORBIDDEN: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|\xef\xbf[\xbe\xbf]")
_REFERENCE: Final = re.compile(rb"&#(x[0-9A-Fa-f]{1,20}|[0-9]{1,20});")
_START_TAG: Final = re.compile(rb"<[A-Za-z_:]")
_BOM: Final = b"\xef\xbb\xbf"
_ALLOWED: Final = ((0x9, 0xA), (0xD, 0xD), (0x20, 0xD7FF), (0xE000, 0xFFFD), (0x10000, 0x10FFFF))


class Node:
    """An element; names are without namespaces, paths are names joined by slashes."""

    __slots__ = ("_element",)

    def __init__(self, element: etree._Element) -> None:
        self._element = element

    @property
    def name(self) -> str:
        return str(self._element.tag)

    def text(self, path: str = ".") -> str | None:
        """The text at `path`, trimmed; None where it is absent or empty."""
        found = self._element.find(path)
        text = "" if found is None else (found.text or "").strip()
        return text or None

    def find(self, path: str) -> "Node | None":
        found = self._element.find(path)
        return None if found is None else Node(found)

    def all(self, path: str) -> list["Node"]:
        """Every element at `path`: none, one or many, always a list."""
        return [Node(each) for each in self._element.iterfind(path)]

    def attribute(self, name: str) -> str | None:
        return self._element.get(name)

    def to_bytes(self) -> bytes:
        """The element by itself, as `read_markup` understands it."""
        return etree.tostring(self._element, encoding="utf-8", with_tail=False)


def read_markup(body: bytes) -> Node:
    """The root of a document; raises BadPayload on anything but plain XML in UTF-8."""
    clean = _REFERENCE.sub(_keep_allowed, _FORBIDDEN.sub(b"", body.removeprefix(_BOM))).strip()
    _refuse_document_type(clean)
    # The encoding is fixed: no declaration can smuggle something past the check above.
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(clean, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise BadPayload(f"this is not XML: {str(error)[:200]}") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise BadPayload("the XML declares a document type")
    for element in root.iter(etree.Element):
        element.tag = str(element.tag).rpartition("}")[2]
    etree.cleanup_namespaces(root)
    return Node(root)


def wrap(name: str, attributes: dict[str, str], child: Node) -> bytes:
    """A document `name` around `child`."""
    root = etree.Element(name, attributes)
    root.append(etree.fromstring(child.to_bytes()))
    return etree.tostring(root, encoding="utf-8")


def _refuse_document_type(body: bytes) -> None:
    place = body.upper().find(b"<!DOCTYPE")
    if place >= 0 and _START_TAG.search(body, 0, place) is None:
        raise BadPayload("the XML declares a document type")


def _keep_allowed(found: "re.Match[bytes]") -> bytes:
    digits = found[1].decode()
    point = int(digits[1:], 16) if digits.startswith("x") else int(digits)
    return found[0] if any(low <= point <= high for low, high in _ALLOWED) else b""
