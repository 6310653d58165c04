from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from agent.errors import Halt
from agent.sandbox.contract import MAX_BODY_BYTES
from agent.sandbox.process import SandboxProcess

if TYPE_CHECKING:
    from collections.abc import Iterator


KEY = "adk_0123456789abcdef"
JPEG = b"\xff\xd8\xff\xe0 a picture"
PNG = b"\x89PNG\r\n\x1a\n a picture"
UPLOAD = "/device/images/upload"
BOX = {"class_value": "scratch", "type": "bbox", "geometry": [0.31, 0.62, 0.08, 0.05]}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """Run one sandbox, with a key of its own, for all tests of the module."""
    with SandboxProcess(tmp_path_factory.mktemp("platform"), device_key=KEY) as process:
        yield process


@pytest.fixture
def sandbox(running: SandboxProcess) -> SandboxProcess:
    """Return the sandbox, empty and without faults."""
    running.clear()
    running.set_faults({})
    return running


@pytest.fixture
def client(sandbox: SandboxProcess) -> Iterator[httpx.Client]:
    """Return a client with the right key."""
    with httpx.Client(base_url=sandbox.url, headers={"X-Device-Key": KEY}, trust_env=False) as opened:
        yield opened


def parts(content: bytes = JPEG, metadata: object = None, filename: str = "belt.jpg") -> dict[str, Any]:
    """Return the arguments of a request that uploads this."""
    fields = {} if metadata is None else {"data": {"metadata": json.dumps(metadata)}}
    return {"files": {"image": (filename, content)}, **fields}


@pytest.mark.parametrize("base", ["", "/api"])
@pytest.mark.parametrize("content", [JPEG, PNG, JPEG + bytes(range(256)) * 12_000])
def test_an_upload_is_registered_and_kept(
    client: httpx.Client, sandbox: SandboxProcess, base: str, content: bytes
) -> None:
    """An upload under either base URL is answered 201 in the envelope, and kept byte for byte with its metadata."""
    metadata = {"source": "belt", "annotations": [BOX]}
    answer = client.post(base + UPLOAD, **parts(content, metadata))
    assert answer.status_code == 201
    body = answer.json()
    assert body["success"] is True
    assert set(body["data"]) == {"image_id", "batch_id", "storage_key"}
    assert body["data"]["storage_key"].endswith("/belt.jpg")
    (kept,) = sandbox.uploads()
    assert (kept["filename"], kept["bytes"], kept["metadata"]) == ("belt.jpg", len(content), metadata)
    assert kept["key_suffix"] == "cdef"
    assert datetime.fromisoformat(kept["received_at"]).tzinfo is not None
    assert sandbox.image(kept["id"]) == content


def test_metadata_is_optional(client: httpx.Client, sandbox: SandboxProcess) -> None:
    """An upload without metadata is kept with none."""
    assert client.post(UPLOAD, **parts()).status_code == 201
    assert sandbox.uploads()[0]["metadata"] is None


IMAGE = ("image", ("a.jpg", JPEG))


