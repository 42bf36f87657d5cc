"""What the client must never do, whatever Amazon, the environment or a logger says."""

import logging

import httpx
import pytest

from oms_sync.sdk import BadPayload, ChannelDown, Priority, Rejected, RetryLater

READ, WRITE = Priority.READ, Priority.WRITE


def _search(client):
    return client.run("searchOrders", marketplaceIds=["ATVPDKIKX0DER"], priority=READ)


def _reply(status, body=b"", kind="application/json"):
    return httpx.Response(status, content=body, headers={"content-type": kind})


def test_shadow_sends_no_write(amazon, open_client):
    client = open_client(may_write=False)
    for name in ("confirmShipment", "patchListingsItem", "createFeed"):
        with pytest.raises(Rejected, match="shadow"):
            client.run(name, priority=WRITE)
    assert amazon.asked == []


@pytest.mark.proves("A35", "A36")
@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "https://example.com/x",
        "https://amazonaws.com.example.com/x",
        "http://tortuga.s3.amazonaws.com/documents/x",
        "file:///etc/passwd",
        "https://127.0.0.1/x",
    ],
)
def test_a_document_is_fetched_from_amazon_alone(url, amazon, open_client):
    amazon.on("getReportDocument", {"reportDocumentId": "d", "url": url})
    with pytest.raises(BadPayload):
        open_client().document_of("getReportDocument", "d", priority=READ)
    assert amazon.counts == {"token": 1, "getReportDocument": 1}


def test_the_error_page_of_a_document_is_never_the_document(amazon, open_client, documents):
    amazon.on("getReportDocument", {"reportDocumentId": "d", "url": f"{documents}/d"})
    amazon.on("download", _reply(403, b"<Error><Code>AccessDenied</Code></Error>", "text/xml"))
    with pytest.raises(ChannelDown):
        open_client().document_of("getReportDocument", "d", priority=READ)


def test_no_proxy_of_the_environment_is_obeyed(amazon, open_client, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    amazon.on("searchOrders", {"orders": []})
    client = open_client()
    _search(client)
    assert not client._http.trust_env
    assert not client._http._mounts


@pytest.mark.proves("A57")
def test_no_token_or_presigned_url_is_logged_at_any_level(amazon, open_client, documents, caplog):
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "sp_api", "sp_api.base.client", "sp_api.auth"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    amazon.on(
        "getReportDocument", {"reportDocumentId": "d", "url": f"{documents}/d?sig=canary-sig"}
    )
    amazon.on("download", _reply(200, b"seller-sku\tcanary-row"))
    client = open_client()
    client.document_of("getReportDocument", "d", priority=READ)
    amazon.on("download", httpx.ReadTimeout(f"{documents}/d?sig=canary-sig"))
    with pytest.raises(RetryLater) as raised:
        client.document_of("getReportDocument", "d", priority=READ)
    assert "canary" not in caplog.text
    assert "canary" not in str(raised.value)


def test_the_sdks_private_parts_are_where_we_put_our_own(open_client):
    """The package is pinned; should it move these, this test says so before a seller does."""
    client = open_client()
    api = client._api("orders")
    assert api._transport._client is client._http
    assert api._auth is client.tokens
    assert api.headers["x-amz-access-token"] == "Atza|canary-1"
