"""A certificate authority for the checks, which issues certificates for the Collector and the services."""

import pathlib
import subprocess
from typing import NamedTuple

KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
DAYS = "2"


class Pair(NamedTuple):
    """A certificate and its key."""

    certificate: pathlib.Path
    key: pathlib.Path


class Authority:
    def __init__(self, folder):
        self.folder = folder
        self.own = Pair(folder / "authority.pem", folder / "authority.key")
        # A separate configuration, because that of the machine could change the certificates.
        self.configuration = folder / "openssl.cnf"
        self.configuration.write_text("[req]\ndistinguished_name = name\n[name]\n")
        constraints = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"]
        self.request("the authority", self.own.key, ["-x509", "-days", DAYS, *constraints, "-out", self.own.certificate])

    def issue(self, name, usage, host=None):
        """Issues a certificate for `usage`: `serverAuth`, with an address, or `clientAuth`."""
        pair = Pair(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        extensions.write_text(f"extendedKeyUsage={usage}\n" + (f"subjectAltName=IP:{host}\n" if host else ""))
        self.request(name, pair.key, ["-out", request])
        sign = ["-req", "-in", request, "-CA", self.own.certificate, "-CAkey", self.own.key, "-CAcreateserial"]
        openssl("x509", *sign, "-days", DAYS, "-extfile", extensions, "-out", pair.certificate)
        return pair

    def request(self, name, key, rest):
        openssl("req", "-config", self.configuration, *KEY, "-subj", f"/CN={name}", "-keyout", key, *rest)


def openssl(*arguments):
    outcome = subprocess.run(["openssl", *arguments], capture_output=True, text=True)
    assert outcome.returncode == 0, f"openssl {arguments[0]}: {outcome.stderr}"