@pytest.mark.parametrize(
    ("request_parts", "complaint"),
    [
        ({"files": [("picture", ("a.jpg", JPEG))]}, "unknown part 'picture'"),
        ({"files": [IMAGE, ("note", (None, "x"))]}, "unknown part 'note'"),
        ({"files": [IMAGE, IMAGE]}, "a part is there twice"),
        ({"files": [("image", (None, JPEG))]}, "image is missing, or no file part"),
        ({"files": [("metadata", (None, "{}"))]}, "image is missing, or no file part"),
        ({"files": [IMAGE, ("metadata", ("m.json", b"{}"))]}, "metadata is a file"),
        ({"files": [IMAGE, ("metadata", (None, "{"))]}, "metadata is not JSON"),
        ({"files": [("image", ("a.gif", b"GIF89a"))]}, "neither JPEG nor PNG"),
        ({"files": [("image", ("a.jpg", b""))]}, "neither JPEG nor PNG"),
        ({"files": [("image", ("a" * 256, JPEG))]}, "filename"),
        ({"content": JPEG, "headers": {"Content-Type": "image/jpeg"}}, "image is missing"),
        ({"content": b"--x", "headers": {"Content-Type": "multipart/form-data"}}, "Missing boundary"),
        ({"content": b"junk", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, ""),
    ],
)
def test_an_upload_beyond_the_contract_is_refused(
    client: httpx.Client, sandbox: SandboxProcess, request_parts: dict[str, Any], complaint: str
) -> None:
    """What is no proper upload is a 400 in the envelope that says why, and leaves nothing behind."""
    answer = client.post(UPLOAD, **request_parts)
    assert answer.status_code == 400
    body = answer.json()
    assert (body["success"], body["error"]["code"]) == (False, "VALIDATION_ERROR")
    assert complaint in body["error"]["message"]
    assert sandbox.count() == 0


def test_a_body_of_the_limit_is_too_large(client: httpx.Client, sandbox: SandboxProcess) -> None:
    """The whole body has to stay under 50,000,000 bytes; the rest of a larger one is read and thrown away."""
    assert client.post(UPLOAD, **parts(JPEG + bytes(MAX_BODY_BYTES - 1000))).status_code == 201
    answer = client.post(UPLOAD, **parts(JPEG + bytes(MAX_BODY_BYTES - len(JPEG))))
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "PAYLOAD_TOO_LARGE"
    assert client.get("/device/self").status_code == 200
    assert sandbox.count() == 1


@pytest.mark.parametrize("key", [None, "", "adk_0123456789abcdee", "nonsense"])
@pytest.mark.parametrize(("method", "path"), [("POST", UPLOAD), ("GET", "/device/self"), ("POST", "/device/checkin")])
def test_another_key_is_refused(sandbox: SandboxProcess, key: str | None, method: str, path: str) -> None:
    """Without the given key every device request is a 401."""
    headers = {} if key is None else {"X-Device-Key": key}
    answer = httpx.request(method, sandbox.url + path, headers=headers, trust_env=False)
    assert answer.status_code == 401
    assert answer.json()["success"] is False


def test_the_same_bytes_again_are_refused(client: httpx.Client, sandbox: SandboxProcess) -> None:
    """A picture that is kept already is a 409, whatever its name."""
    assert client.post(UPLOAD, **parts()).status_code == 201
    answer = client.post(UPLOAD, **parts(filename="other.jpg"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "DUPLICATE_IMAGE")
    assert sandbox.count() == 1


def test_a_device_learns_who_it_is(client: httpx.Client) -> None:
    """`GET /device/self` answers with the documented facts."""
    data = client.get("/api/device/self").json()["data"]
    assert set(data) == {"device_id", "endpoint_id", "organization_id", "status", "name"}
    assert data["status"] == "approved"


def test_a_checkin_brings_the_actions_of_the_script(client: httpx.Client, sandbox: SandboxProcess) -> None:
    """A check-in is answered with no actions, or with those of the script."""
    health = {"status": "healthy", "metrics": {"cpu_usage": 3.5}}
    assert client.post("/device/checkin", json=health).json()["data"] == {"actions": []}
    action = {"id": 1, "type": "deploy"}
    sandbox.set_faults({"actions": [action]})
    assert client.post("/device/checkin", json=health).json()["data"] == {"actions": [action]}


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"status": "fine"}', b'{"status": "healthy", "metrics": 3}', b'{"status": []}']
)
def test_a_checkin_without_sense_is_refused(client: httpx.Client, body: bytes) -> None:
    """A check-in that is not as documented is a 400."""
    assert client.post("/device/checkin", content=body).status_code == 400


def test_provisioning_swaps_a_token_for_a_key(client: httpx.Client, sandbox: SandboxProcess) -> None:
    """A token buys a key that is taken from then on, with the base URL without `/api`; it works once."""
    asked = {"token": "apt_0a", "device_info": {"device_id": "press-7"}}
    answer = client.post("/api/devices/provision", json=asked)
    assert answer.status_code == 201
    data = answer.json()["data"]
    assert (data["device_id"], data["api_endpoint"]) == ("press-7", sandbox.url)
    assert client.get("/device/self", headers={"X-Device-Key": data["api_key"]}).status_code == 200
    again = client.post("/devices/provision", json=asked)
    assert (again.status_code, again.json()["error"]["code"]) == (401, "INVALID_TOKEN")
    taken = client.post("/devices/provision", json={**asked, "token": "apt_0b"})
    assert (taken.status_code, taken.json()["error"]["code"]) == (409, "DEVICE_EXISTS")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"token": "nonsense", "device_info": {"device_id": "x"}}, 401, "INVALID_TOKEN"),
        ({"token": "apt_0c"}, 400, "VALIDATION_ERROR"),
        ({"token": 3, "device_info": {"device_id": "x"}}, 400, "VALIDATION_ERROR"),
        ([], 400, "VALIDATION_ERROR"),
    ],
)
def test_provisioning_refuses_as_documented(client: httpx.Client, body: object, status: int, code: str) -> None:
    """A bad token and a bad request have their codes."""
    answer = client.post("/devices/provision", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nowhere", 404), ("GET", UPLOAD, 405), ("GET", "/api/api/device/self", 404)]
)
def test_what_is_not_there_is_said_in_the_envelope(client: httpx.Client, method: str, path: str, status: int) -> None:
    """A wrong path or method is answered in the envelope too."""
    answer = client.request(method, path)
    assert answer.status_code == status
    assert answer.json()["success"] is False


