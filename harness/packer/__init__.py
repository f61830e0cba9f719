"""Packer's JSON templates, read whole and turned into plans."""
