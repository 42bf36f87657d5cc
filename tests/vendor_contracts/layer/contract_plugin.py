"""Holds what every test's connectors send, and sandboxes answer, against the vendors' contracts.

On where OMS_SYNC_VENDOR_SPECS names their folder, for every test of the run; elsewhere it says in
one line that nothing was compared. What does not fit fails the test that sent it.
"""

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from contract_amazon import AmazonContracts
from contract_ebay import EbayContracts
from contract_shopify import ShopifyContracts
from contract_tap import SPOOL_VARIABLE, Exchange, Tap, install

VARIABLE = "OMS_SYNC_VENDOR_SPECS"
HERE = Path(__file__).parents[1]
CONTRACTS = {"amazon": AmazonContracts, "ebay": EbayContracts, "shopify": ShopifyContracts}
#: what must lie below the folder
NEEDED = (
    "amazon/models/orders-api-model/orders_2026-01-01.json",
    "amazon/schemas/feeds/listings-feed-schema-v2.json",
    "amazon/schemas/notifications/OrderChangeNotification.json",
    "ebay/eBaySvc_1379.wsdl.gz",
    "ebay/sell_fulfillment_v1_oas3.json",
    "ebay/sell_inventory_v1_oas3.json",
    "ebay/commerce_notification_v1_oas3.json",
    "ebay/developer_analytics_v1_beta_oas3.json",
    "ebay/samples",
    "shopify/admin-graphql/admin_2026-04.json.gz",
    "shopify/admin-graphql/admin_2026-07.json.gz",
    "shopify/admin-graphql/admin_2026-10.json.gz",
    "shopify/recorded",
    "shopify/webhooks/metadatas",
    "shopify/webhook-exemplars",
)
#: folders whose tests start processes that are listened to as well
WITH_PROCESSES = ("e2e", "vendor_contracts")
PROBLEMS_SHOWN = 80
DIGITS = 16
FINGERPRINTS = HERE / "fingerprints.json"
MARK = "off_contract"
PARTS = ("requests", "answers", "off_contract")


