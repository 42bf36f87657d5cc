"""Every promise is named by a test, and no test names a promise that is none."""

import ast
import re
from collections import defaultdict

import pytest
from ruamel.yaml import YAML

PROVABLE = re.compile(r"I-\d\d|F\d\d|A\d\d|B-\d\d|C-\d\d|O-\d\d")


def _proved_by(node: ast.AST) -> list[str]:
    """The numbers of one `pytest.mark.proves(…)`, whether a decorator or in `pytestmark`."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.proves":
        return [ast.literal_eval(argument) for argument in node.args]
    return []


@pytest.fixture(scope="module")
def proofs(sources) -> dict[str, list[str]]:
    """Where each number is claimed."""
    places: dict[str, list[str]] = defaultdict(list)
    for source in sources:
        if source.path.startswith("tests/"):
            for node in ast.walk(source.tree):
                for number in _proved_by(node):
                    places[number].append(f"{source.path}:{node.lineno}")
    return dict(places)


def test_every_invariant_is_proved_by_a_test(proofs, root):
    text = (root / "tests/architecture/invariants.yaml").read_text(encoding="utf-8")
    promised = YAML(typ="safe").load(text)
    unproved = {number: what for number, what in promised.items() if number not in proofs}
    assert unproved == {}


def test_a_proof_names_a_known_kind_of_number(proofs):
    assert {k: v for k, v in proofs.items() if not PROVABLE.fullmatch(k)} == {}


def test_the_search_for_proofs_finds_them():
    tree = ast.parse('@pytest.mark.proves("I-01", "F02")\ndef test_a(): ...')
    assert [n for node in ast.walk(tree) for n in _proved_by(node)] == ["I-01", "F02"]
