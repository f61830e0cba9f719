"""What is called otherwise today: old names of options become new ones, each with a warning.

This does what `packer fix` (1.6.6) does for builders, provisioners and post-processors that we
have: iso-md5, createtime, sshkeypath, sshdisableagent, manifest-filename, amazon-shutdown_behavior,
amazon-enhanced-networking, amazon-private-ip, amazon-temp-sec-cidrs, clean-image-name,
spot-price-auto-product, galaxy-command, comm-config, ssh-wait-timeout, iso-checksum-type-and-url
and qemu-host-port; and what Packer dropped before there was a fixer for it. qemu-disk-size needs
none: a number of megabytes is a disk size here. All other fixers are for what we do not have.

The functions `clean_ami_name` and `clean_image_name` and the field ``{{.CreateTime}}`` still work;
here they only get their warning.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from harness.packer import weak

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.packer.components import Builder, Component, PostProcessor, Provisioner
    from harness.packer.values import Value

_Kind = TypeVar("_Kind", bound="Component")
Options = dict[str, "Value"]


class Renamed(NamedTuple):
    """An option; ``new`` is empty where it has gone, and ``why`` says more.

    ``convert`` makes today's value of the old one; None of it means that the option is not set.
    """

    old: str
    new: str
    types: str = "*"
    convert: Callable[[Value], Value | None] = lambda value: value
    why: str = ""


def _private_ip(value: Value) -> Value | None:
    if isinstance(value.data, str) and "{{" in value.data:  # what that is, is known too late
        raise value.error("this is called 'ssh_interface' today, and \"private_ip\" a value of it")
    return replace(value, data="private_ip") if weak.as_bool(value) else None


def _endpoint(value: Value) -> Value | None:
    known = {"rackspace-us": "identity", "rackspace-uk": "lon.identity"}
    name = known.get(str(value.data))
    return replace(value, data=f"https://{name}.api.rackspacecloud.com/v2.0") if name else value


_V1 = "numbers of DigitalOcean's first API are not known to today's: write a slug"

BUILDERS = (
    Renamed("ssh_key_path", "ssh_private_key_file"),
    Renamed("ssh_wait_timeout", "ssh_timeout"),
    Renamed("ssh_disable_agent", "ssh_disable_agent_forwarding"),
    Renamed("shutdown_behaviour", "shutdown_behavior", "amazon-*"),
    Renamed("enhanced_networking", "ena_support", "amazon-*"),
    Renamed("ssh_private_ip", "ssh_interface", "amazon-*", _private_ip),
    Renamed(
        "temporary_security_group_source_cidr",
        "temporary_security_group_source_cidrs",
        "amazon-*",
    ),
    Renamed("spot_price_auto_product", "", "amazon-*", why="the product is found by itself"),
    Renamed("ami_block_device_mappings", "launch_block_device_mappings", "amazon-*"),
    Renamed("ssh_host_port_min", "host_port_min", "qemu"),
    Renamed("ssh_host_port_max", "host_port_max", "qemu"),
    Renamed("ssh_skip_nat_mapping", "skip_nat_mapping", "qemu"),
    Renamed("client_id", "", "digitalocean", why="an api_token is enough"),
    Renamed("api_key", "api_token", "digitalocean"),
    Renamed("image_id", "image", "digitalocean", why=_V1),
    Renamed("region_id", "region", "digitalocean", why=_V1),
    Renamed("size_id", "size", "digitalocean", why=_V1),
    Renamed("provider", "identity_endpoint", "openstack", _endpoint),
    Renamed("project", "tenant_name", "openstack"),
)
PROVISIONERS = (Renamed("galaxycommand", "galaxy_command", "ansible-local"),)
POST_PROCESSORS = (Renamed("filename", "output", "manifest"),)

_TEXTS = {
    re.compile(r"\{\{[^{}]*\bclean_(?:ami|image)_name\b"): (
        "clean_ami_name and clean_image_name are called clean_resource_name today"
    ),
    re.compile(r"\{\{-?\s*\.CreateTime\s*-?\}\}"): "{{.CreateTime}} is written {{timestamp}} today",
}


@dataclass(frozen=True)
class Renamer:
    """Puts what it has to say into ``warnings``, each as "file:line:column: what"."""

    warnings: list[str]

    def builder(self, builder: Builder) -> Builder:
        """The builder with today's names."""
        renamed = self._renamed(builder, BUILDERS)
        for value in renamed.options.values():
            for text in _texts(value):
                self._old_text(text)
        return replace(renamed, options=self._checksum(dict(renamed.options)))

    def provisioner(self, provisioner: Provisioner) -> Provisioner:
        """The provisioner with today's names, in its overrides too."""
        override = {
            name: self._renamed(replace(provisioner, options=options), PROVISIONERS).options
            for name, options in provisioner.override.items()
        }
        return replace(self._renamed(provisioner, PROVISIONERS), override=override)

    def post_processor(self, post_processor: PostProcessor) -> PostProcessor:
        """The post-processor with today's names."""
        return self._renamed(post_processor, POST_PROCESSORS)

    def _renamed(self, component: _Kind, table: tuple[Renamed, ...]) -> _Kind:
        options = dict(component.options)
        for entry in table:
            if entry.old in options and fnmatch.fnmatchcase(component.type, entry.types):
                self._rename(options, entry)
        return replace(component, options=options)

    def _rename(self, options: Options, entry: Renamed) -> None:
        value = options.pop(entry.old)
        converted = entry.convert(value) if entry.new else None
        if entry.new in options:
            said = f"is not used: {entry.new!r} is there too, and is what it is called today"
        elif entry.new:
            said = f"is called {entry.new!r} today"
        else:
            said = "does nothing any more"
        why = f"; {entry.why}" if entry.why else ""
        self.warnings.append(value.note(f"{entry.old!r} {said}{why}"))
        if converted:
            options.setdefault(entry.new, converted)

    def _checksum(self, options: Options) -> Options:
        """``iso_checksum`` says its type, or the file it is in, by itself today."""
        for name in ("iso_md5", "iso_checksum_type", "iso_checksum_url"):
            if name in options:
                said = """is part of 'iso_checksum' today: "md5:...", "file:https://...", "none\""""
                self.warnings.append(options[name].note(f"{name!r} {said}"))
        md5, kind, url = (
            options.pop(name, None) for name in ("iso_md5", "iso_checksum_type", "iso_checksum_url")
        )
        found = options.get("iso_checksum")
        if url:
            options["iso_checksum"] = replace(url, data=f"file:{weak.as_text(url)}")
        elif md5 and not found:
            options["iso_checksum"] = replace(md5, data=f"md5:{weak.as_text(md5)}")
        elif kind and weak.as_text(kind) == "none":
            options["iso_checksum"] = replace(kind, data="none")
        elif kind and found and ":" not in weak.as_text(found):
            text = f"{weak.as_text(kind)}:{weak.as_text(found)}"
            options["iso_checksum"] = replace(found, data=text)
        return options

    def _old_text(self, text: Value) -> None:
        for pattern, said in _TEXTS.items():
            if pattern.search(str(text.data)):
                self.warnings.append(text.note(said))


def _texts(value: Value) -> Iterator[Value]:
    """All strings in a value."""
    if isinstance(value.data, str):
        yield value
    nested = value.data if isinstance(value.data, tuple) else value.entries().values()
    for entry in nested:
        yield from _texts(entry)
