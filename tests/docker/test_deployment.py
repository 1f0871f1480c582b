"""compose.yaml, the manifests and the dashboard are what Docker, Kubernetes and Prometheus expect of them."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any, cast

import kubernetes_validate
import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from starlette.types import Receive, Scope, Send

from keras_archs import __version__
from serving.core.engine import BackendStatus, Engine, State, VersionStatus
from serving.protocols.metrics import EngineMetrics, RequestMetrics
from serving.settings import Settings

ROOT = Path(__file__).parents[2]
KUBERNETES = "1.37"
BASE = ROOT / "docker/kubernetes/base"
INFERENCE_SERVICE = ROOT / "docker/kubernetes/kserve/inference-service.yaml"


@cache
def compose() -> dict[str, Any]:
    """compose.yaml with its anchors followed, and without its variables."""
    services: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    return services


@cache
def manifests() -> list[dict[str, Any]]:
    """What `kubectl apply --kustomize` would send."""
    kubectl = Path(sys.executable).with_name("kubectl")
    done = subprocess.run([kubectl, "kustomize", BASE], check=True, capture_output=True, text=True, timeout=60)
    return list(yaml.safe_load_all(done.stdout))


def workloads() -> dict[str, dict[str, Any]]:
    """The pods' specs by the name of what makes them."""
    made = [one for one in manifests() if one["kind"] in ("Deployment", "Job")]
    return {one["metadata"]["name"]: one["spec"]["template"]["spec"] for one in made}


def transformer() -> dict[str, Any]:
    """The pod that KServe is to make of the gateway."""
    spec: dict[str, Any] = yaml.safe_load(INFERENCE_SERVICE.read_text())["spec"]["transformer"]
    return {key: value for key, value in spec.items() if not key.endswith("Replicas") and not key.startswith("scale")}


def environment(container: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in container.get("env", [])}


# compose.yaml


def test_every_service_is_confined() -> None:
    for name, service in compose().items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["deploy"]["resources"]["limits"]["memory"], name


def test_no_way_leads_to_tensorflow_serving_but_the_gateway() -> None:
    service = compose()["tf-serving"]
    networks = yaml.safe_load((ROOT / "compose.yaml").read_text())["networks"]
    assert "ports" not in service
    assert all(networks[name]["internal"] for name in service["networks"])


def test_env_gives_every_variable_a_value() -> None:
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", (ROOT / "compose.yaml").read_text()))
    given = set(re.findall(r"^(\w+)=.", (ROOT / ".env").read_text(), re.MULTILINE))
    assert used == given - {"COMPOSE_PROFILES"}


def test_tensorflow_serving_takes_as_many_images_as_a_gateway_sends() -> None:
    batching = (ROOT / "docker/tf-serving/batching.config").read_text()
    (most,) = re.findall(r"^max_batch_size { value: (\d+) }", batching, re.MULTILINE)
    allowed = re.findall(r"^allowed_batch_sizes: (\d+)", batching, re.MULTILINE)
    assert int(most) >= Settings.model_fields["max_images"].default
    assert allowed[-1] == most, "TensorFlow Serving refuses to start otherwise"


@pytest.mark.parametrize("name", ["gateway", "embedded"])
def test_composes_gateways_have_settings_that_exist(name: str) -> None:
    for variable in compose()[name]["environment"]:
        assert variable.removeprefix("KERAS_ARCHS_").lower() in Settings.model_fields


# Kubernetes


def test_the_manifests_fit_their_schemas() -> None:
    assert {one["kind"] for one in manifests()} >= {
        "Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy",
        "PersistentVolumeClaim", "Job",
    }  # fmt: skip
    for one in manifests():
        kubernetes_validate.validate(one, KUBERNETES, strict=True)


def test_a_misspelt_manifest_would_not() -> None:
    (deployment, *_) = (one for one in manifests() if one["kind"] == "Deployment")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment | {"specs": {}}, KUBERNETES, strict=True)


