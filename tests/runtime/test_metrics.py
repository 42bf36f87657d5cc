import re
from pathlib import Path

import pytest

import oms_sync
from oms_sync.runtime.metrics import METRICS, NullMetrics, PrometheusMetrics
from oms_sync.sdk import Metrics


@pytest.fixture
def metrics() -> PrometheusMetrics:
    return PrometheusMetrics()


def _lines(metrics: PrometheusMetrics) -> list[str]:
    return metrics.exposition()[0].decode().splitlines()


def test_a_counter_counts_under_its_public_name(metrics):
    metrics.count("orders_in", account="shop-us")
    metrics.count("orders_in", 4, account="shop-us")
    assert 'oms_sync_orders_in_total{account="shop-us"} 5.0' in _lines(metrics)


def test_a_gauge_shows_what_was_set_last(metrics):
    metrics.gauge("rate_budget", 900, account="a", operation="graphql")
    metrics.gauge("rate_budget", 850.5, account="a", operation="graphql")
    assert 'oms_sync_rate_budget{account="a",operation="graphql"} 850.5' in _lines(metrics)


def test_a_histogram_sorts_observations_into_seconds(metrics):
    metrics.observe("push_seconds", 0.7, account="a", flow="push_stock")
    lines = _lines(metrics)
    assert 'oms_sync_push_seconds_bucket{account="a",flow="push_stock",le="0.5"} 0.0' in lines
    assert 'oms_sync_push_seconds_bucket{account="a",flow="push_stock",le="1.0"} 1.0' in lines
    assert 'oms_sync_push_seconds_count{account="a",flow="push_stock"} 1.0' in lines


@pytest.mark.proves("I-41", "O-07")
def test_what_happens_once_is_seen_to_happen(metrics):
    """Rules ask by how much a counter grew, and one that was not there before has not grown."""
    rules = Path(oms_sync.__file__).parents[1] / "config" / "prometheus-alerts.example.yaml"
    asked = set(re.findall(r"increase\((\w+)", rules.read_text()))
    # flows and webhooks that fail do so again within minutes
    asked -= {"oms_sync_flow_runs_total", "oms_sync_webhooks_total"}
    assert "oms_sync_gaps_total" in asked
    metrics.begin(["a", "b"])
    shown = {line.split("{")[0] for line in _lines(metrics) if line.endswith("} 0.0")}
    assert asked <= shown
    for outcome in ("linked", "unlinked"):
        line = f'oms_sync_listings_discovered_total{{account="b",outcome="{outcome}"}} 0.0'
        assert line in _lines(metrics)


def test_the_lag_of_orders_is_sorted_up_to_a_day(metrics):
    metrics.observe("order_lag_seconds", 1_801, account="a")
    lines = _lines(metrics)
    assert 'oms_sync_order_lag_seconds_bucket{account="a",le="1800.0"} 0.0' in lines
    assert 'oms_sync_order_lag_seconds_bucket{account="a",le="3600.0"} 1.0' in lines
    assert 'oms_sync_order_lag_seconds_bucket{account="a",le="86400.0"} 1.0' in lines


def test_every_metric_of_the_hub_is_exposed(metrics):
    text = "\n".join(_lines(metrics))
    expected = {
        "oms_sync_orders_in_total", "oms_sync_cursor_age_seconds", "oms_sync_push_seconds",
        "oms_sync_listings_behind", "oms_sync_drift_total", "oms_sync_dead_letters",
        "oms_sync_rate_budget", "oms_sync_flow_runs_total", "oms_sync_webhooks_total",
        "oms_sync_messages_dead_total", "oms_sync_notifications_total", "oms_sync_alarms",
        "oms_sync_history_left_seconds", "oms_sync_clock_skew_seconds", "oms_sync_gaps_total",
        "oms_sync_subscriptions_lost_total", "oms_sync_orders_unbalanced_total",
        "oms_sync_certificates_refused_total", "oms_sync_write_backs_open",
        "oms_sync_write_backs_refused_total", "oms_sync_write_backs_not_shown_total",
        "oms_sync_order_lag_seconds", "oms_sync_overdue", "oms_sync_orders_erased_total",
        "oms_sync_messages_erased_total", "oms_sync_listings_discovered_total",
    }  # fmt: skip
    assert set(re.findall(r"^# TYPE (oms_sync_\w+?) ", text, flags=re.MULTILINE)) == expected


@pytest.mark.proves("I-09")
def test_every_metric_the_code_counts_is_declared():
    """An undeclared one raises: in `normalise`, that would make one bad message stop the others."""
    call = re.compile(r"metrics\.(?:count|gauge|observe)\(\s*\"(\w+)\"")
    package = Path(oms_sync.__file__).parent
    used = {
        name for path in package.rglob("*.py") for name in call.findall(path.read_text("utf-8"))
    }
    assert {"messages_dead", "orders_in", "push_seconds"} <= used
    assert used <= set(METRICS)


@pytest.mark.parametrize("kind", ["count", "gauge", "observe"])
def test_a_name_nobody_declared_is_refused(metrics, kind):
    with pytest.raises(KeyError):
        getattr(metrics, kind)("orders_seen", 1, account="a")


def test_a_label_nobody_declared_is_refused(metrics):
    with pytest.raises(ValueError, match="label"):
        metrics.count("orders_in", buyer="Jane")


def test_two_hubs_in_one_process_do_not_share_counters():
    one, other = PrometheusMetrics(), PrometheusMetrics()
    one.count("drift", account="a")
    assert not any(line.startswith("oms_sync_drift_total{") for line in _lines(other))


def test_a_label_value_cannot_break_out_of_its_line(metrics):
    metrics.count("webhooks", account='a"} 1\nforged 1', outcome="stored")
    assert not any(line.startswith("forged") for line in _lines(metrics))


def test_null_metrics_take_everything():
    metrics: Metrics = NullMetrics()
    metrics.count("orders_in", account="a")
    metrics.gauge("dead_letters", 1, account="a")
    metrics.observe("push_seconds", 1, account="a", flow="push_stock")


def test_the_alert_rules_name_only_metrics_that_exist(request):
    rules = (request.config.rootpath / "config/prometheus-alerts.example.yaml").read_text("utf-8")
    named = set(re.findall(r"\boms_sync_[a-z_]+", rules))
    exposed = set()
    for name, each in METRICS.items():
        ends = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_count", "_sum"]}
        exposed |= {f"oms_sync_{name}{end}" for end in ends[each.kind]}
    assert named
    assert named <= exposed
