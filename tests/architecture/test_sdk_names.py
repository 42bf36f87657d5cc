"""The SDK is a promise to strangers: its names are pinned in sdk_names.txt, one a line.

Taking a name away or renaming it needs a new major API_VERSION; adding one needs a line here.
"""

import importlib


def test_the_public_names_of_the_sdk_are_the_pinned_ones(root):
    sdk = importlib.import_module("oms_sync.sdk")
    text = (root / "tests/architecture/sdk_names.txt").read_text(encoding="utf-8")
    version, *pinned = text.split()
    assert sorted(sdk.__all__) == sorted(pinned)
    assert version == f"API_VERSION={sdk.API_VERSION}"


def test_every_pinned_name_can_be_imported():
    sdk = importlib.import_module("oms_sync.sdk")
    assert [name for name in sdk.__all__ if not hasattr(sdk, name)] == []
    assert len(set(sdk.__all__)) == len(sdk.__all__)
