"""The device API: the four requests that an agent makes of the platform."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from starlette.responses import FileResponse
from starlette.routing import Route

from agent.clock import utc_text
from agent.sandbox import envelope
from agent.sandbox.contract import MAGIC_BYTES, Refusal, key_suffix, media_type_of
from agent.sandbox.intake import body_of, parts
from agent.sandbox.store import Arrival, digest

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from agent.clock import Clock
    from agent.sandbox.contract import Keys
    from agent.sandbox.faults import Faults
    from agent.sandbox.intake import Parts
    from agent.sandbox.store import Store, Upload

DEVICE_ID = "sandbox-device"
APPROVED = "approved"
CHECKINS = 100
_HEALTH = ("healthy", "degraded", "error")


class DeviceApi:
    """The endpoints; `report` is told of each stored upload. A request that is not as it should be raises Refusal."""

    def __init__(
        self,
        store: Store,
        keys: Keys,
        faults: Faults,
        clock: Clock,
        *,
        rejects_duplicates: bool,
        report: Callable[[Upload], None],
    ) -> None:
        self._store = store
        self._keys = keys
        self._faults = faults
        self._clock = clock
        self._rejects_duplicates = rejects_duplicates
        self._report = report
        self.checkins: deque[dict[str, object]] = deque(maxlen=CHECKINS)

    def routes(self) -> list[Route]:
        """Return the routes, to be mounted under each base URL."""
        return [
            Route("/device/images/upload", self.upload, methods=["POST"]),
            Route("/device/self", self.identify, methods=["GET"]),
            Route("/device/checkin", self.checkin, methods=["POST"]),
            Route("/core/agent/checkin", self.heartbeat, methods=["POST"]),
            Route("/device/models/{name}", self.model, methods=["GET"]),
            Route("/devices/provision", self.provision, methods=["POST"]),
        ]

    async def upload(self, request: Request) -> Response:
        """Take one picture with its metadata."""
        key = self._admit(request)
        if self._faults.script.device_status != APPROVED:
            raise Refusal(f"The device is {self._faults.script.device_status}", 403, "DEVICE_NOT_APPROVED")
        async with parts(request) as received:
            upload = self._keep(received, key)
        self._report(upload)
        batch = f"batch_{upload.received_at[:10]}"
        storage_key = f"sandbox/{batch}/{upload.filename}"
        data = {"image_id": f"img_{upload.id}", "batch_id": batch, "storage_key": storage_key}
        return envelope.success(data, 201)

    async def identify(self, request: Request) -> Response:
        """Tell a device who it is."""
        self._admit(request)
        identity = {
            "device_id": DEVICE_ID,
            "endpoint_id": DEVICE_ID,
            "organization_id": "sandbox",
            "status": self._faults.script.device_status,
            "name": "Sandbox device",
        }
        return envelope.success(identity)

    async def checkin(self, request: Request) -> Response:
        """Take a device's health, and answer with the actions of the script."""
        self._admit(request)
        body = await body_of(request)
        if body.get("status") not in _HEALTH or not isinstance(body.get("metrics", {}), dict):
            raise Refusal(f"status is one of {', '.join(_HEALTH)}, and metrics an object")
        self.checkins.append({"at": utc_text(self._clock.wall()), **body})
        return envelope.success({"actions": self._faults.script.actions})

    async def model(self, request: Request) -> Response:
        """Give out a model that was left here, whole or a range of it."""
        self._admit(request)
        path = self._store.model(request.path_params["name"])
        if not path.is_file():
            raise Refusal("There is no such model", 404)
        return FileResponse(path, media_type="application/octet-stream")

    async def heartbeat(self, request: Request) -> Response:
        """Take the heartbeat of the platform's own agent; this answer has no envelope."""
        self._admit(request)
        body = await body_of(request)
        if not (isinstance(body.get("device_id"), str) and body["device_id"]):
            raise Refusal("device_id is needed")
        return envelope.as_json({"success": True, "pending_actions": self._faults.script.actions})

    async def provision(self, request: Request) -> Response:
        """Swap a token for a key."""
        body = await body_of(request)
        token, info = body.get("token"), body.get("device_info")
        device_id = info.get("device_id") if isinstance(info, dict) else None
        if not (isinstance(token, str) and isinstance(device_id, str) and device_id):
            raise Refusal("token and device_info.device_id are needed")
        if not self._keys.takes(token):
            raise Refusal("The token is unknown or was used before", 401, "INVALID_TOKEN")
        if self._keys.knows(device_id):
            raise Refusal("A device of this id exists", 409, "DEVICE_EXISTS")
        base = envelope.base_url(request)
        key = self._keys.issue(token, device_id)
        data = {"device_id": device_id, "endpoint_id": device_id, "api_key": key, "api_endpoint": base}
        return envelope.success(data, 201)

    def _admit(self, request: Request) -> str:
        key = request.headers.get("x-device-key", "")
        if not self._keys.accepts(key):
            raise Refusal("The device key is missing or unknown", 401)
        return key

    def _keep(self, received: Parts, key: str) -> Upload:
        received.picture.seek(0)
        media_type = media_type_of(received.picture.read(MAGIC_BYTES))
        sha256 = digest(received.picture)
        if self._rejects_duplicates and self._store.has(sha256):
            raise Refusal("This image was uploaded before", 409)
        arrival = Arrival(
            filename=received.filename,
            sha256=sha256,
            bytes=received.size,
            media_type=media_type,
            metadata=received.metadata,
            received_at=utc_text(self._clock.wall()),
            key_suffix=key_suffix(key),
        )
        return self._store.add(received.picture, arrival)
