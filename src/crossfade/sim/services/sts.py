"""The security token service: `AssumeRole`, `AssumeRoleWithWebIdentity`, `GetCallerIdentity`."""

from __future__ import annotations

import re
import time
import uuid
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from crossfade.sim.endpoints.identities import Identities, Session
from crossfade.sim.services.aws import AwsError
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
            claims = self._identities.read_web_identity(form.get("WebIdentityToken", ""))
            session = self._issue(form, longest_s=43_200)
            return {
                **_session_result(session, form["RoleSessionName"]),
                "SubjectFromWebIdentityToken": claims["sub"],
                "Audience": claims["aud"],
                "Provider": claims["iss"],
            }
        signed = self._identities.verify_signed(request.message, "sts")
        if action == "AssumeRole":
            chained = signed.session_token is not None
            return _session_result(self._issue(form, 3600 if chained else 43_200), form["RoleSessionName"])
        if action == "GetCallerIdentity":
            account = self._identities.config.account
            return {
                "Arn": f"arn:aws:iam::{account}:user/sim",
                "UserId": signed.access_key,
                "Account": account,
            }
        raise AwsError(400, "InvalidAction", f"Could not find operation {action} for version 2011-06-15")

    def _issue(self, form: dict[str, str], longest_s: int) -> Session:
        role = form.get("RoleArn", "")
        if _ROLE.fullmatch(role) is None:
            raise AwsError(400, "ValidationError", f"{role} is invalid")
        if not re.fullmatch(r"[\w+=,.@-]{2,64}", form.get("RoleSessionName", "")):
            raise AwsError(
                400, "ValidationError", "RoleSessionName must have 2 to 64 characters of [\\w+=,.@-]"
            )
        wanted = form.get("DurationSeconds", "3600")
        if not wanted.isdigit() or not 900 <= int(wanted) <= longest_s:
            raise AwsError(
                400,
                "ValidationError",
                f"The requested DurationSeconds must be from 900 to {longest_s} for this role.",
            )
        return self._identities.issue(role, int(wanted))


def _session_result(session: Session, name: str) -> dict[str, Any]:
    account, _, role = session.role.partition("::")[2].partition(":role/")
    expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(session.expires_unix_s))
    return {
        "Credentials": {
            "AccessKeyId": session.access_key,
            "SecretAccessKey": session.secret,
            "SessionToken": session.token,
            "Expiration": expires,
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
