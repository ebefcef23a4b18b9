"""What the service says of itself in the open inference protocol (KServe V2), without `infer`.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from ... import __version__
from ...tasks.model import Model


class Tensor(BaseModel):
    """An input or output of a model."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """What a model's contract says of its inputs and outputs."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[Tensor]
    outputs: list[Tensor]


class Ready(BaseModel):
    """Whether a model answers."""

    name: str
    ready: bool


def add_kserve(app: FastAPI, models: Iterable[Model[Any]]) -> None:
    """Add the addresses of health and metadata.

    Args:
        app: The application.
        models: All that are loaded; they have run once.
    """
    known = {model.contract.name: _metadata(model) for model in models}

    @app.get("/v2", summary="Name and version of the server (KServe V2)")
    async def server() -> dict[str, Any]:
        return {"name": "pocketface", "version": __version__, "extensions": []}

    @app.get("/v2/health/live", summary="Does the process answer?")
    async def live() -> dict[str, bool]:
        return {"live": True}

    @app.get("/v2/health/ready", summary="Are all models loaded?")
    async def ready() -> dict[str, bool]:
        return {"ready": True}  # models are loaded and tried before the port is listened at

    unknown: dict[int | str, dict[str, Any]] = {404: {"description": "There is no such model"}}

    @app.get(
        "/v2/models/{name}",
        summary="Inputs and outputs of a model",
        response_model=ModelMetadata,
        responses=unknown,
    )
    async def metadata(name: str) -> ModelMetadata | Response:
        return known.get(name) or _no_such(known)

    @app.get(
        "/v2/models/{name}/ready",
        summary="Is a model loaded?",
        response_model=Ready,
        responses=unknown,
    )
    async def model_ready(name: str) -> Ready | Response:
        return Ready(name=name, ready=True) if name in known else _no_such(known)


def _no_such(known: Iterable[str]) -> Response:
    return JSONResponse({"error": f"no such model; there are {', '.join(known)}"}, 404)


def _metadata(model: Model[Any]) -> ModelMetadata:
    contract = model.contract
    own = contract.input
    kind = "UINT8" if own.dtype == "image" else "FP32"
    return ModelMetadata(
        name=contract.name,
        versions=[contract.version],
        platform=f"{model.session.runtime}_{model.path.suffix.lstrip('.') or 'folder'}",
        inputs=[Tensor(name=own.name, datatype=kind, shape=list(own.shape))],
        outputs=[
            Tensor(name=one.name, datatype="FP32", shape=list(one.shape))
            for one in contract.outputs
        ],
    )