def test_uploads_are_listed_in_pages(client: httpx.Client, sandbox: SandboxProcess) -> None:
    """`since` and `limit` cut the list, `count` is that of all."""
    for number in range(4):
        client.post(UPLOAD, **parts(JPEG + bytes([number])))
    first = sandbox.uploads()[0]["id"]
    listed = client.get(f"/_sandbox/uploads?since={first}&limit=2").json()
    assert listed["count"] == 4
    assert [upload["id"] for upload in listed["uploads"]] == [first + 1, first + 2]


@pytest.mark.parametrize("query", ["since=x", "limit=-1", "since=" + "9" * 5000])
def test_a_list_asked_for_wrongly_is_refused(client: httpx.Client, query: str) -> None:
    """`since` and `limit` are plain numbers."""
    assert client.get(f"/_sandbox/uploads?{query}").status_code == 400


def test_the_page_shows_what_arrived(client: httpx.Client, sandbox: SandboxProcess) -> None:
    """The page and its later cards show an upload, under a policy that allows its own server alone."""
    assert "Nothing has arrived yet" in client.get("/").text
    client.post(UPLOAD, **parts(metadata={"source": "\ud800<i>", "annotations": [BOX]}))
    page = client.get("/")
    (kept,) = sandbox.uploads()
    assert f'id="upload-{kept["id"]}"' in page.text
    assert "&lt;i&gt;" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    news = client.get("/_sandbox/cards?since=0").json()
    assert (news["count"], news["last"]) == (1, kept["id"])
    assert f'id="upload-{kept["id"]}"' in news["html"]
    assert client.get(f"/_sandbox/cards?since={kept['id']}").json()["html"] == ""


@pytest.mark.parametrize(("name", "media_type"), [("page.js", "text/javascript"), ("page.css", "text/css")])
def test_the_page_has_its_style_and_script(client: httpx.Client, name: str, media_type: str) -> None:
    """Style and script come from the package."""
    answer = client.get(f"/_sandbox/static/{name}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(media_type)


@pytest.mark.parametrize("path", ["static/nothing.js", "static/..%2fpage.py", "images/99999", "images/x"])
def test_nothing_else_is_served(client: httpx.Client, path: str) -> None:
    """Files and pictures that are not there are 404, also by a crooked path."""
    assert client.get(f"/_sandbox/{path}").status_code == 404


def test_a_bad_script_is_refused_and_the_old_one_stays(client: httpx.Client, sandbox: SandboxProcess) -> None:
    """A script that is none changes nothing, and the answer names the key."""
    script = {"fault": [{"count": 1, "status": 503}]}
    sandbox.set_faults(script)
    with pytest.raises(Halt, match="statsu"):
        sandbox.set_faults({"fault": [{"statsu": 500}]})
    assert client.get("/_sandbox/faults").json() == script
    assert client.put("/_sandbox/faults", content="[[fault]]\nstatus = 500\n").status_code == 200


def test_an_action_can_be_asked_for_at_run_time(client: httpx.Client, sandbox: SandboxProcess) -> None:
    """It comes with every check-in and heartbeat from then on, and the check-ins themselves are kept."""
    sandbox.ask({"id": 4, "type": "deploy"})
    health = {"status": "degraded", "metrics": {"temperature": 61.5}}
    assert client.post("/device/checkin", json=health).json()["data"] == {"actions": [{"id": 4, "type": "deploy"}]}
    beat = client.post("/api/core/agent/checkin", json={"device_id": "d"}).json()
    assert beat == {"success": True, "pending_actions": [{"id": 4, "type": "deploy"}]}
    assert client.post("/core/agent/checkin", json={}).status_code == 400
    last = sandbox.checkins()[-1]
    assert last["metrics"] == health["metrics"]
    assert datetime.fromisoformat(last["at"]).tzinfo is not None


@pytest.mark.parametrize("status", ["pending", "rejected"])
def test_an_unapproved_device_is_told_so(client: httpx.Client, sandbox: SandboxProcess, status: str) -> None:
    """`device/self` says it, and no upload is taken."""
    sandbox.set_faults({"device_status": status})
    assert client.get("/device/self").json()["data"]["status"] == status
    answer = client.post(UPLOAD, **parts())
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "DEVICE_NOT_APPROVED")
    assert sandbox.count() == 0
