"""How the dashboard is put where others reach it: what `deploy/` publishes, and what its files promise each other."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import HfApi
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy import lock, sbom, space
from tests.hub_server import listening
from tests.model_hub import ModelHub, model_hub

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
REPO = "someone/carrot"


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Someone", "-c", "user.email=someone@example.com")
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository of one commit, and a file that is in none."""
    folder = tmp_path / "checkout"
    files = {
        "Dockerfile": "FROM scratch\n", "README.md": "of the repository\n", "data/head.safetensors": "numbers",
        "tests/test_it.py": "", ".ci/run": "",
    }  # fmt: skip
    files |= {f"deploy/{name}": (DEPLOY / name).read_text() for name in ("space.md", "community_cloud.sh")}
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "First")
    (folder / "secret.txt").write_text("mine")
    return folder


# A Space of the hub


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelHub]:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)  # its store is not one of http
    with model_hub() as server:
        yield server


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # so the hub's client sends a file
def test_a_space_gets_the_commit_its_card_and_the_variables_before_the_files(
    hub: ModelHub, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(space, "ROOT", checkout)
    hub.files[REPO] = {"old.txt": b"of the last time"}
    assert space.publish(REPO, HfApi(endpoint=hub.url, token="t")) == f"{hub.url}/spaces/{REPO}"
    (created,) = hub.created
    assert (created["type"], created["sdk"]) == ("space", "docker")
    assert hub.variables == space.variables("someone-carrot.hf.space")
    assert hub.variables["CARROT_MODE"] == "public"
    files = hub.files[REPO]
    assert set(files) == {
        "Dockerfile", "README.md", "data/head.safetensors", "deploy/space.md", "deploy/community_cloud.sh",
    }  # fmt: skip
    assert files["README.md"] == (DEPLOY / "space.md").read_bytes()
    posts = [request for request in hub.requests if request.startswith("POST")]
    last_variable = max(number for number, request in enumerate(posts) if request.endswith("/variables"))
    assert last_variable < next(number for number, request in enumerate(posts) if "/preupload/" in request)


def test_the_card_of_the_space_names_the_port_that_the_image_listens_on() -> None:
    card = yaml.safe_load((DEPLOY / "space.md").read_text(encoding="utf-8").split("---")[1])
    assert card["sdk"] == "docker"
    assert f"EXPOSE {card['app_port']}\n" in (ROOT / "Dockerfile").read_text()
    assert len(card["short_description"]) <= 60  # what the hub takes


# Streamlit Community Cloud


def test_community_cloud_follows_a_branch_of_its_own(checkout: Path, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "github")
    git(checkout, "remote", "add", "origin", "https://github.com/someone/carrot.git")
    git(checkout, "config", f"url.{tmp_path / 'github'}.pushInsteadOf", "https://github.com/someone/carrot.git")
    result = subprocess.run(
        ["sh", "deploy/community_cloud.sh"], cwd=checkout, check=True, capture_output=True, text=True
    )
    assert git(tmp_path / "github", "rev-parse", "streamlit") == git(checkout, "rev-parse", "HEAD")
    assert "repository=someone/carrot&branch=streamlit&mainModule=app.py" in result.stdout


def test_community_cloud_reads_from_github_alone(checkout: Path) -> None:
    git(checkout, "remote", "add", "origin", "https://example.com/someone/carrot.git")
    result = subprocess.run(["sh", "deploy/community_cloud.sh"], cwd=checkout, capture_output=True, text=True)
    assert result.returncode == 1
    assert "GitHub" in result.stderr


# The image, and where it runs


@dataclass(frozen=True)
class Instruction:
    """One instruction of a Dockerfile: its word and the rest, in one line."""

    word: str
    rest: str


@pytest.fixture(scope="module")
def dockerfile() -> list[Instruction]:
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if line and line[0] != "#"]
    return [Instruction(*line.split(maxsplit=1)) for line in "\n".join(lines).replace("\\\n", " ").splitlines()]


def rests(dockerfile: list[Instruction], word: str) -> list[str]:
    return [instruction.rest for instruction in dockerfile if instruction.word == word]


