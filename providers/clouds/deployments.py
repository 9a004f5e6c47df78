"""Names of deployments: what a company calls a model that it has deployed on a cloud."""

from __future__ import annotations

from collections.abc import Mapping


class DeploymentsError(ValueError):
    """A list of deployments cannot be read; the message says which part of it."""


def read_deployments(text: str) -> Mapping[str, str] | None:
    """Return the deployments by model from "model=deployment, model, …"; ``None`` for no list.

    A model without a deployment's name has a deployment of its own name. Raises
    :class:`DeploymentsError`.
    """
    if not text.strip():
        return None
    deployments: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        model, equals, deployment = (piece.strip() for piece in part.partition("="))
        if not model or (equals and not deployment):
            raise DeploymentsError(f"'{part}' is not model=deployment")
        deployments[model] = deployment or model
    return deployments
