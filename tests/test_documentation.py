"""The documentation holds together: what is cited is there, what is named is linked, and links lead somewhere."""

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    path for pattern in ("*.md", "docs/*.md", "data/README.md", "checkpoint/README.md") for path in ROOT.glob(pattern)
)
SOURCES = sorted(path for folder in ("lib", "tools", "benchmarks", "tests") for path in (ROOT / folder).rglob("*.py"))
CITATION = re.compile(r"behaviour contract,?\s+sections?\s+(\d+)(?:\s+(?:and|to)\s+(\d+))?")
# What is no prose: code, links with their address beside them, comments, headings.
NO_PROSE = re.compile(
    r"```.*?```|`[^`\n]*`|!?\[[^\]]*\]\([^)]*\)|<!--.*?-->|^#.*?$|^\[[^\]]+\]: .*?$", re.DOTALL | re.MULTILINE
)


def name(path):
    return str(path.relative_to(ROOT))


def anchors(text):
    """What headings are linked by, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@cache
def addresses():
    """Everything that references.md names: name -> addresses in its row."""
    rows = re.findall(r"^\| ([^|]+) \|(.+)$", (ROOT / "docs/references.md").read_text(), re.MULTILINE)
    named = {}
    for names, rest in rows:
        links = re.findall(r"\((https?://[^)]+)\)", rest)
        named |= {each.strip(): links for each in re.split(r"[,(]", names) if links and each.strip()}
    return named


@pytest.mark.parametrize("path", [path for path in SOURCES if "behaviour contract" in path.read_text()], ids=name)
def test_every_citation_of_the_contract_names_a_section_that_it_has(path):
    sections = set(re.findall(r"^## (\d+)\. ", (ROOT / "docs/contract.md").read_text(), re.MULTILINE))
    assert len(sections) == 9
    text = path.read_text()
    cited = CITATION.findall(text)
    if path != Path(__file__):
        assert len(cited) == text.count("behaviour contract"), "a citation without a section"
    assert {number for numbers in cited for number in numbers if number} <= sections


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_links_inside_the_project_lead_somewhere(path):
    text = path.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        linked = path.parent / file if file else path
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked.read_text()), target
    defined = set(re.findall(r"^\[([^\]]+)\]: ", text, re.MULTILINE))
    assert all(f"[{each}]" in re.sub(r"^\[[^\]]+\]: .*$", "", text, flags=re.MULTILINE) for each in defined)


@pytest.mark.parametrize("path", [path for path in PAGES if path.name != "references.md"], ids=name)
def test_papers_datasets_and_programs_are_linked_on_every_page_that_names_them(path):
    text = path.read_text()
    defined = dict(re.findall(r"^\[([^\]]+)\]: (\S+)$", text, re.MULTILINE))
    prose = NO_PROSE.sub("", text)
    for each, links in addresses().items():
        if re.search(rf"(?<![\w+/-]){re.escape(each)}(?![\w+]|-X|-17)", prose):
            assert defined.get(each) in links, f"{each} is named, not linked as in docs/references.md"


def test_the_references_name_what_this_project_builds_on():
    built_on = {"MotionBERT", "SMPL", "HybrIK", "WHAM", "4D-Humans", "PHALP", "Human3.6M", "COCO", "3DPW"}
    assert built_on <= addresses().keys()
