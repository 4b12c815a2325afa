"""The deployed file: its architecture, its libraries, its size, and the paths in it."""

import os
import pathlib
import re
import struct
import zlib

# Value of `e_machine` in an ELF header.
AARCH64 = 183
ELF_HEADER = "<4sBB10xHH"
ELF_64_BIT = 2
GLIBC = re.compile(rb"GLIBC_(\d+)\.(\d+)")
# zlib's parameter for the gzip format.
GZIP = 31


class Binary:
    def __init__(self, path):
        self.content = pathlib.Path(path).read_bytes()

    def is_arm64(self):
        magic, width, _, _, machine = struct.unpack_from(ELF_HEADER, self.content)
        return (magic, width, machine) == (b"\x7fELF", ELF_64_BIT, AARCH64)

    def glibc(self):
        """Returns the newest version of glibc that a symbol requires."""
        return max((int(major), int(minor)) for major, minor in GLIBC.findall(self.content))

    def paths(self, root):
        """Returns at most ten texts in the file that start with a folder of the build machine."""
        folders = {str(root), str(pathlib.Path.home()), os.environ.get("CARGO_HOME"), os.environ.get("RUSTUP_HOME")}
        pattern = b"|".join(re.escape(f"{folder}/".encode()) for folder in sorted(filter(None, folders)))
        return [found.decode(errors="replace") for found in re.findall(rb"(?:%b)[!-~]{0,60}" % pattern, self.content)[:10]]

    def megabytes(self):
        return len(self.content) / 1e6

    def gzip_megabytes(self):
        compressor = zlib.compressobj(9, zlib.DEFLATED, GZIP)
        return (len(compressor.compress(self.content)) + len(compressor.flush())) / 1e6
