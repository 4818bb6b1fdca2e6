"""A small certificate authority for tests: a root, an intermediate, and certificates of it with any fault that is asked for."""

from __future__ import annotations

import datetime
import ipaddress
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

KEY_USES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign",
    "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip


def pem_of(key: Any, passphrase: bytes = b"") -> str:
    """Return a private key as PEM."""
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode())


def general(name: str) -> x509.GeneralName:
    """Return a host name or an address as a certificate has it."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class Authority:
    """A root and an intermediate that it has signed."""

    def __init__(self, name: str = "Test") -> None:
        self.root_key, self.key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        self.root_name, self.name = self._named(f"{name} root"), self._named(f"{name} intermediate")
        self.root = self._sign(self.root_name, self.root_key, self.root_name, self.root_key, authority=True)
        self.intermediate = self._sign(self.name, self.key, self.root_name, self.root_key, authority=True)

    @staticmethod
    def _named(name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])

    @staticmethod
    def _sign(
        subject: x509.Name, key: Any, issuer: x509.Name, issuer_key: Any, names: Sequence[str] = (), authority: bool = False,
        days: tuple[float, float] = (-1, 90),
    ) -> str:  # fmt: skip
        now = datetime.datetime.now(datetime.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=days[0]))
            .not_valid_after(now + datetime.timedelta(days=days[1]))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            # What RFC 5280 asks for, and Python 3.13 with it.
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        )
        if authority:
            usage = dict.fromkeys(KEY_USES, False) | {"key_cert_sign": True, "crl_sign": True}
            made = made.add_extension(x509.KeyUsage(**usage), critical=True)
        if names:
            made = made.add_extension(x509.SubjectAlternativeName([general(name) for name in names]), False)
        return made.sign(issuer_key, SHA256()).public_bytes(Encoding.PEM).decode()

    def issue(
        self, *names: str, days: tuple[float, float] = (-1, 60), kind: str = "ecdsa", passphrase: bytes = b""
    ) -> tuple[str, str]:
        """Return (certificate, key) for some names, valid between two days from now; the chain is `self.intermediate`."""
        key: Any = (
            ec.generate_private_key(ec.SECP256R1())
            if kind == "ecdsa"
            else rsa.generate_private_key(65537, key_size=2048)
        )
        subject = self._named(names[0] if names else "nameless")
        return self._sign(subject, key, self.name, self.key, names, days=days), pem_of(key, passphrase)


def main(folder: Path, *names: str) -> None:
    """Write a root, and a certificate of it with its chain and key, into a folder."""
    authority = Authority()
    certificate, key = authority.issue(*names)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "server.pem").write_text(certificate + authority.intermediate)
    (folder / "server.key").write_text(key)
    (folder / "root.pem").write_text(authority.root)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
