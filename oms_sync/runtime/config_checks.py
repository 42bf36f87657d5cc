"""What pydantic cannot see: names used twice, places that do not exist, listeners in conflict.

Works on values that may be anything at all: a second mistake never hides behind the first.
"""

from collections.abc import Iterator
from typing import Any

from oms_sync.runtime.config_faults import KeyPath, Place
from oms_sync.runtime.config_file import Broken, ListNode, MapNode, Node, Scalar
from oms_sync.runtime.config_values import RawSettings, Reading, find_node

_LOCATION_DEFAULT = "main"


def core_values(tree: MapNode, reading: Reading) -> dict[str, Any]:
    """Plain values of the whole file; each account's `settings:` stay as written."""
    values: dict[str, Any] = {}
    for entry in tree.entries:
        if entry.key == "accounts" and isinstance(entry.node, ListNode):
            nodes = enumerate(entry.node.nodes)
            values["accounts"] = [_account(node, ("accounts", i), reading) for i, node in nodes]
        else:
            values[entry.key] = reading.plain(entry.node, (entry.key,))
    return values


def _account(node: Node, path: KeyPath, reading: Reading) -> Any:
    if not isinstance(node, MapNode):
        return reading.plain(node, path)
    values: dict[str, Any] = {}
    for entry in node.entries:
        if entry.key != "settings":
            values[entry.key] = reading.plain(entry.node, (*path, entry.key))
    values["settings"] = _raw_settings(node, path, reading)
    return values


def _raw_settings(account: MapNode, path: KeyPath, reading: Reading) -> RawSettings:
    entry = account.find("settings")
    written: Node = entry.node if entry else MapNode(place=account.place)
    if isinstance(written, Scalar) and written.value is None:
        written = MapNode(place=written.place)
    if not isinstance(written, MapNode):
        if not isinstance(written, Broken):
            what = "must be a mapping of `key: value` lines"
            reading.say(written.place, (*path, "settings"), what)
        written = MapNode(place=written.place)
    return RawSettings(node=written, account=account, path=path, source=reading.source)


def note_crossed(values: dict[str, Any], tree: MapNode, reading: Reading) -> None:
    """Note every fault that takes two places of the file to see."""
    _note_doubles(values, ("locations", "code"), tree, reading)
    _note_doubles(values, ("accounts", "name"), tree, reading)
    _note_unknown_locations(values, tree, reading)
    _note_listeners(values, tree, reading)


def _note_doubles(
    values: dict[str, Any], field: tuple[str, str], tree: MapNode, reading: Reading
) -> None:
    first: dict[str, int] = {}
    for path, text in _texts(values, *field):
        place = _place(tree, path)
        if text in first:
            what = f"is used twice, first in line {first[text]}; choose another {field[1]}"
            reading.say(place, path, what)
        first.setdefault(text, place.line)


def _note_unknown_locations(values: dict[str, Any], tree: MapNode, reading: Reading) -> None:
    codes = {text for _, text in _texts(values, "locations", "code")}
    codes |= set() if "locations" in values else {_LOCATION_DEFAULT}
    shown = ", ".join(sorted(codes)[:20])
    for index, account in enumerate(_list(values.get("accounts"))):
        path: KeyPath = ("accounts", index, "stock", "locations")
        stock = account.get("stock", {}) if isinstance(account, dict) else None
        if not isinstance(stock, dict):
            continue
        named = stock.get("locations", [_LOCATION_DEFAULT])
        seen: set[str] = set()
        for at, code in enumerate(_list(named)):
            where = (*path, at) if "locations" in stock else path
            if isinstance(code, str) and code not in codes:
                reading.say(_place(tree, where), where, f"is no location; allowed: {shown}")
            if isinstance(code, str) and code in seen:
                reading.say(_place(tree, where), where, "names a location twice; name it once")
            seen.add(str(code))


def _note_listeners(values: dict[str, Any], tree: MapNode, reading: Reading) -> None:
    web = values.get("web")
    webhooks = web.get("webhooks") if isinstance(web, dict) else None
    if not isinstance(web, dict) or not isinstance(webhooks, dict):
        return
    here = (web.get("host", "127.0.0.1"), str(web.get("port", 8080)))
    there = (webhooks.get("host", "127.0.0.1"), str(webhooks.get("port")))
    if here == there and here[1] != "0":
        path: KeyPath = ("web", "webhooks", "port")
        what = "is the port of web already; choose another, or leave web.webhooks out"
        reading.say(_place(tree, path), path, what)


def _texts(values: dict[str, Any], listed: str, key: str) -> Iterator[tuple[KeyPath, str]]:
    for index, each in enumerate(_list(values.get(listed))):
        if isinstance(each, dict) and isinstance(each.get(key), str):
            yield (listed, index, key), each[key]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _place(tree: MapNode, path: KeyPath) -> Place:
    node, _ = find_node(tree, path)
    return node.place
