"""A connector's `checklist.yaml`, read as strictly as an operator's file."""

from importlib import resources
from typing import get_args

from oms_sync.runtime.config_faults import ConfigError, Fault, KeyPath, Place, make_fault
from oms_sync.runtime.config_file import FILE_BYTES_MAX, Broken, MapNode, Node, Scalar, read_tree
from oms_sync.sdk.checklist import Answer, Status

NAME = "checklist.yaml"
_STATUSES: tuple[Status, ...] = get_args(Status)
_ALLOWED = "must be done, todo, or {status: exempt, reason: …}"


def read_checklist(package: str) -> dict[str, Answer]:
    """The answers of a connector by rule; raises ConfigError with every fault of the file."""
    file = resources.files(package).joinpath(NAME)
    if not file.is_file():
        what = f"is missing; a connector answers every rule in the {NAME} of its package"
        raise ConfigError([make_fault(str(file), Place(), (), what)])
    text = file.read_bytes()[: FILE_BYTES_MAX + 1].decode("utf-8", "replace")
    return read_answers(text, file=str(file))


def read_answers(text: str, *, file: str) -> dict[str, Answer]:
    """The answers in a checklist's text; raises ConfigError with every fault of it."""
    tree, faults = read_tree(text, file)
    rules = tree.find("rules") if tree else None
    answers: dict[str, Answer] = {}
    if tree is not None and (rules is None or not isinstance(rules.node, MapNode)):
        faults.append(make_fault(file, Place(), ("rules",), "must be a mapping of `rule: answer`"))
    elif rules is not None and isinstance(rules.node, MapNode):
        for entry in rules.node.entries:
            answer = _answer(entry.node)
            if isinstance(answer, Answer):
                answers[entry.key] = answer
            elif not isinstance(entry.node, Broken):
                faults.append(_fault(file, entry.node, ("rules", entry.key), answer))
    if faults:
        raise ConfigError(faults)
    return answers


def _fault(file: str, node: Node, path: KeyPath, message: str) -> Fault:
    return make_fault(file, node.place, path, message)


def _answer(node: Node) -> Answer | str:
    """The answer, else what is wrong with it."""
    if isinstance(node, Scalar):
        return _of(node.value, "")
    if not isinstance(node, MapNode):
        return _ALLOWED
    fields = {
        entry.key: entry.node.value for entry in node.entries if isinstance(entry.node, Scalar)
    }
    if len(fields) != len(node.entries) or not fields.keys() <= {"status", "reason"}:
        return _ALLOWED
    reason = fields.get("reason")
    return _of(fields.get("status"), reason if isinstance(reason, str) else "")


def _of(status: object, reason: str) -> Answer | str:
    for known in _STATUSES:
        if status == known:
            if known == "exempt" and not reason.strip():
                return "an exemption needs a reason: {status: exempt, reason: …}"
            return Answer(status=known, reason=reason.strip())
    return _ALLOWED
