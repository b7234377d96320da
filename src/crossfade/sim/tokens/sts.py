"""The security token service: roles, web identities, who calls, and outbound web identity tokens."""

from __future__ import annotations

import re
import time
import uuid
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from crossfade.sim.endpoints.identities import Identities, Session
from crossfade.sim.services.amazon.aws import AwsError
from crossfade.sim.wire.http import Reply, Request
from crossfade.sim.wire.sigv4 import SignatureError

NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
_ROLE = re.compile(r"arn:aws[\w-]*:iam::\d{12}:role/[\w+=,.@/-]{1,64}")


class StsService:
    """Query protocol: a form goes in, XML comes out."""

    def __init__(self, identities: Identities) -> None:
        self._identities = identities

    async def answer(self, request: Request, reply: Reply) -> None:
        """Answer one call."""
        request_id = str(uuid.uuid4())
        headers = {"x-amzn-RequestId": request_id, "content-type": "text/xml"}
        form = dict(parse_qsl(request.body.decode("utf-8", errors="replace")))
        action = form.get("Action", "")
        try:
            result = self._act(action, form, request)
            status, body = 200, _envelope(action, result, request_id)
        except SignatureError as error:
            status = 403 if error.code not in {"InvalidIdentityToken", "ExpiredTokenException"} else 400
            body = _error(error.code.removesuffix("Exception"), error.message, request_id)
            if error.code == "ExpiredTokenException":
                body = _error(error.code, error.message, request_id)
        except AwsError as error:
            status, body = error.status, _error(error.code, error.message, request_id)
        await reply.send(status, headers, body.encode())

    def _act(self, action: str, form: dict[str, str], request: Request) -> dict[str, Any]:
        if action == "AssumeRoleWithWebIdentity":
            audience = self._identities.role(form.get("RoleArn", "")).audience
            claims = self._identities.read_web_identity(
                form.get("WebIdentityToken", ""), audience or self._identities.config.audience
            )
            session = self._issue(form, None)
            return {
                **_session_result(session),
                "SubjectFromWebIdentityToken": claims["sub"],
                "Audience": claims["aud"] if isinstance(claims["aud"], str) else claims["aud"][0],
                "Provider": str(claims.get("iss")),
            }
        signed = self._identities.verify_signed(request.message, "sts")
        caller = self._identities.session_of(signed.access_key)
        if action == "AssumeRole":
            return _session_result(self._issue(form, caller, signed=True))
        if action == "GetCallerIdentity":
            return self._caller(signed.access_key, caller)
        if action == "GetWebIdentityToken":
            return self._web_identity(form, signed.access_key, caller)
        raise AwsError(400, "InvalidAction", f"Could not find operation {action} for version 2011-06-15")

    def _caller(self, access_key: str, caller: Session | None) -> dict[str, Any]:
        account = self._identities.config.account
        if caller is None:
            return {"Arn": f"arn:aws:iam::{account}:user/sim", "UserId": access_key, "Account": account}
        user = _session_result(caller)["AssumedRoleUser"]
        return {"Arn": user["Arn"], "UserId": user["AssumedRoleId"], "Account": user["Arn"].split(":")[4]}

    def _web_identity(self, form: dict[str, str], access_key: str, caller: Session | None) -> dict[str, Any]:
        audiences = [value for key, value in form.items() if key.startswith("Audience.member.")]
        if not audiences or form.get("SigningAlgorithm") not in {"RS256", "ES384"}:
            raise AwsError(400, "ValidationError", "Audience and SigningAlgorithm are required")
        lifetime_s = int(form.get("DurationSeconds", "300"))
        subject = self._caller(access_key, caller)["Arn"]
        token = self._identities.issuer.issue(subject, audiences, lifetime_s)
        expires = self._identities.wall() + lifetime_s
        return {"WebIdentityToken": token, "Expiration": _time(expires)}

    def _issue(self, form: dict[str, str], caller: Session | None, *, signed: bool = False) -> Session:
        arn = form.get("RoleArn", "")
        if _ROLE.fullmatch(arn) is None:
            raise AwsError(400, "ValidationError", f"{arn} is invalid")
        if not re.fullmatch(r"[\w+=,.@-]{2,64}", form.get("RoleSessionName", "")):
            raise AwsError(
                400, "ValidationError", "RoleSessionName must have 2 to 64 characters of [\\w+=,.@-]"
            )
        role = self._identities.role(arn)
        if signed and role.external_id != form.get("ExternalId") and role.external_id is not None:
            raise AwsError(403, "AccessDenied", f"User is not authorized to perform: sts:AssumeRole on {arn}")
        longest_s = 3600 if caller is not None else role.longest_s
        wanted = form.get("DurationSeconds", "3600")
        if not wanted.isdigit() or not 900 <= int(wanted) <= longest_s:
            raise AwsError(
                400,
                "ValidationError",
                f"The requested DurationSeconds must be from 900 to {longest_s} for this role.",
            )
        tags = dict(pair for pair in caller.tags if pair[0] in caller.transitive) if caller else {}
        tags |= _pairs(form, "Tags.member.")
        transitive = tuple(
            value for key, value in form.items() if key.startswith("TransitiveTagKeys.member.")
        )
        kept = (*(caller.transitive if caller else ()), *transitive)
        name = form["RoleSessionName"]
        return self._identities.issue(arn, int(wanted), name, tuple(tags.items()), transitive=kept)


def _pairs(form: dict[str, str], prefix: str) -> dict[str, str]:
    """A list of key-value members, as the query protocol numbers them."""
    places = [key.removesuffix(".Key") for key in form if key.startswith(prefix) and key.endswith(".Key")]
    return {form[f"{place}.Key"]: form.get(f"{place}.Value", "") for place in places}


def _time(unix_s: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix_s))


def _session_result(session: Session) -> dict[str, Any]:
    account, _, role = session.role.partition("::")[2].partition(":role/")
    name = session.name
    return {
        "Credentials": {
            "AccessKeyId": session.access_key,
            "SecretAccessKey": session.secret,
            "SessionToken": session.token,
            "Expiration": _time(session.expires_unix_s),
        },
        "AssumedRoleUser": {
            "AssumedRoleId": f"AROA{session.access_key[4:]}:{name}",
            "Arn": f"arn:aws:sts::{account}:assumed-role/{role}/{name}",
        },
    }


def _xml(value: Any) -> str:
    if isinstance(value, dict):
        return "".join(f"<{name}>{_xml(part)}</{name}>" for name, part in value.items())
    return escape(str(value))


def _envelope(action: str, result: dict[str, Any], request_id: str) -> str:
    return (
        f'<{action}Response xmlns="{NAMESPACE}"><{action}Result>{_xml(result)}</{action}Result>'
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{action}Response>"
    )


def _error(code: str, message: str, request_id: str) -> str:
    parts = _xml({"Type": "Sender", "Code": code, "Message": message})
    return (
        f'<ErrorResponse xmlns="{NAMESPACE}"><Error>{parts}</Error>'
        f"<RequestId>{request_id}</RequestId></ErrorResponse>"
    )