class Layer:
    """The tap of this process, the checks, and what they counted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spool = Path(tempfile.mkdtemp(prefix="oms-sync-contracts-"))
        self.tap = Tap()
        self.contracts = {name: kind(folder / name) for name, kind in CONTRACTS.items()}
        self.counts: dict[str, Counter[str]] = {part: Counter() for part in PARTS}
        #: (vendor, digest of the name) of every example some test parsed
        self.examples: set[tuple[str, str]] = set()
        self.failing, self.seconds = 0, 0.0
        self._read: dict[Path, int] = {}

    def settle(self, *, is_exempt: bool) -> list[str]:
        """Check what was heard since the last time; gives what does not fit."""
        began = time.perf_counter()
        found: list[str] = []
        for exchange in (*self.tap.drain(), *self._written()):
            if is_exempt and exchange.status is None:
                self.counts[MARK][exchange.channel] += 1
            else:
                found += self._check(exchange)
        self.seconds += time.perf_counter() - began
        bypassed, self.tap.bypassed = self.tap.bypassed, []
        self.failing += len(found) + len(bypassed)
        return [*bypassed, *found]

    def _check(self, exchange: Exchange) -> list[str]:
        contracts = self.contracts[exchange.channel]
        if exchange.status is None:
            name, problems = contracts.check_request(exchange)
            part = "requests"
        else:
            checked = contracts.check_answer(exchange)
            if checked is None:
                return []
            name, problems = checked
            part = "answers"
        self.counts[part][f"{exchange.channel} {name}"] += 1
        return [f"{exchange.channel} {part[:-1]} {name}: {each}" for each in problems]

    def _written(self) -> Iterator[Exchange]:
        """What the processes of tests wrote down since the last time."""
        for path in sorted(self.spool.glob("*.jsonl")):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                for line in file:
                    if not line.endswith(b"\n"):  # still being written, or its process was killed
                        break
                    self._read[path] = self._read.get(path, 0) + len(line)
                    yield Exchange.read(line)

    def told(self) -> dict[str, Any]:
        """For the process that prints the sums."""
        sums: dict[str, Any] = {part: dict(counter) for part, counter in self.counts.items()}
        told = {"failing": self.failing, "seconds": self.seconds}
        return {**sums, **told, "examples": sorted(map(list, self.examples))}

    def close(self) -> None:
        shutil.rmtree(self.spool, ignore_errors=True)


LAYER = pytest.StashKey[Layer | None]()
SUMS = pytest.StashKey[list[dict[str, Any]]]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", f"{MARK}(reason): sends on purpose what no contract allows, for that reason"
    )
    config.stash[LAYER], config.stash[SUMS] = None, []
    named = os.environ.get(VARIABLE)
    if not named:
        return
    missing = [each for each in NEEDED if not Path(named, each).exists()]
    if missing:
        raise pytest.UsageError(f"{VARIABLE}={named} lacks {', '.join(missing)}")
    layer = Layer(Path(named))
    config.stash[LAYER] = layer
    install(layer.tap)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without the contracts, what needs them is not run; the summary says so once."""
    if config.stash[LAYER] is not None:
        return
    apart = [each for each in items if "specs" in getattr(each, "fixturenames", ())]
    if apart:
        config.hook.pytest_deselected(items=apart)
        items[:] = [each for each in items if each not in set(apart)]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    layer = item.config.stash[LAYER]
    if layer is None:
        return
    is_listened_to = any(part in WITH_PROCESSES for part in item.path.parts)
    if is_listened_to:
        os.environ[SPOOL_VARIABLE] = str(layer.spool)
        os.environ["PYTHONPATH"] = str(HERE / "inside")
    elif os.environ.pop(SPOOL_VARIABLE, None):
        os.environ.pop("PYTHONPATH", None)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    yield
    layer = item.config.stash[LAYER]
    if layer is None:
        return
    marker = item.get_closest_marker(MARK)
    assert marker is None or marker.args, f"{MARK} needs a reason"
    problems = layer.settle(is_exempt=marker is not None)
    if problems:
        shown = "\n  ".join(dict.fromkeys(problems[:PROBLEMS_SHOWN]))
        pytest.fail(f"{len(problems)} against the vendors' contracts:\n  {shown}", pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[pytest.TestReport]:
    report: pytest.TestReport = yield
    is_ours = HERE in item.path.parents
    if report.skipped and is_ours and item.config.stash[LAYER] is not None:
        report.outcome = "failed"
        report.longrepr = f"skipped, and nothing may be where {VARIABLE} is set"
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    layer = session.config.stash[LAYER]
    if layer is None:
        return
    layer.settle(is_exempt=False)
    layer.close()
    told = layer.told()
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["vendor_contracts"] = told
    else:
        session.config.stash[SUMS].append(told)


class Gatherer:
    """Takes the sums of the processes of a distributed run."""

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        told = getattr(node, "workeroutput", {}).get("vendor_contracts")
        if told:
            node.config.stash[SUMS].append(told)


def pytest_plugin_registered(plugin: object, manager: pytest.PytestPluginManager) -> None:
    """The hook of a distributed run exists only there; it is added when its plugin is."""
    if type(plugin).__name__ == "DSession" and not manager.has_plugin("contract_gatherer"):
        manager.register(Gatherer(), "contract_gatherer")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if not os.environ.get(VARIABLE):
        terminalreporter.write_line(
            f"vendor contracts: nothing was compared, {VARIABLE} names no folder"
        )
        return
    terminalreporter.section("vendor contracts")
    sums = config.stash[SUMS]
    for part in PARTS:
        counter = sum((Counter(each[part]) for each in sums), Counter())
        listed = ", ".join(f"{name} {count}" for name, count in sorted(counter.items()))
        terminalreporter.write_line(f"{part}: {sum(counter.values())}: {listed or 'none'}")
    kinds = Counter(kind for kind, _ in {tuple(one) for each in sums for one in each["examples"]})
    listed = ", ".join(f"{name} {count}" for name, count in sorted(kinds.items()))
    terminalreporter.write_line(f"examples parsed: {kinds.total()}: {listed or 'none'}")
    failing = sum(each["failing"] for each in sums)
    seconds = sum(each["seconds"] for each in sums)
    terminalreporter.write_line(f"failing: {failing}; compared in {seconds:.1f} s")


# --- for the tests themselves --------------------------------------------------------------------


@pytest.fixture
def contract_layer(request: pytest.FixtureRequest) -> Layer:
    """What listens to this run."""
    layer = request.config.stash[LAYER]
    assert layer is not None, "only for tests that ask for `specs` as well"
    return layer


@pytest.fixture
def specs() -> Path:
    """The folder of the vendors' contracts; a test that asks for it runs only where it is named."""
    return Path(os.environ[VARIABLE])


@pytest.fixture
def example(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`example(kind, name)` counts one example of a vendor as parsed, however often it is."""
    layer = request.config.stash[LAYER]

    def count(kind: str, name: str) -> None:
        layer.examples.add((kind, hashlib.sha256(name.encode()).hexdigest()[:DIGITS]))

    return count


@pytest.fixture
def fingerprint() -> Callable[[str, object], None]:
    """`fingerprint(name, value)` compares a value with the committed hash of its text.

    No vendor's content is committed. OMS_SYNC_UPDATE_EXPECTED=1 writes what is found.
    """
    known = json.loads(FINGERPRINTS.read_text("utf-8")) if FINGERPRINTS.exists() else {}

    def compare(name: str, value: object) -> None:
        found = hashlib.sha256(repr(value).encode()).hexdigest()[:DIGITS]
        if os.environ.get("OMS_SYNC_UPDATE_EXPECTED"):
            known[name] = found
            text = json.dumps(known, indent=1, sort_keys=True)
            FINGERPRINTS.write_text(f"{text}\n", "utf-8")
        assert known.get(name) == found, f"{name} is understood otherwise now: {value!r}"

    return compare
