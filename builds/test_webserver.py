"""A web server that answers on port 80."""

from __future__ import annotations

import harness


@harness.build(
    harness.Qemu(base="debian-12", image_name="web-{timestamp}"), tests=["checks/base.py"]
)
def web(machine: harness.Machine) -> None:
    """nginx, and a page of ours."""
    machine.shell(
        "apt-get update",
        "apt-get install -y --no-install-recommends nginx-light",
        env={"DEBIAN_FRONTEND": "noninteractive"},
        sudo=True,
    )
    machine.put("webserver/site/", "/var/www/html")


def test_nginx_is_installed(web: harness.Host) -> None:
    assert web.package("nginx-light").is_installed


def test_nginx_is_running_and_starts_at_boot(web: harness.Host) -> None:
    nginx = web.service("nginx")
    assert nginx.is_running
    assert nginx.is_enabled


def test_port_80_is_open(web: harness.Host) -> None:
    assert web.socket("tcp://0.0.0.0:80").is_listening


def test_the_page_is_ours(web: harness.Host) -> None:
    page = web.file("/var/www/html/index.html")
    assert page.contains("Built and proven")
    assert page.mode == 0o644
