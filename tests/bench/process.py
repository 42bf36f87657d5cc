"""The hub as a process: start, memory, calls it makes, and webhooks it acknowledges."""

import base64
import hmac
import http.client
import json
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from figures import Figure, at_most, observed, percentile, say, tidy
from staged import (
    ONE_SHOP,
    change_counts,
    cpu_seconds,
    memory_bytes,
    options,
    running,
    wait_level,
)

from oms_sync.cli.demo_stage import Child, Stage, open_stage
from oms_sync.sdk.seeding import Purchase

AIM_START_SECONDS = 3.0
AIM_REST_MEGABYTES = 120.0
AIM_LARGE_MEGABYTES = 200.0
MEGABYTE = 1_000_000
SENDERS = 8
ACCOUNT = "shop-us"


def start_and_rest(*, starts: int, rest_seconds: float) -> list[Figure]:
    """From starting the process to `/readyz`, and its memory once it idles."""
    say(f"start to ready, {starts} starts; memory at rest")
    seconds, used = [], []
    with open_stage(options(skus=40, has_webhooks=True)) as stage:
        for number in range(starts):
            stage.hub = _start(stage)
            seconds.append(stage.wait_ready())
            if number < starts - 1:
                used.append(_cpu(stage))
                stage.stop_hub()
        with stage.open_desk() as desk:
            wait_level(stage, desk)
        time.sleep(rest_seconds)
        now, most = _memory(stage)
        before = _cpu(stage)
        time.sleep(rest_seconds)
        idle = (_cpu(stage) - before) / rest_seconds
    return [
        at_most(
            "start_to_ready",
            statistics.median(seconds),
            "s",
            AIM_START_SECONDS,
            runs=[tidy(one) for one in seconds],
            processor_seconds=tidy(statistics.median(used)) if used else None,
        ),
        at_most("memory_at_rest", now, "MB", AIM_REST_MEGABYTES, peak=tidy(most)),
        observed("processor_share_at_rest", idle, "cores"),
    ]


def many_listings(*, listings: int, changed: int) -> list[Figure]:
    """Memory with many listings, before and after some of them changed."""
    say(f"{listings} listings at one shop: memory, also after {changed} of them changed")
    chosen = options(skus=listings, has_webhooks=False, accounts=ONE_SHOP)
    with running(chosen) as (stage, desk):
        now, most = _memory(stage)
        change_counts(stage, desk, changed)
        wait_level(stage, desk)
        after, _ = _memory(stage)
    return [
        at_most(
            f"memory_with_{listings}_listings",
            max(now, after),
            "MB",
            AIM_LARGE_MEGABYTES,
            peak=tidy(most),
        ),
    ]


def webhooks(*, seconds: float) -> list[Figure]:
    """Genuine deliveries from eight connections as fast as they are answered."""
    say(f"webhook acknowledgements for {seconds:.0f} s over {SENDERS} connections")
    with running(options(skus=10, has_webhooks=True)) as (stage, _):
        channel_sku = next(theirs for account, theirs in stage.skus if account == ACCOUNT)
        order_id = stage.controls[ACCOUNT].place(Purchase(lines=((channel_sku, 1),)))
        secret = _secret(stage)
        until = time.monotonic() + seconds
        started_at = time.monotonic()
        with ThreadPoolExecutor(SENDERS) as pool:
            senders = [
                pool.submit(_send, stage.hub_url, secret, f"{order_id}", number, until)
                for number in range(SENDERS)
            ]
            waits = [wait for sender in senders for wait in sender.result()]
        took = time.monotonic() - started_at
    return [
        observed("webhook_acks_per_second", len(waits) / took, "acks/s", deliveries=len(waits)),
        observed(
            "webhook_ack_p99",
            percentile(waits, 99) * 1_000,
            "ms",
            p50=tidy(percentile(waits, 50) * 1_000),
            max=tidy(max(waits) * 1_000),
        ),
    ]


def _start(stage: Stage) -> Child:
    """`oms-sync run`, as an operator starts it."""
    log = stage.folder / "hub.log"
    with log.open("ab") as file:
        running = subprocess.Popen(
            [sys.executable, "-m", "oms_sync", "--config", str(stage.config_path), "run"],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    return Child(name="hub", log=log, running=running)


def _memory(stage: Stage) -> tuple[float, float]:
    now, most = memory_bytes(_pid(stage))
    return now / MEGABYTE, most / MEGABYTE


def _cpu(stage: Stage) -> float:
    return cpu_seconds(_pid(stage))


def _pid(stage: Stage) -> int:
    if stage.hub is None:
        raise RuntimeError("no hub was started")
    return stage.hub.running.pid


def _secret(stage: Stage) -> bytes:
    config = json.loads(stage.config_path.read_text(encoding="utf-8"))
    entry: dict[str, Any] = next(one for one in config["accounts"] if one["name"] == ACCOUNT)
    secret: str = entry["settings"]["webhook_secret"]
    return secret.encode()


def _send(url: str, secret: bytes, order_id: str, sender: int, until: float) -> list[float]:
    """One connection's deliveries until then; how long each waited for its 200."""
    connection = http.client.HTTPConnection(url.partition("//")[2], timeout=30)
    waits, number = [], 0
    number_of_order = int(order_id.rpartition("/")[2])
    while time.monotonic() < until:
        number += 1
        body = json.dumps({"id": number_of_order, "sender": sender, "number": number}).encode()
        signature = base64.b64encode(hmac.digest(secret, body, "sha256")).decode()
        headers = {
            "content-type": "application/json",
            "x-shopify-topic": "orders/updated",
            "x-shopify-webhook-id": f"{sender}-{number}-{threading.get_ident()}",
            "x-shopify-hmac-sha256": signature,
        }
        started_at = time.monotonic()
        connection.request("POST", f"/webhooks/{ACCOUNT}", body, headers)
        response = connection.getresponse()
        response.read()
        if response.status != http.client.OK:
            raise RuntimeError(f"a genuine delivery was answered {response.status}")
        waits.append(time.monotonic() - started_at)
    connection.close()
    return waits
