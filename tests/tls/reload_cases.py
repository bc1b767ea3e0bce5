"""A new certificate, read while connections are open."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from client import request
from requests_cases import is_right
from tls_client import TlsClient


def certificate_of(server):
    with TlsClient(server.tls, server.context(None)) as client:
        return client.tls.getpeercert(binary_form=True)


def case(server, fresh):
    first = certificate_of(server)
    with TlsClient(server.tls, server.context(None)) as client:
        client.send(request("GET", "/tls"))
        client.answer()
        shutil.copy(fresh.with_suffix(".key"), server.certificates / "server.key")
        shutil.copy(fresh.with_suffix(".pem"), server.certificates / "server.pem")
        said = server.ask("reload").strip()
        second = certificate_of(server)
        client.send(request("GET", "/tls"))
        old = client.answer().status
    # A file that cannot be read changes nothing.
    (server.certificates / "server.pem").write_text("nothing")
    refused = server.ask("reload").strip()
    third = certificate_of(server)
    right = said == "Ok(())" and refused.startswith("Err") and first != second == third
    return right and old == 200, f"{said} {refused} {old}"


def check(run, start, layer):
    with TemporaryDirectory(dir=run.scratch) as directory:
        certificates = Path(directory) / "certificates"
        shutil.copytree(run.certificates, certificates)
        with start(run, layer, certificates=certificates) as server:
            holds, why = is_right(case, server, certificates / "renewed.pem")
            text = f"{layer}: a renewed certificate" + ("" if holds else f": {why}")
            run.checks.that(holds, text)
