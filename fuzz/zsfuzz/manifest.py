# SPDX-License-Identifier: GPL-2.0-only
"""What a finding must carry of its kernel to be built and seen again."""

from __future__ import annotations

from zsfuzz.guest.abi import read_abi
from zsfuzz.swappath import missing_for_swap
from zsmodel.profile import DEFAULT_NAME
from zstools.kernel import Kernel, KernelSpec


def finding_manifest(kernel: Kernel) -> dict[str, object]:
    """Give the build's manifest, with the guest's kind, the protocol and how to ask for it."""
    manifest = dict(kernel.manifest)
    config = manifest["inputs"]["config"]
    protocol = read_abi(kernel.wire).constant("VERSION")
    arguments = kernel_arguments(kernel.spec)
    return {
        **manifest,
        "guest": "UML",
        "config": config,
        "protocol": protocol,
        "arguments": arguments,
        "design": kernel.spec.design,
        "no_swap": missing_for_swap(kernel.layout),
        "profile": profile_to_save(kernel.spec),
        "fragments": [str(path.absolute()) for path in kernel.spec.config],
        "adapter": str(kernel.spec.adapter.absolute()) if kernel.spec.adapter else "",
    }


def profile_to_save(spec: KernelSpec) -> str:
    """Spell the profile that is saved with programs; "" where none was given or asked for."""
    return "" if spec.profile is None else spec.profile or DEFAULT_NAME


def kernel_arguments(spec: KernelSpec) -> list[str]:
    """Give the options by which a command takes this kernel, and no other; paths as they were."""
    arguments = ["--design", spec.design, "--flavour", spec.flavour]
    for variant in spec.variants:
        arguments += ["--variant", variant]
    if spec.linux is not None:
        arguments += ["--linux", str(spec.linux)]
    for patch in spec.extra_patches:
        arguments += ["--patch", str(patch)]
    for fragment in spec.config:
        arguments += ["--config", str(fragment)]
    if spec.adapter is not None:
        arguments += ["--adapter", str(spec.adapter)]
    if spec.profile:
        arguments += ["--profile", spec.profile]
    return arguments
