"""The platforms that the cookbooks say they support are those that Test Kitchen tries."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import yaml

from tests.cookbooks.test_specs import COOKBOOKS

KITCHENS = sorted(path.relative_to(COOKBOOKS).as_posix() for path in COOKBOOKS.glob("*/kitchen*.yml"))
BY_IMAGE = {"rockylinux": "rocky", "amazonlinux": "amazon"}  # Chef's names of the platforms, where images have others
WITHOUT_IMAGE = {"redhat", "windows"}  # there are none to be had freely; RHEL's rebuilds stand for it


def read_supported(metadata: str) -> Iterator[tuple[str, float]]:
    """Platforms and the oldest version of each."""
    for name, version in re.findall(r"^supports '(\w+)'(?:, '>= ([\d.]+)')?$", metadata, flags=re.MULTILINE):
        yield name, float(version or 0)


@pytest.mark.parametrize("kitchen", KITCHENS)
def test_kitchen_tries_what_is_supported(kitchen):
    """Each platform, from its oldest version on, and no other."""
    path = COOKBOOKS / kitchen
    supported = dict(read_supported((path.parent / "metadata.rb").read_text()))
    tried: dict[str, list[float]] = {}
    for platform in yaml.safe_load(path.read_text())["platforms"]:
        image, _, version = platform["name"].rpartition("-")
        tried.setdefault(BY_IMAGE.get(image, image), []).append(float(version))
    assert {name: min(versions) for name, versions in tried.items()} == {
        name: oldest for name, oldest in supported.items() if name not in WITHOUT_IMAGE
    }


def test_there_are_kitchens():
    """An empty list would test nothing."""
    assert KITCHENS == ["desired_state/kitchen.dokken.yml", "desired_state/kitchen.yml", "shop/kitchen.yml"]
