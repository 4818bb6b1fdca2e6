"""Certificates of balancers: what is in the files that a user names, what is wrong with them, and one that stands in.

The library is `cryptography`, which ansible-core itself needs on the control node.
"""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import itertools
import re
import ssl
import warnings
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

TEXT = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----")
KEY = re.compile(r"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.+?-----END \1-----", re.DOTALL)
# Less than that, and the next deploy may come too late.
SOON = datetime.timedelta(days=14)


class Certificate(NamedTuple):
    """A certificate with its key and chain: as HAProxy reads it, the names that it is for, and until when."""

    pem: str
    names: tuple[str, ...]
    expires: datetime.datetime


def read_certificate(certificate: str, key: str | None) -> tuple[Certificate | None, list[str]]:
    """Return what is in the text of a certificate file and of a key file (PEM), and what is wrong with it.

    Without a key, which is where the certificate is to be, HAProxy says whether it fits. Each problem is what follows the
    name of the file in a message, and has its fix. The order in the file is that of TLS (RFC 8446, section 4.4.2): the
    certificate itself, then each one's issuer.
    """
    try:
        chain = x509.load_pem_x509_certificates(certificate.encode())
    except ValueError as error:
        return None, [
            f"is no certificate ({_instead(certificate) or str(error).partition('.')[0]}). Fix: PEM, as in -----BEGIN "
            "CERTIFICATE-----; of another form `openssl x509 -inform der` makes it, or `openssl pkcs12 -nodes`."
        ]
    names = names_of(chain[0])
    problems = list(_order_problems(chain))
    # In another order, the first one is not that which the key and the names belong to.
    if not problems:
        problems += _key_problems(chain[0], key) if key is not None else []
        problems += _end_problems(chain[-1])
        if not names:
            problems.append("names no host (it has no subjectAltName). Fix: one that does; browsers read nothing else.")
    problems += _time_problems(chain)
    found = KEY.search(key or "")
    blocks = [found[0].strip() + "\n"] if found else []
    blocks += [one.public_bytes(Encoding.PEM).decode() for one in chain]
    return Certificate("".join(blocks), names, chain[0].not_valid_after_utc), problems


def _instead(text: str) -> str:
    """Return what a text is that is no certificate, empty where it looks like one."""
    if re.search("[\ud800-\udfff]", text):
        # As Ansible gives bytes that are none.
        return "it is no text"
    kinds = TEXT.findall(text)
    return f"it has a {kinds[0]}" if kinds and "CERTIFICATE" not in kinds else ""


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the host names and addresses that a certificate is for, in small letters (RFC 6125: its alternative names)."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    names = [name.lower() for name in found.get_values_for_type(x509.DNSName)]
    return (*names, *(str(address) for address in found.get_values_for_type(x509.IPAddress)))


def covers(names: Collection[str], hostname: str) -> bool:
    """Say whether a certificate for `names` is one for a host name; an asterisk is for one label (RFC 6125, 6.4.3)."""
    return hostname in names or "*." + hostname.partition(".")[2] in names


def _key_problems(certificate: x509.Certificate, key: str) -> Iterator[str]:
    if not KEY.search(key):
        yield (
            "has no private key. Fix: name its file as `key`, or add it to this one, in PEM: of others `openssl pkey -inform der` "
            "makes it."
        )
        return
    try:
        private = load_pem_private_key(KEY.search(key)[0].encode(), None)  # type: ignore[index]
    except TypeError:
        yield "has a key with a passphrase, which HAProxy could not ask for. Fix: take it off and use ansible-vault."
    except (ValueError, UnsupportedAlgorithm):
        yield "has a key that cannot be read. Fix: PEM, as in -----BEGIN PRIVATE KEY-----."
    else:
        form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        if private.public_key().public_bytes(*form) != certificate.public_key().public_bytes(*form):
            yield "has the key of another certificate. Fix: the one that it was requested with."


def _order_problems(chain: Sequence[x509.Certificate]) -> Iterator[str]:
    for one, issuer in itertools.pairwise(chain):
        if not _issued(one, issuer):
            yield (
                f"has, after {_subject(one)}, {_subject(issuer)}, which has not issued it. "
                "Fix: the certificate first, then each one's issuer."
            )
            return


def _end_problems(last: x509.Certificate) -> Iterator[str]:
    if not _issued(last, last) and not any(_issued(last, root) for root in trusted_roots()):
        yield (
            f"ends at {_subject(last)}, whose issuer {last.issuer.rfc4514_string()} is no root that this machine trusts; "
            "browsers would say so. Fix: append the issuer's certificates ('fullchain'), of a CA of your own with its root."
        )


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def trusted_roots() -> list[x509.Certificate]:
    """Return the roots that the control node trusts."""
    found = []
    with warnings.catch_warnings():
        # An old root or two have odd serial numbers.
        warnings.simplefilter("ignore")
        for der in ssl.create_default_context().get_ca_certs(binary_form=True):
            with contextlib.suppress(ValueError):
                found.append(x509.load_der_x509_certificate(der))
    return found


def _subject(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or ", ".join(names_of(certificate)) or "one without a name"


def _time_problems(chain: Sequence[x509.Certificate]) -> Iterator[str]:
    now = datetime.datetime.now(datetime.UTC)
    for one in chain:
        if one.not_valid_after_utc < now:
            yield f"has expired: {_subject(one)} was valid until {one.not_valid_after_utc:%Y-%m-%d %H:%M} UTC. Fix: renew it."
        elif one.not_valid_before_utc > now:
            yield (
                f"is not valid yet: {_subject(one)} is so from {one.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on. "
                "Fix: wait, or set the clock."
            )


def stand_in(names: Sequence[str]) -> str:
    """Return a certificate that nobody but itself has signed, with its key: for the time until the first real one."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "stands in until the first is issued")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return (private + made.public_bytes(Encoding.PEM)).decode()


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
