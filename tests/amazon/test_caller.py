from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.errors import SourceError
from harness.sources.amazon import caller
from harness.sources.amazon.network import Network
from tests.fileserver import FileServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.sources.amazon.ebs import AmazonEbs
    from harness.sources.base import Context

    Make = Callable[..., AmazonEbs]

HERE = Network("vpc-1", (), "127.0.0.0/16", ())


def told(source: AmazonEbs, context: Context) -> list[str]:
    return caller.cidrs(source, HERE, context)


def test_a_server_tells_the_callers_address(ebs: Make, context: Context, tmp_path: Path) -> None:
    (tmp_path / "ip").write_text("192.0.2.44\n")
    with FileServer(tmp_path) as server:
        url = server.url("ip")
        alone = ebs(temporary_security_group_source_cidrs=(), checkip_url=url)
        assert told(alone, context) == ["192.0.2.44/32"]
        both = ebs(
            temporary_security_group_source_cidrs=["10.0.0.0/8"],
            temporary_security_group_source_public_ip=True,
            checkip_url=url,
        )
        assert told(both, context) == ["10.0.0.0/8", "192.0.2.44/32"]


def test_with_a_private_interface_it_is_the_address_on_the_way_there(
    ebs: Make, context: Context
) -> None:
    source = ebs(temporary_security_group_source_cidrs=(), ssh_interface="private_ip")
    assert told(source, context) == ["127.0.0.1/32"]


def test_what_is_no_address_is_told_with_the_way_out(
    ebs: Make, context: Context, tmp_path: Path
) -> None:
    (tmp_path / "ip").write_text("<html>log in first</html>")
    with FileServer(tmp_path) as server:
        for name, text in (("ip", "'<html>log in first</html>', which is no"), ("none", "404")):
            source = ebs(temporary_security_group_source_cidrs=(), checkip_url=server.url(name))
            with pytest.raises(SourceError, match=f"{text}.*give temporary_security_group_source"):
                told(source, context)
