"""A mail server for the tests: aiosmtpd, which is not ours, says whether our mails are mails.

Arguments: a JSON object {"tls": "none" | "starttls" | "implicit", "auth": PASSWORD or null, "cert": FILE,
"key": FILE, "after_dot": "accept" | "hang" | "cut_once" | "550" | "451" | "echo", "data": "" | "hang"}.
First line on stdout: the port. Then one JSON object a line per mail that came.
Addresses with "nobody" are refused for good, with "later" for now.
"""

import asyncio
import base64
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


class Handler:
    def __init__(self, options):
        self.options = options
        self.mails = 0

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        if "nobody" in address:
            return "550 5.1.1 no such user"
        if "later" in address:
            return "450 4.2.1 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        self.mails += 1
        tell(server, session, envelope)
        action = self.options.get("after_dot", "accept")
        if action == "hang":
            await asyncio.sleep(3600)
        if action == "cut_once" and self.mails == 1:
            server.transport.abort()
            await asyncio.sleep(3600)
        if action in ("550", "451"):
            return action + " no"
        if action == "echo":
            password = self.options["auth"]
            return "550 you are " + password + " " + base64.b64encode(password.encode()).decode()
        return "250 OK queued"


def tell(server, session, envelope):
    mail = email.message_from_bytes(envelope.original_content, policy=email.policy.default)
    body = lambda kind: next((p.get_content() for p in mail.walk() if p.get_content_type() == kind), None)
    told = {
        "from": envelope.mail_from,
        "to": envelope.rcpt_tos,
        "tls": server.transport.get_extra_info("ssl_object") is not None,
        "authenticated": bool(session.authenticated),
        "headers": [[name.lower(), str(value)] for name, value in mail.items()],
        "defects": [str(d) for p in mail.walk() for d in p.defects],
        "text": body("text/plain"),
        "html": body("text/html"),
    }
    print(json.dumps(told), flush=True)


async def main():
    options = json.loads(sys.argv[1])
    context = None
    if options["tls"] != "none":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options["cert"], options["key"])
    starttls, password = options["tls"] == "starttls", options.get("auth")

    def authenticate(server, session, envelope, mechanism, data):
        good = isinstance(data, LoginPassword) and data.login == b"watchroom" and data.password == password.encode()
        if good:
            return AuthResult(success=True)
        return AuthResult(success=False, handled=False, message="535 wrong password " + data.password.decode())

    def session():
        return SMTP(
            Handler.shared,
            hostname="mail.test",
            tls_context=context if starttls else None,
            require_starttls=starttls,
            auth_required=password is not None,
            auth_require_tls=starttls,
            authenticator=authenticate if password is not None else None,
        )

    Handler.shared = Handler(options)
    loop = asyncio.get_running_loop()
    implicit = context if options["tls"] == "implicit" else None
    server = await loop.create_server(session, "127.0.0.1", 0, ssl=implicit)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
