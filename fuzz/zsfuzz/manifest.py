# SPDX-License-Identifier: GPL-2.0-only
"""What a finding must carry of its kernel to be built and seen again."""

from __future__ import annotations

from zsfuzz.guest.abi import read_abi
from zstools.kernel import Kernel


def finding_manifest(kernel: Kernel) -> dict[str, object]:
    """Give the build's manifest, with the guest's kind and the protocol's version."""
    manifest = dict(kernel.manifest)
    config = manifest["inputs"]["config"]
    protocol = read_abi(kernel.wire).constant("VERSION")
    profile = kernel.spec.profile or ""
    told = {"design": kernel.spec.design, "profile": profile}
    return {**manifest, "guest": "UML", "config": config, "protocol": protocol, **told}
