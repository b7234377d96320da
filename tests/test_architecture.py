"""The rules of the house (ARCHITECTURE.md) that a machine can check."""

from __future__ import annotations

import ast
import re
import runpy
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FORBIDDEN_STEMS = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base"}
PROVIDER_NAMES = re.compile(r"bedrock|sagemaker|vertex|anthropic|azure|cohere", re.IGNORECASE)


def tracked(pattern: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", pattern],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def python_sources() -> list[Path]:
    return [p for p in tracked("src/*") if p.suffix == ".py"]


def rust_sources() -> list[Path]:
    return [p for p in tracked("engine/*") if p.suffix == ".rs" and "tests" not in p.parts]


def code_of(path: Path) -> str:
    """A Rust file without its inline tests and comments."""
    text = path.read_text().split("#[cfg(test)]")[0]
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("//"))


def relative(paths: list[Path]) -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for path in paths)


def test_no_source_file_is_longer_than_its_budget():
    console = [
        p for p in tracked("console/src/*") if p.suffix in {".ts", ".tsx", ".css"} and ".d." not in p.name
    ]
    too_long = {
        str(path.relative_to(ROOT)): length
        for path in [*python_sources(), *rust_sources(), *console]
        if (length := len(path.read_text().split("#[cfg(test)]")[0].splitlines())) > 400
    }

    assert too_long == {}


def test_no_python_function_is_longer_than_sixty_lines_or_takes_more_than_six_parameters():
    broken = []
    for path in python_sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            positional = [a for a in node.args.posonlyargs + node.args.args if a.arg not in {"self", "cls"}]
            if lines > 60 or len(positional) > 6:
                broken.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")

    assert broken == []


def test_no_file_has_a_name_that_says_nothing():
    assert [p for p in [*python_sources(), *rust_sources()] if p.stem.lower() in FORBIDDEN_STEMS] == []


def folder_sizes() -> dict[Path, int]:
    sizes: dict[Path, int] = {}
    for path in [*python_sources(), *rust_sources()]:
        if path.name not in {"__init__.py", "mod.rs", "lib.rs"}:
            sizes[path.parent] = sizes.get(path.parent, 0) + 1
    return sizes


def test_no_folder_holds_more_than_twelve_source_files():
    commands = (
        ROOT / "src/crossfade/app/cli"
    )  # one module a noun of the interface, which has more than twelve

    assert {str(f.relative_to(ROOT)): n for f, n in folder_sizes().items() if n > 12 and f != commands} == {}


def test_each_folder_of_more_than_three_source_files_says_what_it_owns():
    silent = [f for f, n in folder_sizes().items() if n > 3 and not (f / "README.md").is_file()]

    assert relative(silent) == []


def test_the_pure_core_depends_on_no_runtime_clock_or_randomness():
    allowed = {
        "base64-simd",
        "bytes",
        "crc32fast",
        "indexmap",
        "itoa",
        "memchr",
        "rustc-hash",
        "serde",
        "serde_json",
        "thiserror",
        "xxhash-rust",
    }
    manifest = tomllib.loads((ROOT / "engine/core/Cargo.toml").read_text())

    assert set(manifest["dependencies"]) <= allowed

    tree = subprocess.run(
        ["cargo", "tree", "--offline", "-p", "crossfade-core", "-e", "normal", "--prefix", "none"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    banned = {"tokio", "mio", "rand", "getrandom", "chrono", "time", "hyper", "tracing", "log"}

    assert {line.split()[0] for line in tree.splitlines() if line} & banned == set()


def test_the_pure_core_reads_no_clock_file_or_socket():
    banned = re.compile(r"std::(time::(Instant|SystemTime)|fs|net|env|thread)|println!|eprintln!")

    assert relative([p for p in rust_sources() if "core" in p.parts and banned.search(code_of(p))]) == []


@pytest.mark.parametrize(
    "folder", ["core/src/decide", "core/src/wire/openai_chat", "core/src/wire/framing", "gateway/src"]
)
def test_a_provider_is_named_only_by_its_adapter(folder: str):
    assert (
        relative([p for p in rust_sources() if folder in str(p) and PROVIDER_NAMES.search(code_of(p))]) == []
    )


def test_models_are_called_in_one_way_only():
    """An HTTP client lives only where the gateway is called or a hook of the user's is asked."""
    modules = r"httpx2|aiohttp|requests|urllib|crossfade\.control import outgoing"
    client = re.compile(rf"^\s*(import|from) ({modules})", re.MULTILINE)
    ours = {"client.py", "gateway_client.py", "gateway_admin.py", "outgoing.py"}
    allowed = ours | {"lever.py", "flags.py", "notify.py", "metric_sources.py", "oidc.py"}
    outside = [
        p
        for p in python_sources()
        if not {"app", "sim"} & set(p.relative_to(ROOT / "src/crossfade").parts[:1])
    ]

    assert relative([p for p in outside if p.name not in allowed and client.search(p.read_text())]) == []


def test_only_app_and_sim_call_the_engine():
    callers = [p for p in python_sources() if "crossfade._engine" in p.read_text()]

    assert {p.relative_to(ROOT / "src/crossfade").parts[0] for p in callers} <= {"app", "sim"}


def test_no_module_keeps_mutable_state():
    broken = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in python_sources()
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and isinstance(node.value, ast.List | ast.Set)
        and path.name != "__init__.py"  # `__all__`
    ]

    assert broken == []


def test_lock_files_hold_no_registry_address():
    for name in ("requirements.lock", "console/package-lock.json"):
        text = (ROOT / name).read_text()
        addresses = re.findall(r"https?://[^\s\"]*(?:registry|pypi|index|\.tgz|\.whl)[^\s\"]*", text)

        assert addresses == [], name
        assert '"resolved"' not in text, name


def test_no_two_modules_that_tests_import_share_a_name():
    """Several folders of tests stand on the path at once: the first one found would answer for both."""
    files = [p for p in tracked("tests/*") if p.suffix == ".py"]
    loads = [p for p in files if re.search(r"^\s*(from|import) conftest\b", p.read_text(), re.MULTILINE)]
    assert relative(loads) == [], "conftest.py is pytest's own: hand the value out as a fixture"
    helpers = [p for p in files if p.name != "conftest.py" and not p.name.startswith("test_")]
    named = [p.name for p in helpers]
    assert sorted(n for n in named if named.count(n) > 1) == []


def test_every_mutant_still_has_its_text_in_the_source():
    """`make mutants` takes too long for every change; a mutant that fits nowhere tests nothing."""
    mutants = runpy.run_path(str(ROOT / "tools/mutants.py"))["MUTANTS"]
    counts = {
        name: (ROOT / "engine/core/src" / place).read_text().count(old)
        for name, (place, old, _) in mutants.items()
    }

    assert {name: count for name, count in counts.items() if count != 1} == {}


def test_nothing_is_left_unfinished():
    words = re.compile(r"\b(TODO|FIXME|XXX)\b|todo!\(|unimplemented!\(|NotImplementedError")

    assert relative([p for p in [*python_sources(), *rust_sources()] if words.search(p.read_text())]) == []