def test_kserves_transformer_is_a_pod() -> None:
    """The schema of InferenceService comes in no package; that of what it wraps does."""
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "transformer"}, "spec": transformer()}
    kubernetes_validate.validate(pod, KUBERNETES, strict=True)


def test_every_pod_is_confined() -> None:
    for name, pod in (workloads() | {"transformer": transformer()}).items():
        assert pod["securityContext"]["runAsNonRoot"], name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not pod["automountServiceAccountToken"], name
        for container in pod["containers"]:
            context = container["securityContext"]
            assert (context["readOnlyRootFilesystem"], context["allowPrivilegeEscalation"]) == (True, False), name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert container["resources"]["limits"]["memory"], name


def test_the_images_are_this_version() -> None:
    ours = [container["image"] for pod in workloads().values() for container in pod["containers"]]
    ours += [container["image"] for container in transformer()["containers"]]
    tags = {image.rpartition(":")[2] for image in ours if image.startswith("keras-archs")}
    assert tags == {__version__}


def test_kubernetes_and_compose_run_the_same_tensorflow_serving() -> None:
    (image,) = (container["image"] for container in workloads()["tf-serving"]["containers"])
    assert f"TF_SERVING_IMAGE={image}\n" in (ROOT / ".env").read_text()
    (container,) = workloads()["tf-serving"]["containers"]
    cpus = container["resources"]["requests"]["cpu"]
    given = [argument.replace("${TF_SERVING_CPUS}", cpus) for argument in compose()["tf-serving"]["command"]]
    assert container["args"] == given


def test_gateways_have_settings_that_exist_and_find_every_server() -> None:
    services = {one["metadata"]["name"]: one["spec"] for one in manifests() if one["kind"] == "Service"}
    (container,) = workloads()["gateway"]["containers"]
    for variable in environment(container) | environment(transformer()["containers"][0]):
        assert variable.removeprefix("KERAS_ARCHS_").lower() in Settings.model_fields
    host, _, port = environment(container)["KERAS_ARCHS_BACKEND"].partition(":")
    assert services[host]["clusterIP"] == "None"
    assert int(port) in [one["port"] for one in services[host]["ports"]]


# monitoring


class OneServer:
    """As much of an engine as its metrics are made of."""

    def models(self) -> dict[str, tuple[VersionStatus, ...]]:
        """One model, ready."""
        return {"tiny": (VersionStatus(1, State.READY),)}

    def backends(self) -> list[BackendStatus]:
        """One server, which does well."""
        return [BackendStatus("ipv4:192.0.2.1:8500", answers=True, left_alone=False, calls=1, failures=0)]


def metrics_of_the_gateway() -> set[str]:
    registry = CollectorRegistry()
    registry.register(EngineMetrics(cast(Engine, OneServer())))

    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})

    async def nothing(*_: Any) -> Any:
        return {}

    metrics = RequestMetrics(answering, registry=registry, published=lambda: ["tiny"])
    asyncio.run(metrics({"type": "http", "path": "/classify/tiny"}, nothing, nothing))
    return set(re.findall(r"^(keras_archs_\w+)", generate_latest(registry).decode(), re.MULTILINE))


def test_the_dashboard_shows_metrics_that_the_gateway_has() -> None:
    dashboard = json.loads((ROOT / "docker/grafana/dashboards/keras-archs.json").read_text())
    shown = " ".join(target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", []))
    names = set(re.findall(r"keras_archs_\w+", shown))
    assert names and names <= metrics_of_the_gateway()


def test_alerts_are_about_metrics_that_the_gateway_has() -> None:
    (group,) = yaml.safe_load((ROOT / "docker/prometheus/alerts.yml").read_text())["groups"]
    names = set(re.findall(r"keras_archs_\w+", " ".join(rule["expr"] for rule in group["rules"])))
    assert names and names <= metrics_of_the_gateway()
