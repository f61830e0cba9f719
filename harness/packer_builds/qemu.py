"""Packer's ``qemu`` builder as our `Qemu`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness import packer
from harness.errors import TemplateError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.packer import Component, Value

IDLE = frozenset(
    {
        *("boot_wait", "boot_key_interval", "boot_keygroup_interval", "boot_steps"),
        *("http_directory", "http_content", "http_port_min", "http_port_max", "http_bind_address"),
        *("vnc_bind_address", "vnc_use_password", "vnc_password", "vnc_port_min", "vnc_port_max"),
        *("host_port_min", "host_port_max", "skip_nat_mapping", "qemu_binary", "display"),
        *("use_default_display", "use_backing_file", "skip_compaction", "skip_resize_disk"),
        *("disk_detect_zeroes", "disk_image", "iso_target_path", "iso_target_extension"),
        *("iso_skip_cache", "floppy_label", "use_pflash", "ssh_disable_agent_forwarding"),
    }
)
"""Options that say how Packer goes about what we do otherwise."""
REFUSED = {
    "boot_command": "nothing is typed: a machine image boots by itself",
    "floppy_files": "there is no floppy disk: write cd_files",
    "floppy_dirs": "there is no floppy disk: write cd_files",
    "floppy_content": "there is no floppy disk: write cd_content",
}
ACCELERATORS = {"none": "tcg"}
FIELDS = {"OutputDir": "{directory}", "SSHHostPort": "{ssh_port}"}
"""What ``qemuargs`` name, and what we call it."""


class UnsupportedError(TemplateError):
    """What a builder of Packer's can do and we do not."""

    @classmethod
    def of(cls, error: TemplateError) -> UnsupportedError:
        return cls(str(error), file=error.file, line=error.line, column=error.column)


def adapted(component: Component, name: str) -> tuple[Mapping[str, Value], dict[str, Any]]:
    """The options that are ours too, and what the others come to.

    Raises:
        UnsupportedError: one of them asks for what we do not do.
        TemplateError: one is wrong.
    """
    options = {n: v for n, v in component.options.items() if v.data is not None}
    _refuse(component, options)
    known = {
        **_base(component, options),
        "output_directory": f"output-{name}",
        "image_name": _image_name(options, name),
    }
    left = {n: v for n, v in options.items() if n not in _TAKEN}
    if directory := left.pop("output_directory", None):
        known["output_directory"] = packer.as_text(directory)
    known |= dict(_changed(left))
    return {n: v for n, v in left.items() if n not in known}, known


_TAKEN = {*IDLE, *REFUSED, "communicator", "iso_url", "iso_urls", "iso_checksum", "vm_name"}


def _refuse(component: Component, options: Mapping[str, Value]) -> None:
    for option, why in REFUSED.items():
        if option in options and options[option].data not in ("", (), {}):
            error = options[option].key_error(f"qemu has no {option}: {why}")
            raise UnsupportedError.of(error)
    communicator = options.get("communicator")
    if communicator and packer.as_text(communicator) not in ("", "ssh"):
        raise UnsupportedError.of(communicator.error("machines are reached by ssh"))
    image = options.get("disk_image")
    if image is None or not packer.as_bool(image):
        place = image.key_error if image else component.error
        error = place(
            "nothing is installed from a CD here: start from a machine image, with "
            '"disk_image": true and its address in iso_url'
        )
        raise UnsupportedError.of(error)


def _base(component: Component, options: Mapping[str, Value]) -> dict[str, Any]:
    addresses = [
        address
        for option in ("iso_url", "iso_urls")
        if option in options
        for address in packer.as_list(options[option], packer.as_text)
        if address
    ]
    if not addresses:
        raise component.error("qemu starts from an image: iso_url says where it is")
    # Several addresses are mirrors, and files of this computer need none.
    several = len(addresses) > 1 and all("://" in address for address in addresses)
    found: dict[str, Any] = {"base": addresses if several else addresses[0]}
    checksum = packer.as_text(options["iso_checksum"]) if "iso_checksum" in options else ""
    if checksum and checksum.partition(":")[0] != "none":
        found["base_checksum"] = checksum
    return found


def _image_name(options: Mapping[str, Value], name: str) -> str:
    """Of the file; Packer's has the format's ending only if the template writes it."""
    given = packer.as_text(options["vm_name"]) if "vm_name" in options else ""
    kind = packer.as_text(options["format"]) if "format" in options else "qcow2"
    return (given or f"packer-{name}").removesuffix(f".{kind}")


def _changed(options: Mapping[str, Value]) -> Iterator[tuple[str, Any]]:
    """Values that mean something else to us than to Packer."""
    for option in ("disk_size", "disk_additional_size"):
        if option in options:
            sizes = packer.as_list(options[option], _size)
            yield option, sizes[0] if option == "disk_size" else sizes
    if "accelerator" in options:
        chosen = packer.as_text(options["accelerator"])
        yield "accelerator", ACCELERATORS.get(chosen, chosen)
    if "qemuargs" in options:
        try:
            value = packer.render(options["qemuargs"], FIELDS)
        except TemplateError as error:
            raise UnsupportedError.of(error) from None
        arguments = value.data if isinstance(value.data, tuple) else (value,)
        yield "qemuargs", tuple(packer.as_list(each, packer.as_text) for each in arguments)


def _size(value: Value) -> str | int:
    """A number is of MiB, as a text too."""
    text = packer.as_text(value)
    return packer.as_int(replace(value, data=text)) if text.isdecimal() else text
