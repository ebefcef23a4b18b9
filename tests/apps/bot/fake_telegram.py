"""A Bot API server on this machine: what Telegram sends, what it is told, and its failures."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

TOKEN = "42:the-secret-of-this-bot"

Person = dict[str, Any]


@dataclass
class Call:
    """A request of the bot's: its method, its fields, and the files in it."""

    method: str
    fields: dict[str, Any]
    files: dict[str, tuple[str, bytes]]

    @property
    def chat(self) -> int:
        return int(self.fields["chat_id"])

    @property
    def content(self) -> bytes:
        ((_, content),) = self.files.values()
        return content

    @property
    def name(self) -> str:
        ((name, _),) = self.files.values()
        return name

    @property
    def text(self) -> str:
        return str(self.fields["text"])

    @property
    def replies_to(self) -> int:
        return int(self.fields["reply_parameters"]["message_id"])

    def media(self) -> list[tuple[dict[str, Any], bytes]]:
        """Of an album: the description and content of each of its items."""
        items = self.fields["media"]
        return [(item, self.files[item["media"].removeprefix("attach://")][1]) for item in items]


@dataclass
class FakeTelegram:
    """The server's state.

    Attributes:
        files: Content by file id.
        calls: Requests that were answered well, without `getUpdates`.
        failures: Answers to come instead of good ones, by method or for `download`: a status and a
            body, or None for a connection that is cut.
        slow: Seconds that a download takes.
        base: The server's URL.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    failures: dict[str, list[tuple[int, Any] | None]] = field(default_factory=dict)
    slow: float = 0.0
    base: str = ""
    asked: int = 0
    downloads: list[str] = field(default_factory=list)
    confirmed: int = 0
    _numbers: Any = field(default_factory=lambda: itertools.count(1))
    _updates: list[dict[str, Any]] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def person(self, number: int = 7, language: str = "en") -> Person:
        return {
            "id": number,
            "is_bot": False,
            "first_name": f"Firstname{number}",
            "username": f"username{number}",
            "language_code": language,
        }

    def message(self, who: Person, **content: Any) -> dict[str, Any]:
        """A message of a private chat, or of the `chat` that is given."""
        return {
            "message_id": next(self._numbers),
            "date": 1_790_000_000,
            "from": who,
            "chat": {"id": who["id"], "type": "private", "first_name": who["first_name"]},
            **content,
        }

    def put(self, content: bytes) -> str:
        """Store a file; returns its id."""
        file_id = f"file-id-{next(self._numbers)}-{'x' * 70}"
        self.files[file_id] = content
        return file_id

    def photo(self, content: bytes, **more: Any) -> dict[str, Any]:
        """The content of a message with a photo: a preview and the photo."""
        preview = _described(self.put(b"a preview"), 9, width=90, height=60)
        large = _described(self.put(content), len(content), width=900, height=600)
        return {"photo": [preview, large], **more}

    def file(self, kind: str, content: bytes, **about: Any) -> dict[str, Any]:
        """The content of a message with a document, video or the like."""
        return {kind: _described(self.put(content), len(content), **about)}

    def send(self, message: dict[str, Any], kind: str = "message") -> dict[str, Any]:
        """Have the bot get it."""
        update = self.update(message, kind)
        self._updates.append(update)
        self._news.set()
        return message

    def waiting(self) -> int:
        """How many updates the bot has not confirmed."""
        return len(self._updates)

    def update(self, message: dict[str, Any], kind: str = "message") -> dict[str, Any]:
        return {"update_id": next(self._numbers), kind: message}

    def press(self, who: Person, answer: Call, data: str, original: Any) -> None:
        """Press a button under an answer."""
        about = {
            "message_id": next(self._numbers),
            "date": 1_790_000_000,
            "chat": {"id": who["id"], "type": "private"},
            **({} if original is None else {"reply_to_message": original}),
            **{
                key: answer.fields[key]
                for key in ("caption", "caption_entities")
                if key in answer.fields
            },
        }
        query = {"id": "1", "from": who, "chat_instance": "1", "message": about, "data": data}
        assert answer.method.startswith("send")
        self.send(query, "callback_query")

    def made(self, *methods: str) -> list[Call]:
        """Calls of some methods."""
        return [call for call in self.calls if call.method in methods]

    async def until(self, holds: Callable[[], Any], seconds: float = 20) -> Any:
        """Wait until something is true."""
        async with asyncio.timeout(seconds):
            while not (value := holds()):
                await asyncio.sleep(0.01)
        return value

    async def calls_of(self, method: str, count: int = 1) -> list[Call]:
        """Wait for calls of a method."""
        await self.until(lambda: len(self.made(method)) >= count)
        return self.made(method)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        call = await _read(request, method)
        if request.match_info["token"] != TOKEN:
            return _refusal(401, "Unauthorized")
        if self.failures.get(method):
            failure = self.failures[method].pop(0)
            if failure is None:
                assert request.transport is not None
                request.transport.close()
                return web.Response()
            status, body = failure
            if isinstance(body, str):
                return web.Response(status=status, text=body)
            return web.json_response(body, status=status)
        if method == "getUpdates":
            return web.json_response({"ok": True, "result": await self._next(call)})
        self.calls.append(call)
        return web.json_response({"ok": True, "result": self._result(call)})

    async def _next(self, call: Call) -> list[dict[str, Any]]:
        self.asked += 1
        offset = int(call.fields.get("offset", 0))
        self.confirmed = max(self.confirmed, offset)
        self._updates = [one for one in self._updates if one["update_id"] >= offset]
        if not self._updates:
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), float(call.fields.get("timeout", 0)))
            except TimeoutError:
                return []
        return self._updates[: int(call.fields.get("limit", 100))]

    def _result(self, call: Call) -> Any:
        if call.method == "getMe":
            return {"id": 42, "is_bot": True, "first_name": "Blur", "username": "blur_bot"}
        if call.method == "getFile":
            content = self.files[call.fields["file_id"]]
            path = f"files/{call.fields['file_id']}"
            about = _described(call.fields["file_id"], len(content))
            return {**about, "file_path": path}
        sent = {
            "message_id": next(self._numbers),
            "date": 1_790_000_000,
            "chat": {"id": call.fields.get("chat_id", 0), "type": "private"},
        }
        if call.method == "sendMediaGroup":
            return [sent] * len(call.fields["media"])
        return sent if call.method.startswith("send") else True

    async def _download(self, request: web.Request) -> web.StreamResponse:
        file_id = request.match_info["path"].removeprefix("files/")
        self.downloads.append(file_id)
        await asyncio.sleep(self.slow)
        if self.failures.get("download"):
            failure = self.failures["download"].pop(0)
            assert failure is not None
            status, body = failure
            return web.Response(status=status, body=body)
        return web.Response(body=self.files[file_id])


def _described(file_id: str, size: int, **about: Any) -> dict[str, Any]:
    return {
        "file_id": file_id,
        "file_unique_id": file_id[:12],
        "file_size": size,
        **about,
    }


def _refusal(status: int, description: str) -> web.Response:
    body = {"ok": False, "error_code": status, "description": description}
    return web.json_response(body, status=status)


def too_many(seconds: int) -> tuple[int, Any]:
    """The answer to who sends too often."""
    body = {"ok": False, "error_code": 429, "description": "Too Many Requests"}
    return 429, {**body, "parameters": {"retry_after": seconds}}


def bad_request(description: str) -> tuple[int, Any]:
    return 400, {"ok": False, "error_code": 400, "description": f"Bad Request: {description}"}


async def _read(request: web.Request, method: str) -> Call:
    fields: dict[str, Any] = {}
    files: dict[str, tuple[str, bytes]] = {}
    for name, value in (await request.post()).items():
        if isinstance(value, web.FileField):
            files[name] = value.filename, value.file.read()
        else:
            assert isinstance(value, str)
            try:
                fields[name] = json.loads(value)
            except ValueError:
                fields[name] = value
    return Call(method, fields, files)


@asynccontextmanager
async def fake_telegram() -> AsyncIterator[FakeTelegram]:
    """A server, for as long as the block runs."""
    telegram = FakeTelegram()
    app = web.Application(client_max_size=100 << 20)
    app.router.add_post("/bot{token}/{method}", telegram._answer)
    app.router.add_get("/file/bot{token}/{path:.+}", telegram._download)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    telegram.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield telegram
    finally:
        await runner.cleanup()