def test_every_stage_is_of_one_pinned_base(dockerfile: list[Instruction]) -> None:
    (base,) = [rest for rest in rests(dockerfile, "ARG") if rest.startswith("PYTHON=")]
    assert re.fullmatch(r"PYTHON=python:\d+\.\d+\.\d+-slim-[a-z]+", base)
    assert all(rest.startswith("${PYTHON}") for rest in rests(dockerfile, "FROM"))


def test_packages_of_the_system_have_versions_and_leave_no_lists(dockerfile: list[Instruction]) -> None:
    for command in (rest for rest in rests(dockerfile, "RUN") if "apt-get" in rest):
        packages = re.search(r"apt-get install -y --no-install-recommends ([^&]+)&&", command)
        assert packages is not None
        assert all("=" in package for package in packages[1].split())
        assert "rm -rf /var/lib/apt/lists/*" in command


def test_the_image_has_an_init_and_a_health_check_and_runs_as_nobody_s_root(
    dockerfile: list[Instruction],
) -> None:
    words = [instruction.word for instruction in dockerfile]
    assert rests(dockerfile, "USER") == ["1000"]
    assert words.index("USER") < words.index("CMD")
    assert not {"ADD", "MAINTAINER"} & set(words)
    assert json.loads(rests(dockerfile, "ENTRYPOINT")[0]) == ["tini", "--"]
    assert json.loads(rests(dockerfile, "CMD")[0])[:2] == ["sh", "-c"]
    (check,) = rests(dockerfile, "HEALTHCHECK")
    script = json.loads(check.partition(" CMD ")[2])[-1]
    assert any(rest == f"deploy/ready.py {script}" for rest in rests(dockerfile, "COPY"))


def test_what_the_build_copies_and_runs_is_there(dockerfile: list[Instruction]) -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert not {"deploy", "data", "docs", "pages", "assets"} & set(ignored)
    named = set(re.findall(r"deploy/[a-z.]+", " ".join(instruction.rest for instruction in dockerfile)))
    assert named
    assert all((ROOT / name).is_file() for name in named)


@pytest.mark.parametrize("script", sorted(DEPLOY.glob("*.sh")), ids=lambda script: script.name)
def test_scripts_are_such_as_any_shell_reads(script: Path) -> None:
    assert script.stat().st_mode & 0o111
    assert script.read_text().startswith("#!/bin/sh\n")
    subprocess.run(["sh", "-n", script], check=True)


def test_the_lock_has_a_version_and_a_hash_of_every_requirement_in_its_bounds() -> None:
    lines = (DEPLOY / "requirements.lock").read_text().splitlines()
    assert "--require-hashes" in lines
    locked = {}
    for line in (line for line in lines if not line.startswith(("#", "-"))):
        match = re.fullmatch(r"([a-z0-9._-]+)==(\S+) --hash=sha256:[0-9a-f]{64}", line)
        assert match is not None, line
        locked[canonicalize_name(match[1])] = match[2]
    for line in lock.requirements():
        requirement = Requirement(line)
        assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)]), line


def test_the_bill_of_materials_lists_what_is_installed_once_and_what_needs_what() -> None:
    run = subprocess.run([sys.executable, DEPLOY / "sbom.py"], check=True, capture_output=True, text=True)
    document = json.loads(run.stdout)
    assert (document["bomFormat"], document["metadata"]["component"]["name"]) == ("CycloneDX", sbom.PRODUCT)
    parts = [part["bom-ref"] for part in document["components"]]
    assert len(set(parts)) == len(parts)
    assert f"pkg:pypi/numpy@{version('numpy')}" in parts
    needs = {entry["ref"]: entry["dependsOn"] for entry in document["dependencies"]}
    assert f"pkg:pypi/streamlit@{version('streamlit')}" in needs[document["metadata"]["component"]["bom-ref"]]
    assert {ref for refs in needs.values() for ref in refs} <= set(parts)


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [(200, "ready", 0), (200, "degraded: one", 0), (200, "cold", 1), (200, "warming", 1), (503, "failed", 1)],
)
def test_the_health_check_means_that_a_prompt_would_be_answered(status: int, body: str, code: int) -> None:
    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps({"status": body}).encode())

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    with listening(Health) as address:
        assert subprocess.run([sys.executable, DEPLOY / "ready.py", address], capture_output=True).returncode == code


