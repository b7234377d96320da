"""Bedrock runtime: converse, and invoke with each model family's own body, each whole and streamed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from crossfade.sim.dialects.call import BodyError, Call
from crossfade.sim.dialects.converse import decode_converse
from crossfade.sim.endpoints.faults import Faults
from crossfade.sim.endpoints.generation import Endpoint
from crossfade.sim.endpoints.identities import Identities
from crossfade.sim.services.amazon.aws import AwsError, answer_signed
from crossfade.sim.services.amazon.bedrock_faces import ConverseFace, refuse_bedrock
from crossfade.sim.services.amazon.invoke import begin_invoke
from crossfade.sim.services.face import Face, Serving, Trouble, TroubleError, TroubleKind, serve
from crossfade.sim.wire.http import Reply, Request

PROFILE_REGIONS = {
    "us": ("us-east-1", "us-east-2", "us-west-2"),
    "eu": ("eu-central-1", "eu-west-1", "eu-north-1"),
}
CONVERSE, INVOKE = ("converse", "converse-stream"), ("invoke", "invoke-with-response-stream")


class BedrockService:
    """Answers one request at a time; state is in the endpoints, faults and identities it is given."""

    def __init__(self, endpoints: Mapping[str, Endpoint], faults: Faults, identities: Identities) -> None:
        self._endpoints = endpoints
        self._faults = faults
        self._identities = identities

    async def answer(self, request: Request, reply: Reply) -> None:
        """Route one HTTP request."""

        async def signed(region: str, headers: dict[str, str]) -> None:
            try:
                await self._route(request, reply, region, headers)
            except BodyError as error:
                raise AwsError(400, "ValidationException", error.message) from None
            except TroubleError as error:
                raise refuse_bedrock(error.trouble) from None

        await answer_signed(request, reply, self._identities, "bedrock", signed)

    async def _route(self, request: Request, reply: Reply, region: str, headers: dict[str, str]) -> None:
        parts = request.path.split("/")
        if request.method == "GET" and parts[1] == "inference-profiles" and len(parts) == 3:
            await reply.send_json(200, self._profile(unquote(parts[2])), headers)
            return
        known = (*CONVERSE, *INVOKE)
        if request.method != "POST" or len(parts) != 4 or parts[1] != "model" or parts[3] not in known:
            raise AwsError(404, "UnknownOperationException", "The operation is not served here.")
        model, operation = unquote(parts[2]), parts[3]
        endpoint = self._endpoints.get(model)
        if endpoint is None or endpoint.model.region not in {None, region}:
            raise TroubleError(Trouble(TroubleKind.MODEL, model))
        call, face = self._decode(request.body, headers["x-amzn-RequestId"], model, operation)
        serving = Serving(call, endpoint, face, reply, headers)
        await serve(serving, self._faults, self._identities.wall())

    def _profile(self, name: str) -> dict[str, Any]:
        """The control plane's answer about a cross-region profile."""
        prefix, _, model = name.partition(".")
        if name not in self._endpoints or prefix not in PROFILE_REGIONS:
            raise AwsError(404, "ResourceNotFoundException", "The inference profile was not found.")
        account = self._identities.config.account
        return {
            "inferenceProfileName": name,
            "inferenceProfileId": name,
            "inferenceProfileArn": f"arn:aws:bedrock:us-east-1:{account}:inference-profile/{name}",
            "models": [
                {"modelArn": f"arn:aws:bedrock:{region}::foundation-model/{model}"}
                for region in PROFILE_REGIONS[prefix]
            ],
            "status": "ACTIVE",
            "type": "SYSTEM_DEFINED",
        }

    def _decode(self, body: bytes, request_id: str, model: str, operation: str) -> tuple[Call, Face]:
        if operation in CONVERSE:
            streamed = operation == CONVERSE[1]
            return decode_converse(body, request_id, model, streamed=streamed), ConverseFace()
        return begin_invoke(body, request_id, model, stream=operation == INVOKE[1])
