"""Names that are nearly the same."""

import pytest

from airflow_provider_chefconsul.domain.model.name import nearest, twin, twins


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("web-1", ["Web-1", "web-2"], "Web-1"),
        ("web-1", ["web-1.example.com", "web-2.example.com"], "web-1.example.com"),
        ("WEB-1.example.com", ["web-1", "web-2"], "web-1"),
        ("web-1", ["web-1.b.example", "web-1.a.example"], "web-1.a.example"),
        ("web-1", ["web-1"], None),
        ("web-1", ["web-2", "web-11", "web"], None),
        ("web-1.a.example", ["web-1.b.example"], None),
        ("web-1", [], None),
    ],
)
def test_twin(name: str, known: list[str], expected: str | None) -> None:
    """One machine under two names: different case, or short and fully qualified."""
    assert twin(name, known) == expected


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("web1", ["web-1", "web-2", "db-1"], "web-1"),
        ("web-l", ["web-1.example.com", "web-1"], "web-1"),
        ("WBE-1", ["web-1"], "web-1"),
        ("web-1", ["web-2", "web-1.example.com"], "web-1.example.com"),
        ("web-9", ["web-10", "web-2"], "web-2"),
        ("web-1.a.example", ["web-1.b.example"], "web-1.b.example"),
        ("cache", ["web-1", "db-1"], None),
        ("web-1", ["web-1"], None),
        ("web-1", [], None),
    ],
)
def test_nearest(name: str, known: list[str], expected: str | None) -> None:
    """The name that was probably meant: the same machine's other name first, then similar ones."""
    assert nearest(name, known) == expected


def test_twins_of_many_names() -> None:
    """Looks at each name once, so that thousands are cheap; returns only those with a twin."""
    short = [f"web-{number}" for number in range(20_000)]
    full = [f"{name}.example.com" for name in short[::2]]
    found = twins(short, full)
    assert found == {name: f"{name}.example.com" for name in short[::2]}
