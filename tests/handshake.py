#!/usr/bin/env python3
"""TLS handshakes with an address, and one request each, from whoever runs this; JSON in and out.

The argument is {address, authority, wanted: [{name, version, ciphers, path, method}]}; each of them but the name may be left
out. Needs Python's standard library only.
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
from typing import Any


def context_for(authority: str, wanted: dict[str, Any]) -> ssl.SSLContext:
    """Return what a client takes: everything there ever was, but for what is wanted."""
    context = ssl.create_default_context(cafile=authority or None)
    if not authority:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(wanted.get("alpn", ["http/1.1"]))
    # Versions and ciphers that nobody should take, which OpenSSL else does not offer.
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers(wanted.get("ciphers", "ALL:COMPLEMENTOFALL") + ":@SECLEVEL=0")
    if "version" in wanted:
        context.minimum_version = context.maximum_version = ssl.TLSVersion[wanted["version"]]
    return context


def handshake(address: str, authority: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """Return what came of one."""
    try:
        with (
            socket.create_connection((address, wanted.get("port", 443)), timeout=10) as plain,
            context_for(authority, wanted).wrap_socket(plain, server_hostname=wanted["name"]) as secure,
        ):
            cipher, shown = secure.cipher(), secure.getpeercert()
            found: dict[str, Any] = {
                "version": secure.version(),
                "cipher": cipher[0] if cipher else "",
                "alpn": secure.selected_alpn_protocol(),
                "serial": shown["serialNumber"] if shown else "",
                "ticket": bool(secure.session and secure.session.has_ticket),
            }
            if "path" in wanted:
                lines = [f"{wanted.get('method', 'GET')} {wanted['path']} HTTP/1.1", f"Host: {wanted['name']}"]
                secure.sendall("\r\n".join([*lines, *wanted.get("headers", []), "Connection: close", "", ""]).encode())
                answer = b""
                while data := secure.recv(65536):
                    answer += data
                head, _, body = answer.decode("latin-1").partition("\r\n\r\n")
                first, *fields = head.split("\r\n")
                found |= {"status": int(first.split()[1]), "body": body}
                found["headers"] = {name.lower(): value for name, _, value in (line.partition(": ") for line in fields)}
            return found
    except (OSError, ValueError) as error:
        return {"error": str(error)}


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    print(json.dumps([handshake(asked["address"], asked["authority"], one) for one in asked["wanted"]]))
