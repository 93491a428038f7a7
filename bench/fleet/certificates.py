"""Certificates for a fleet: whoever has one may run code on its machines, and nobody else is heard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from platformdirs import user_config_path

from bench.errors import Failed, WrongUsage

AUTHORITY = "authority.pem"
ROLES = ("scheduler", "worker", "client")


def folder() -> Path:
    """Where they are looked for when nobody says where."""
    return user_config_path("backbench") / "fleet"


def write(place: Path, hosts: Sequence[str] = ("localhost", "127.0.0.1", "::1")) -> Path:
    """Make an authority and a certificate for each role, by trustme; the authority's own key is not kept.

    Raises WrongUsage when there are some, Failed when they cannot be written or trustme is missing.
    """
    try:
        import trustme
    except ImportError as error:
        raise Failed('trustme, which makes certificates, is missing; pip install "backbench[fleet]"') from error
    if (place / AUTHORITY).exists():
        raise WrongUsage(f"{place} holds certificates; remove them first, on every machine, or name another folder")
    try:
        place.mkdir(parents=True, exist_ok=True)
        place.chmod(0o700)
        authority = trustme.CA(organization_name="backbench fleet")
        for role in ROLES:
            file = place / f"{role}.pem"
            file.touch(mode=0o600)
            authority.issue_cert(*hosts, common_name=role).private_key_and_cert_chain_pem.write_to_path(str(file))
        authority.cert_pem.write_to_path(str(place / AUTHORITY))
    except OSError as error:
        raise Failed(f"cannot write {place}: {error.strerror}; name another folder with -o") from error
    return place


def security(place: Path | None, role: str) -> Any:
    """Dask's Security with the certificates of a folder, for all roles. Raises WrongUsage when they are not there."""
    from distributed.security import Security

    place = place or folder()
    own, authority = place / f"{role}.pem", place / AUTHORITY
    for file in (own, authority):
        if not file.is_file():
            raise WrongUsage(
                f"no {file}; `bench fleet certificates -o {place}` makes certificates; copy them to every machine"
            )
    return Security(
        tls_ca_file=str(authority), require_encryption=True,
        **{f"tls_{each}_{what}": str(own) for each in ROLES for what in ("cert", "key")},
    )  # fmt: skip


def client(place: Path | None) -> Any:
    """The client's. Raises as `security`."""
    return security(place, "client")