def test_a_server_that_is_not_there_is_not_ready() -> None:
    result = subprocess.run([sys.executable, DEPLOY / "ready.py", "http://localhost:9"], capture_output=True)
    assert result.returncode == 1


def test_compose_keeps_the_data_shuts_the_containers_and_shows_the_proxy_alone() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services = compose["services"]
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
        assert {volume.split(":")[0] for volume in service["volumes"]} <= set(compose["volumes"])
    assert "ports" not in services["carrot"]
    assert "carrot:/data" in services["carrot"]["volumes"]
    assert services["carrot"]["environment"]["CARROT_MODE"] == "public"
    assert re.fullmatch(r"caddy:\d+\.\d+\.\d+-alpine", services["proxy"]["image"])
    assert services["proxy"]["command"].endswith("--to carrot:8501")
    assert services["proxy"]["depends_on"]["carrot"]["condition"] == "service_healthy"


@pytest.fixture(scope="module")
def kubernetes() -> dict[str, Any]:
    documents = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    return {document["kind"]: document for document in documents}


def test_the_parts_of_the_manifest_find_each_other(kubernetes: dict[str, Any]) -> None:
    deployment, service, ingress = (kubernetes[kind] for kind in ("Deployment", "Service", "Ingress"))
    pod = deployment["spec"]["template"]
    labels = pod["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert service["spec"]["selector"].items() <= labels.items()
    (container,) = pod["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert [ports[port["targetPort"]] for port in service["spec"]["ports"]] == [8501]
    assert {mount["name"] for mount in container["volumeMounts"]} == {v["name"] for v in pod["spec"]["volumes"]}
    (rule,) = ingress["spec"]["rules"]
    backend = rule["http"]["paths"][0]["backend"]["service"]
    assert backend["name"] == service["metadata"]["name"]
    assert backend["port"]["name"] in {port["name"] for port in service["spec"]["ports"]}
    assert ingress["spec"]["tls"][0]["hosts"] == [rule["host"]]
    variables = {entry["name"]: entry["value"] for entry in container["env"]}
    assert variables["STREAMLIT_SERVER_ALLOWED_HOSTS"].split() == [rule["host"], "localhost"]
    assert variables["CARROT_MODE"] == "public"


def test_the_manifest_keeps_visitors_with_their_copy_and_probes_by_a_name_that_is_allowed(
    kubernetes: dict[str, Any],
) -> None:
    annotations = kubernetes["Ingress"]["metadata"]["annotations"]
    assert annotations["nginx.ingress.kubernetes.io/affinity"] == "cookie"
    (container,) = kubernetes["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["startupProbe"]["exec"]["command"][-1] == "/opt/carrot/ready.py"
    assert {"name": "Host", "value": "localhost"} in container["readinessProbe"]["httpGet"]["httpHeaders"]
    assert "livenessProbe" in container


def test_the_pod_may_write_to_its_volumes_alone_and_is_nobody_s_root(kubernetes: dict[str, Any]) -> None:
    pod = kubernetes["Deployment"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 1000
    (container,) = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/data", "/tmp"}


# Secrets

SECRETS = {
    "private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "Hugging Face": r"\bhf_[A-Za-z0-9]{30,}",
    "GitHub": r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,})",
    "OpenAI or Anthropic": r"\bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{32,}",
    "AWS": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "Google": r"\bAIza[A-Za-z0-9_-]{35}\b",
    "Slack": r"\bxox[abprs]-[A-Za-z0-9-]{10,}",
    "PyPI": r"\bpypi-[A-Za-z0-9_-]{50,}",
    "password in an address": r"://[^\s/:@{}$\"'<>]+:[^\s/:@{}$\"'<>]+@[a-z0-9]",
}


def test_no_secret_is_under_version_control() -> None:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listing.returncode:
        pytest.skip("no checkout, so what is under version control is not known")
    leaks = []
    for name in filter(None, listing.stdout.split("\0")):
        path = ROOT / name
        content = path.read_bytes() if path.is_file() and path != Path(__file__) else b""
        if b"\0" not in content:  # pictures, tables and weights: letters of theirs may look like anything
            text = content.decode("utf-8", "replace")
            leaks += [f"{name}: {kind}" for kind, pattern in SECRETS.items() if re.search(pattern, text)]
    assert not leaks
