"""Login: one-time links, and an identity provider over real HTTP; what a session may and may not."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import jwt
import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import Depends, FastAPI

from crossfade.config.schema import PersonSection
from crossfade.config.shape.control import OidcSection
from crossfade.control.api.access import Person, person_in, require_role
from crossfade.control.api.login import LoginParts, create_login_router
from crossfade.control.login.oidc import LoginError, Oidc, identity_of
from crossfade.control.login.sessions import LASTS_S, LINK_LASTS_S, PREFIX, Identity, LinkError, Sessions
from crossfade.domain.people import Role

KEY = "k" * 64
PEOPLE = {"Ann": PersonSection(hash="cfh_ann-1_" + "0" * 64, roles=("releaser",))}


@pytest.fixture
def sessions():
    now = [1_000_000.0]
    return Sessions(KEY, lambda: now[0]), now


def test_a_link_works_once_and_not_for_long(sessions):
    book, now = sessions
    code = book.link(Identity("Ann", None))
    assert book.identity(book.redeem(code)) == Identity("Ann", None)
    for _ in range(2):
        with pytest.raises(LinkError, match="used before, or is too old"):
            book.redeem(code)
    late = book.link(Identity(None, (Role.ADMIN,)))
    assert code not in str(book.links)
    assert late not in str(book.links), "only hashes are kept"
    now[0] += LINK_LASTS_S
    with pytest.raises(LinkError):
        book.redeem(late)


def test_a_session_ends_and_one_that_was_made_up_or_changed_is_nobodys(sessions):
    book, now = sessions
    session = book.session(Identity("Ann", (Role.VIEWER,)))
    assert book.identity(session) == Identity("Ann", (Role.VIEWER,))
    head, body, signature = session.split(".")
    said = json.loads(base64.urlsafe_b64decode(body + "=="))
    forged = base64.urlsafe_b64encode(json.dumps({**said, "roles": ["admin"]}).encode()).rstrip(b"=").decode()
    none = jwt.encode(said, None, algorithm="none")
    other = jwt.encode({**said, "aud": "crossfade-login"}, KEY, algorithm="HS256")
    for bad in (
        f"{head}.{forged}.{signature}",
        none,
        other,
        Sessions("x" * 64, lambda: 0.0).session(Identity("Ann", None)),
        "",
    ):
        assert book.identity(bad) is None
    now[0] += LASTS_S
    assert book.identity(session) is None


def test_what_a_person_of_the_config_may_is_read_at_every_call(sessions):
    book, _ = sessions
    session = book.session(Identity("Ann", None))
    assert person_in(session, book, PEOPLE) == Person("Ann", frozenset({Role.RELEASER}))
    assert person_in(session, book, {}) is None, "taken out of the config, gone at once"


class Provider:
    """An identity provider: what it says of the person is a test's to choose."""

    def __init__(self):
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.signs_with = self.key
        self.claims = {"email": "ann@example.com", "email_verified": True, "groups": ["releasers", "others"]}
        self.codes, self.spoil, self.asked = {}, {}, []
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                provider.get(self)

            def do_POST(self):
                provider.token(self)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def get(self, call):
        asked = urlsplit(call.path)
        self.asked.append(asked.path)
        if asked.path == "/authorize":
            query = {name: values[0] for name, values in parse_qs(asked.query).items()}
            assert (query["response_type"], query["code_challenge_method"]) == ("code", "S256")
            code = f"code-{len(self.codes)}"
            self.codes[code] = query
            back = {"code": code, "state": query["state"], "iss": self.url} | self.spoil.get("back", {})
            call.send_response(302)
            call.send_header("location", f"{query['redirect_uri']}?{urlencode(back)}")
            call.end_headers()
            return None
        if asked.path == "/jwks":
            public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
            return self.say(call, 200, {"keys": [{**public, "kid": "one", "alg": "RS256", "use": "sig"}]})
        found = {"issuer": self.url, "authorization_endpoint": f"{self.url}/authorize",
                 "token_endpoint": f"{self.url}/token", "jwks_uri": f"{self.url}/jwks"}  # fmt: skip
        return self.say(call, 200, found | self.spoil.get("discovery", {}))

    def token(self, call):
        body = parse_qs(call.rfile.read(int(call.headers["content-length"])).decode())
        given = {name: values[0] for name, values in body.items()}
        begun = self.codes.pop(given["code"], None)
        digest = hashlib.sha256(given["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        basic = base64.b64encode(b"console:s3cret").decode()
        is_good = (
            begun is not None
            and begun["code_challenge"] == challenge
            and begun["redirect_uri"] == given["redirect_uri"]
            and call.headers.get("authorization") == f"Basic {basic}"
        )
        if not is_good:
            return self.say(call, 400, {"error": "invalid_grant"})
        now = time.time()
        claims = {
            "iss": self.url,
            "aud": "console",
            "sub": "1",
            "iat": now,
            "exp": now + 300,
            "nonce": begun["nonce"],
        }
        claims |= self.claims | self.spoil.get("claims", {})
        token = jwt.encode(claims, self.signs_with, algorithm="RS256", headers={"kid": "one"})
        return self.say(call, 200, {"access_token": "a", "token_type": "Bearer", "id_token": token})

    def say(self, call, status, document):
        call.send_response(status)
        call.send_header("content-type", "application/json")
        call.end_headers()
        call.wfile.write(json.dumps(document).encode())


@pytest.fixture
def provider(monkeypatch):
    monkeypatch.setenv("CONSOLE_SECRET", "s3cret")
    running = Provider()
    yield running
    running.server.shutdown()
    running.server.server_close()


@pytest.fixture
def console(provider):
    """Control's login routes, and two routes that need a role."""
    section = OidcSection(
        issuer=provider.url, client_id="console", client_secret_env="CONSOLE_SECRET",
        roles={"releasers": ("releaser",), "boss": ("admin",)},
    )  # fmt: skip
    book = Sessions(KEY, time.time)

    def person_of(bearer):
        if bearer == "api-token":
            return Person(None, frozenset({Role.ADMIN}))
        return person_in(bearer.removeprefix(PREFIX), book, PEOPLE) if bearer.startswith(PREFIX) else None

    config = SimpleNamespace(control=SimpleNamespace(oidc=section), people=PEOPLE)
    parts = LoginParts(
        sessions=book,
        person_of=person_of,
        config=lambda: config,
        oidc_of=lambda section: Oidc(section, KEY, time.time, time.monotonic),
    )
    app = FastAPI()
    app.include_router(create_login_router(parts))

    releaser, compliance = (Depends(require_role(person_of, r)) for r in (Role.RELEASER, Role.COMPLIANCE))

    @app.post("/release")
    async def release(person: Person = releaser) -> dict:
        return {"by": person.acting("whoever")}

    @app.post("/sign")
    async def sign(person: Person = compliance) -> dict:
        return {"by": person.signing("somebody else")}

    @app.get("/")
    async def page() -> dict:
        return {"page": "console"}

    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    server.install_signal_handlers = lambda: None
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    yield SimpleNamespace(url=url, config=config, sessions=book)
    server.should_exit = True
    thread.join()


def browser(console):
    return httpx2.Client(base_url=console.url, follow_redirects=True)


def own(console):
    return {"origin": console.url}


def test_a_link_of_the_api_token_logs_one_browser_in(console):
    with browser(console) as ann, browser(console) as thief:
        assert ann.post("/api/v1/login/links", json={}).status_code == 401
        made = ann.post(
            "/api/v1/login/links", json={"person": "Ann"}, headers={"authorization": "Bearer api-token"}
        )
        assert made.status_code == 201
        landed = ann.get(made.json()["path"])
        assert landed.json() == {"page": "console"}
        assert "HttpOnly" in landed.history[0].headers["set-cookie"]
        assert ann.get("/api/v1/me").json() == {"name": "Ann", "roles": ["releaser"], "oidc": True}
        assert ann.post("/release", headers=own(console)).json() == {"by": "Ann"}

        late = thief.get(made.json()["path"])
        assert (late.status_code, "was used before" in late.text) == (403, True)
        assert thief.get("/api/v1/me").json()["name"] is None
        assert ann.post("/logout", headers=own(console)).status_code == 204
        assert ann.post("/release", headers=own(console)).status_code == 401
    with browser(console) as admin:
        unknown = admin.post(
            "/api/v1/login/links", json={"person": "Bo"}, headers={"authorization": "Bearer api-token"}
        )
        assert (unknown.status_code, unknown.json()["detail"]["hint"]) == (404, "there is Ann")


def test_the_provider_vouches_for_a_person_and_groups_become_roles(console, provider):
    with browser(console) as ann:
        assert ann.get("/login/oidc").json() == {"page": "console"}
        assert ann.get("/api/v1/me").json() == {
            "name": "ann@example.com",
            "roles": ["releaser", "viewer"],
            "oidc": True,
        }
        assert ann.post("/release", headers=own(console)).json() == {"by": "ann@example.com"}
        refused = ann.post("/sign", headers=own(console))
        assert refused.status_code == 403
        said = refused.json()["detail"]
        assert said["message"] == "this needs the role compliance; ann@example.com has releaser, viewer"
        assert "control.oidc.roles" in said["hint"]


def test_a_session_changes_nothing_for_another_site(console):
    with browser(console) as ann:
        ann.get("/login/oidc")
        for headers in ({}, {"origin": "https://evil.example"}, {"origin": "null"}):
            refused = ann.post("/release", headers=headers)
            assert (refused.status_code, refused.json()["detail"]["message"]) == (
                403,
                "another site asked for this",
            )


@pytest.mark.parametrize(
    ("where", "what", "said"),
    [
        ("back", {"state": "guessed"}, "belongs to another login"),
        ("back", {"iss": "https://other.example"}, "another provider answered"),
        ("back", {"code": "code-made-up"}, "answered 400 invalid_grant"),
        ("claims", {"nonce": "replayed"}, "made for another login"),
        ("claims", {"aud": "another-app"}, "the id_token does not hold"),
        ("claims", {"iss": "https://other.example"}, "the id_token does not hold"),
        ("claims", {"exp": 1000}, "the id_token does not hold"),
        ("claims", {"email": None}, "the id_token has no email"),
        ("claims", {"email_verified": False}, "is not a confirmed address"),
        ("discovery", {"issuer": "https://other.example"}, "is of issuer"),
        ("discovery", {"token_endpoint": "http://evil.example/token"}, "names no safe token_endpoint"),
    ],
)
def test_an_answer_that_does_not_hold_gives_no_session(console, provider, where, what, said):
    provider.spoil = {where: what}
    with browser(console) as ann:
        answer = ann.get("/login/oidc")
        assert (answer.status_code, said in answer.text) == (403, True), answer.text
        assert ann.get("/api/v1/me").json()["name"] is None


def test_a_token_signed_by_another_key_gives_no_session(console, provider):
    provider.signs_with = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    with browser(console) as ann:
        assert "Signature verification failed" in ann.get("/login/oidc").text


def test_an_answer_without_the_browser_that_began_is_refused(console):
    with browser(console) as ann:
        answer = ann.get("/login/oidc/back", params={"code": "code-0", "state": "s"})
        assert (answer.status_code, "began elsewhere" in answer.text) == (403, True)


def test_without_a_provider_the_route_says_what_to_do(console):
    console.config.control.oidc = None
    with browser(console) as ann:
        answer = ann.get("/login/oidc")
        assert (answer.status_code, "crossfade login" in answer.json()["detail"]["hint"]) == (404, True)


@pytest.mark.parametrize(
    ("claim", "roles"),
    [
        (["releasers", "boss"], {Role.RELEASER, Role.ADMIN, Role.VIEWER}),
        ("boss", {Role.ADMIN, Role.VIEWER}),
        (["unknown"], {Role.VIEWER}),
        ({"odd": 1}, {Role.VIEWER}),
        (None, {Role.VIEWER}),
    ],
)
def test_nobody_is_more_than_a_viewer_unless_a_group_says_so(claim, roles):
    section = OidcSection(
        issuer="https://i", client_id="c", roles={"releasers": ("releaser",), "boss": ("admin",)}
    )
    assert set(identity_of(section, {"email": "a@b", "groups": claim}).roles) == roles
    with pytest.raises(LoginError, match="has no email"):
        identity_of(section, {"groups": claim})


@pytest.mark.parametrize(
    ("change", "said"),
    [({"issuer": "http://idp.example"}, "must be https"), ({"scopes": ("email",)}, "must contain openid")],
)
def test_an_unsafe_provider_is_refused_by_the_config(change, said):
    with pytest.raises(ValueError, match=said):
        OidcSection(**{"issuer": "https://i", "client_id": "c", **change})
