"""What the service's description (OpenAPI) says beyond what its addresses do."""

from __future__ import annotations

from fastapi import FastAPI

_OF_QUERIES = "HTTPValidationError"
"""FastAPI's answer to a query that does not fit. Here that is 400."""


def describe(app: FastAPI, *, token: bool) -> None:
    """Correct the description of an application that has all its addresses.

    Args:
        app: The application.
        token: Whether it needs a token.
    """
    schema = app.openapi()
    parts = schema.setdefault("components", {})
    for methods in schema["paths"].values():
        for said in methods.values():
            if _OF_QUERIES in str(said["responses"].get("422")):
                del said["responses"]["422"]
            if token and "post" in methods:
                said["responses"]["401"] = {"description": "No token, or another one"}
    for name in (_OF_QUERIES, "ValidationError"):
        parts.get("schemas", {}).pop(name, None)
    if token:
        parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        schema["security"] = [{"token": []}]
