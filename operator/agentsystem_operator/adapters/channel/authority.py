"""The channel's certificate authority: made, read and used to sign with `cryptography`.

EC keys on P-256, which handshakes in a fifth of the time that RSA needs. Nothing here is random
but keys and serial numbers, and nothing may log what it holds.
"""

import ssl
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agentsystem_operator.decide.authority import CERTIFICATE_LIFE, LIFE, Generation

SKEW = timedelta(minutes=5)
"""A certificate is valid that much before it was made: clocks of nodes differ."""
_KEY_MARK = "-----BEGIN"


@dataclass(frozen=True, slots=True)
class Authority:
    """One generation: its certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def dates(self) -> Generation:
        """Return when it was made and when it ends."""
        return Generation(
            self.certificate.not_valid_before_utc + SKEW, self.certificate.not_valid_after_utc
        )

    @property
    def certificate_pem(self) -> str:
        """Return what pods are given."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        """Return what only the Secret holds."""
        return _key_pem(self.key)


def make(now: datetime) -> Authority:
    """Return a new generation."""
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    # Its own name each time: two authorities of one name would be tried in any order.
    name = _named(f"agentsystem channel {serial:x}"[:48])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - SKEW)
        .not_valid_after(now + LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


def read(certificates: str, keys: str) -> tuple[Authority, ...]:
    """Return the generations in two PEM texts, matched by their keys; the rest is passed over."""
    by_key = {_public(key.public_key()): key for key in _keys(keys)}
    found = []
    for text in _blocks(certificates):
        try:
            certificate = x509.load_pem_x509_certificate(text.encode())
            key = by_key.get(_public(certificate.public_key()))
        except ValueError:
            continue
        if isinstance(key, ec.EllipticCurvePrivateKey):
            found.append(Authority(certificate, key))
    return tuple(found)


def server_context(
    signer: Authority, names: Sequence[str], now: datetime
) -> tuple[ssl.SSLContext, datetime]:
    """Return a context with a new certificate for these names, and when the certificate ends."""
    key = ec.generate_private_key(ec.SECP256R1())
    ends = min(now + CERTIFICATE_LIFE, signer.certificate.not_valid_after_utc)
    authority_key = signer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_named("agentsystem-operator"))
        .issuer_name(signer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(authority_key.value),
            critical=False,
        )
        .sign(signer.key, hashes.SHA256())
    )
    chain = certificate.public_bytes(serialization.Encoding.PEM).decode() + _key_pem(key)
    return _context(chain), ends


def _context(chain: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0  # nobody resumes: a connection lasts as long as its token
    # OpenSSL takes a certificate from a file only; 0600, and gone right after.
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(chain)
        file.flush()
        context.load_cert_chain(file.name)
    return context


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def _keys(text: str) -> list[ec.EllipticCurvePrivateKey]:
    keys = []
    for block in _blocks(text):
        try:
            key = serialization.load_pem_private_key(block.encode(), password=None)
        except (ValueError, TypeError):
            continue
        if isinstance(key, ec.EllipticCurvePrivateKey):
            keys.append(key)
    return keys


def _public(key: object) -> bytes:
    """Return what tells a public key from another."""
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return b""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.DER, form)


def _blocks(text: str) -> list[str]:
    return [_KEY_MARK + block for block in text.split(_KEY_MARK)[1:]]
