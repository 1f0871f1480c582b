"""compose.yaml, the Kubernetes manifests, the dashboard and the alerts are valid and agree with each other."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from copy import deepcopy
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import jsonschema
import kubernetes_validate
import numpy as np
import pytest
import typer
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from typer.core import TyperGroup

from keras_archs import __version__
from keras_archs.batch.ray_cluster import check_address
from keras_archs.cli.app import app
from keras_archs.cli.train_options import check_options, given_options
from keras_archs.repository.artifact_card import ArtifactCard
from serving.core.admission import Admission
from serving.core.backlog import Backlog
from serving.core.engine import BackendStatus, Engine, State, VersionStatus
from serving.core.errors import (
    ClientDeadlineError,
    DeadlineExceededError,
    InvalidImageError,
    OverloadedError,
    ServingError,
    UnauthenticatedError,
)
from serving.core.observer import ImageSize, Work
from serving.protocols.exchanges import Exchange
from serving.protocols.metrics import GatewayMetrics
from serving.settings import Settings

ROOT = Path(__file__).parents[2]
KUBERNETES = "1.37"
BASE = ROOT / "docker/kubernetes/base"
TRAINING = ROOT / "docker/kubernetes/training"
BATCH = ROOT / "docker/kubernetes/batch"
RAY_JOB_SCHEMA = ROOT / "tests/fixtures/ray_job.yaml"
INFERENCE_SERVICE = ROOT / "docker/kubernetes/kserve/inference-service.yaml"


@cache
def compose() -> dict[str, Any]:
    """Load the services of compose.yaml, with anchors resolved and variables unresolved."""
    services: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    return services


@cache
def manifests(folder: Path = BASE) -> list[dict[str, Any]]:
    """Load the manifests that `kubectl apply --kustomize` would send."""
    kubectl = Path(sys.executable).with_name("kubectl")
    done = subprocess.run([kubectl, "kustomize", folder], check=True, capture_output=True, text=True, timeout=60)
    return list(yaml.safe_load_all(done.stdout))


def specs(kind: str, folder: Path = BASE) -> dict[str, dict[str, Any]]:
    """Return the specs of all objects of a kind by their names."""
    found = [manifest for manifest in manifests(folder) if manifest["kind"] == kind]
    return {manifest["metadata"]["name"]: manifest["spec"] for manifest in found}


def workloads(folder: Path = BASE) -> dict[str, dict[str, Any]]:
    """Return the pod specs by the name of their Deployment or Job."""
    owners = specs("Deployment", folder) | specs("Job", folder)
    return {name: owner["template"]["spec"] for name, owner in owners.items()}


def transformer() -> dict[str, Any]:
    """Return the spec of the gateway's pod under KServe."""
    spec: dict[str, Any] = yaml.safe_load(INFERENCE_SERVICE.read_text())["spec"]["transformer"]
    return {key: value for key, value in spec.items() if not key.endswith("Replicas") and not key.startswith("scale")}


def ray_nodes() -> dict[str, dict[str, Any]]:
    """Return the pod specs of the nodes of the Ray cluster by the name of their container."""
    cluster = specs("RayJob", BATCH)["predict"]["rayClusterSpec"]
    pods = [group["template"]["spec"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]
    return {pod["containers"][0]["name"]: pod for pod in pods}


def environment(container: dict[str, Any]) -> dict[str, str]:
    return {variable["name"]: variable.get("value", "") for variable in container.get("env", [])}


# compose.yaml


def test_every_service_is_confined() -> None:
    for name, service in compose().items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["deploy"]["resources"]["limits"]["memory"], name


def test_only_the_gateway_can_reach_tensorflow_serving() -> None:
    service = compose()["tf-serving"]
    networks = yaml.safe_load((ROOT / "compose.yaml").read_text())["networks"]
    assert "ports" not in service
    assert all(networks[name]["internal"] for name in service["networks"])


def test_env_sets_every_variable_of_compose() -> None:
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", (ROOT / "compose.yaml").read_text()))
    given = set(re.findall(r"^(\w+)=.", (ROOT / ".env").read_text(), re.MULTILINE))
    assert used == given - {"COMPOSE_PROFILES"}


def test_tensorflow_servings_batch_holds_as_many_images_as_a_request_may_have() -> None:
    batching = (ROOT / "docker/tf-serving/batching.config").read_text()
    (max_batch_size,) = re.findall(r"^max_batch_size { value: (\d+) }", batching, re.MULTILINE)
    allowed = re.findall(r"^allowed_batch_sizes: (\d+)", batching, re.MULTILINE)
    assert int(max_batch_size) >= Settings.model_fields["max_images"].default
    assert allowed[-1] == max_batch_size, "TensorFlow Serving refuses to start otherwise"


@pytest.mark.parametrize("name", ["gateway", "embedded"])
def test_the_gateways_of_compose_have_only_known_settings(name: str) -> None:
    for variable in compose()[name].get("environment", {}):
        assert variable.removeprefix("KERAS_ARCHS_").lower() in Settings.model_fields


@pytest.mark.parametrize("name", ["gateway", "embedded"])
def test_the_gateways_of_compose_have_the_keys_that_the_exporter_makes(name: str) -> None:
    service, exporter = compose()[name], compose()["exporter"]
    folder = service["environment"]["KERAS_ARCHS_KEYS"]
    assert f"keys:{folder}:ro" in service["volumes"]
    assert f"keys:{exporter['environment']['KERAS_ARCHS_KEYS']}" in exporter["volumes"]


def test_only_the_gateway_can_be_reached_from_other_hosts() -> None:
    ports = {name: service.get("ports", []) for name, service in compose().items()}
    assert {port for given in ports.values() for port in given if not port.startswith("127.0.0.1:")} == {
        "${ADDRESS}:${GATEWAY_PORT}:8000"
    }
    assert "ADDRESS=127.0.0.1\n" in (ROOT / ".env").read_text()


@pytest.mark.parametrize("name", ["gateway", "embedded"])
def test_prometheus_scrapes_the_admin_port_of_compose(name: str) -> None:
    jobs = yaml.safe_load((ROOT / "docker/prometheus/prometheus.yml").read_text())["scrape_configs"]
    (target,) = next(job["dns_sd_configs"] for job in jobs if job["job_name"] == "gateway")
    given = compose()[name]["environment"]
    assert given["KERAS_ARCHS_ADMIN_PORT"] == str(target["port"])
    assert given["KERAS_ARCHS_ADMIN_HOST"] == "0.0.0.0"


# keys, in compose and in Kubernetes


def gateways() -> dict[str, dict[str, str]]:
    """Return the variables of every gateway by its name; a variable that Kubernetes fills in is left out."""
    pods = {"pod": workloads()["gateway"], "transformer": transformer()}
    found = {name: environment(pod["containers"][0]) for name, pod in pods.items()}
    found |= {name: {**compose()[name]["environment"]} for name in ("gateway", "embedded")}
    return {name: {key: value for key, value in given.items() if value} for name, given in found.items()}


@pytest.mark.parametrize("name", sorted(gateways()))
def test_no_gateway_lets_strangers_in(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in gateways()[name].items():
        monkeypatch.setenv(variable, value)
    settings = Settings(host="0.0.0.0")  # as docker/Dockerfile sets it
    assert settings.needs_credentials
    assert not settings.no_auth


def test_an_image_without_keys_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    ((host,),) = [re.findall(r"^ENV KERAS_ARCHS_HOST=(\S+)$", (ROOT / "docker/Dockerfile").read_text(), re.MULTILINE)]
    monkeypatch.setenv("KERAS_ARCHS_HOST", host)
    with pytest.raises(ValueError, match="keras-archs keys"):
        Settings()


@pytest.mark.parametrize("name", ["gateway", "transformer"])
def test_the_gateways_of_kubernetes_read_keys_from_a_secret(name: str) -> None:
    pod = workloads()["gateway"] if name == "gateway" else transformer()
    (container,) = pod["containers"]
    (volume,) = (volume for volume in pod["volumes"] if "secret" in volume)
    assert volume["secret"] == {"secretName": "gateway-keys"}
    (mount,) = (mount for mount in container["volumeMounts"] if mount["name"] == volume["name"])
    assert mount["mountPath"] == environment(container)["KERAS_ARCHS_KEYS"]
    assert mount["readOnly"]


def test_only_prometheus_reaches_the_admin_port_in_kubernetes() -> None:
    port = int(environment(workloads()["gateway"]["containers"][0])["KERAS_ARCHS_ADMIN_PORT"])
    annotations = specs("Deployment")["gateway"]["template"]["metadata"]["annotations"]
    assert int(annotations["prometheus.io/port"]) == port
    (rule,) = (
        rule
        for rule in specs("NetworkPolicy")["gateway"]["ingress"]
        if port in [allowed["port"] for allowed in rule["ports"]]
    )
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    assert [allowed["port"] for allowed in rule["ports"]] == [port]
    assert port not in [served["port"] for served in specs("Service")["gateway"]["ports"]]


# Kubernetes


@pytest.mark.parametrize(
    ("folder", "kinds"),
    [
        (BASE, {"Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget"}),
        (TRAINING, set()),
    ],
    ids=["base", "training"],
)
def test_the_manifests_match_their_schemas(folder: Path, kinds: set[str]) -> None:
    found = {manifest["kind"] for manifest in manifests(folder)}
    assert found >= kinds | {"Service", "NetworkPolicy", "PersistentVolumeClaim", "Job"}
    for manifest in manifests(folder):
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def test_a_misspelt_manifest_does_not_match_its_schema() -> None:
    (deployment, *_) = (manifest for manifest in manifests() if manifest["kind"] == "Deployment")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment | {"specs": {}}, KUBERNETES, strict=True)


@pytest.mark.parametrize(("name", "spec"), {"transformer": transformer(), **ray_nodes()}.items())
def test_the_pods_of_kserve_and_kuberay_are_valid(name: str, spec: dict[str, Any]) -> None:
    """No package has the schemas of InferenceService and RayJob, so their pods are validated alone."""
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    kubernetes_validate.validate(pod, KUBERNETES, strict=True)


def test_the_manifests_around_a_ray_job_match_their_schemas() -> None:
    others = [manifest for manifest in manifests(BATCH) if manifest["kind"] != "RayJob"]
    assert {manifest["kind"] for manifest in others} == {"NetworkPolicy", "PersistentVolumeClaim"}
    for manifest in others:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def ray_job() -> dict[str, Any]:
    """Return the job, which a test may change."""
    (job,) = (manifest for manifest in manifests(BATCH) if manifest["kind"] == "RayJob")
    return deepcopy(job)


def test_a_ray_job_has_only_fields_that_kuberay_knows() -> None:
    jsonschema.validate(ray_job(), yaml.safe_load(RAY_JOB_SCHEMA.read_text()))


@pytest.mark.parametrize(
    ("place", "field", "value"),
    [
        ("spec", "entryPoint", "keras-archs"),
        ("spec", "submissionMode", "HttpMode"),
        ("spec", "shutdownAfterJobFinishes", False),
        ("spec.rayClusterSpec", "authOption", {"mode": "token"}),
        ("spec.rayClusterSpec.authOptions", "mode", "tokens"),
        ("spec.rayClusterSpec.headGroupSpec", "rayStartParameters", {}),
        ("spec.rayClusterSpec.headGroupSpec.rayStartParams", "num-cpus", 0),
        ("spec.rayClusterSpec.workerGroupSpecs.0", "replicas", "4"),
        ("spec.rayClusterSpec.workerGroupSpecs.0", "maxReplica", 4),
    ],
)
def test_a_misspelt_ray_job_does_not_match_its_schema(place: str, field: str, value: object) -> None:
    job: Any = ray_job()
    part = job
    for key in place.split("."):
        part = part[int(key) if isinstance(part, list) else key]
    part[field] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(job, yaml.safe_load(RAY_JOB_SCHEMA.read_text()))


def test_every_pod_is_confined() -> None:
    for name, pod in (workloads() | workloads(TRAINING) | ray_nodes() | {"transformer": transformer()}).items():
        assert pod["securityContext"]["runAsNonRoot"], name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not pod["automountServiceAccountToken"], name
        for container in pod["containers"]:
            context = container["securityContext"]
            assert (context["readOnlyRootFilesystem"], context["allowPrivilegeEscalation"]) == (True, False), name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert container["resources"]["limits"]["memory"], name


def test_the_images_have_this_version() -> None:
    pods = [*workloads().values(), *workloads(TRAINING).values(), *ray_nodes().values()]
    ours = [container["image"] for pod in pods for container in pod["containers"]]
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


def test_the_gateways_of_kubernetes_have_only_known_settings_and_find_every_server() -> None:
    services = specs("Service")
    (container,) = workloads()["gateway"]["containers"]
    for variable in environment(container) | environment(transformer()["containers"][0]):
        assert variable.removeprefix("KERAS_ARCHS_").lower() in Settings.model_fields
    host, _, port = environment(container)["KERAS_ARCHS_BACKEND"].partition(":")
    assert services[host]["clusterIP"] == "None"
    assert int(port) in [port["port"] for port in services[host]["ports"]]


def test_nothing_is_set_by_hand_that_the_gateway_reads_from_its_container() -> None:
    by_hand = {"KERAS_ARCHS_THREADS", "KERAS_ARCHS_STREAMS", "KERAS_ARCHS_WORKERS", "KERAS_ARCHS_MEMORY_LIMIT_MB"}
    for name in ("gateway", "embedded"):
        assert not by_hand & set(compose()[name].get("environment", {}))
        assert compose()[name]["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}
    for container in (*workloads()["gateway"]["containers"], *transformer()["containers"]):
        assert not by_hand & {name for name, value in environment(container).items() if value}


def test_the_processes_of_a_training_find_each_other() -> None:
    job = specs("Job", TRAINING)["trainer"]
    pod = job["template"]
    (container,) = pod["spec"]["containers"]
    given = environment(container)
    assert job["completions"] == job["parallelism"] == int(given["PROCESSES"])
    assert job["completionMode"] == "Indexed"
    # The name of pod 0 of an indexed job: JOB-0.SUBDOMAIN, where a headless service has the subdomain's name.
    host, _, port = given["COORDINATOR"].partition(":")
    assert host == f"trainer-0.{pod['spec']['subdomain']}"
    service = specs("Service", TRAINING)[pod["spec"]["subdomain"]]
    assert service["clusterIP"] == "None"
    assert service["selector"].items() <= pod["metadata"]["labels"].items()
    assert [entry["port"] for entry in service["ports"]] == [int(port)]
    assert service["publishNotReadyAddresses"]


def test_a_training_has_the_volumes_that_its_command_names() -> None:
    pod = workloads(TRAINING)["trainer"]
    claims = {
        volume["name"]: volume["persistentVolumeClaim"]["claimName"]
        for volume in pod["volumes"]
        if "persistentVolumeClaim" in volume
    }
    made = specs("PersistentVolumeClaim") | specs("PersistentVolumeClaim", TRAINING)
    for claim in claims.values():
        assert made[claim]["accessModes"] == ["ReadWriteMany"], claim
    (container,) = pod["containers"]
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert {mounted[name] for name in claims} == {"/photos", "/runs", "/models"}


@pytest.mark.parametrize("begun", [False, True], ids=["first start", "restart"])
def test_the_command_of_a_training_is_one_that_keras_archs_train_takes(begun: bool, tmp_path: Path) -> None:
    job = specs("Job", TRAINING)["trainer"]
    (container,) = job["template"]["spec"]["containers"]
    given = environment(container)
    for folder in ("photos", "models", "runs"):
        (tmp_path / folder).mkdir()
    if begun:
        (tmp_path / "runs" / f"{given['NAME']}-1").mkdir()
    recorded = tmp_path / "keras-archs"
    recorded.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    recorded.chmod(0o755)
    command = [re.sub(r"(?<![\w$}])/(photos|models|runs)\b", rf"{tmp_path}/\1", part) for part in container["command"]]
    done = subprocess.run(
        [*command, *container["args"]],
        env=given | {"PATH": f"{tmp_path}:/usr/bin:/bin", "JOB_COMPLETION_INDEX": "1"},
        check=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    name, *arguments = done.stdout.splitlines()
    assert name == "train"

    root = cast(TyperGroup, typer.main.get_command(app))
    context = cast(typer.Context, root.commands["train"].make_context("train", arguments))
    taken = {name: context.params[name] for name in given_options(context)}
    check_options(taken)
    assert ("resume" in taken) == begun
    assert (taken["processes"], taken["process"]) == (job["completions"], 1)
    if not begun:
        assert taken["batch"] % job["completions"] == 0


def test_the_command_of_a_ray_job_is_one_that_keras_archs_predict_takes() -> None:
    program, name, *arguments = shlex.split(specs("RayJob", BATCH)["predict"]["entrypoint"])
    assert (program, name) == ("keras-archs", "predict")
    root = cast(TyperGroup, typer.main.get_command(app))
    params = cast(typer.Context, root.commands["predict"].make_context("predict", arguments)).params
    check_address(params["ray"])
    places = {*params["source"], str(params["repository"]), str(params["out"].parent)}
    for pod in ray_nodes().values():
        claims = [volume["name"] for volume in pod["volumes"] if "persistentVolumeClaim" in volume]
        (container,) = pod["containers"]
        mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"] if mount["name"] in claims}
        assert mounts.keys() == places, "every node has the same at the same place"
        assert [place for place, mount in mounts.items() if not mount.get("readOnly")] == [str(params["out"].parent)]
    made = specs("PersistentVolumeClaim") | specs("PersistentVolumeClaim", BATCH)
    assert all(made[claim]["accessModes"] == ["ReadWriteMany"] for claim in claims)


def test_strangers_can_neither_reach_a_ray_cluster_nor_use_it() -> None:
    cluster = specs("RayJob", BATCH)["predict"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    (policy,) = specs("NetworkPolicy", BATCH).values()
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        labels = group["template"]["metadata"]["labels"]
        assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    nodes, operator = policy["ingress"]
    assert nodes == {"from": [{"podSelector": policy["podSelector"]}]}
    assert operator["ports"] == [{"port": 8265}]


def test_a_ray_cluster_has_the_ray_that_is_tested_here() -> None:
    assert specs("RayJob", BATCH)["predict"]["rayClusterSpec"]["rayVersion"] == version("ray")


# monitoring


class FakeEngine:
    """The part of an engine that its metrics need."""

    def model_names(self) -> list[str]:
        """Return one model."""
        return ["tiny"]

    def model_statuses(self) -> dict[str, tuple[VersionStatus, ...]]:
        """Return one ready model."""
        return {"tiny": (VersionStatus(1, State.READY),)}

    def problems(self) -> dict[str, tuple[str, ...]]:
        """Return none."""
        return {}

    def backends(self) -> list[BackendStatus]:
        """Return one healthy server."""
        return [BackendStatus("ipv4:192.0.2.1:8500", is_up=True, circuit_open=False, calls=1, failures=0)]


def scraped(*failures: ServingError | None) -> list[Sample]:
    """Return the samples of a gateway that has answered a request with each of these errors, or None for a success."""
    backlog = Backlog()
    admission = Admission(max_requests=1, max_bytes=1, backlog=backlog)
    metrics = GatewayMetrics(cast(Engine, FakeEngine()), admission, backlog)
    for error in failures:
        exchange = Exchange("classify", "POST", "/classify/tiny", "192.0.2.2", model="tiny", status=200)
        exchange.uploaded = exchange.answered = exchange.ended = exchange.started
        if error:
            exchange.fail(error)
        metrics.requests.end(exchange)
        work = Work("tiny", 1, cast(ArtifactCard, SimpleNamespace(multi_label=False)))
        work.did(0.0, queue=0.1, decode=0.1, inference=0.1)
        work.sizes.append(ImageSize(1000, 100_000))
        work.probabilities = np.array([[0.5, 0.5]], np.float32)
        metrics.models.begin(work)
        metrics.models.end(work)
    metrics.requests.refuse_connection(OverloadedError(""))
    metrics.sample()
    text = "".join(generate_latest(registry).decode() for registry in metrics.registries)
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def queries() -> list[str]:
    """Return the queries of the dashboard and the alerts."""
    dashboard = json.loads((ROOT / "docker/grafana/dashboards/keras-archs.json").read_text())
    shown = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    return [*shown, *(rule["expr"] for rule in alerts().values())]


def alerts() -> dict[str, Any]:
    (group,) = yaml.safe_load((ROOT / "docker/prometheus/alerts.yml").read_text())["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def selected(query: str, samples: list[Sample]) -> list[Sample]:
    """Return the samples that the first selector of a query selects."""
    found = re.search(r"(keras_archs_\w+)(?:\{(.*?)\})?", query)
    assert found, query
    matchers = re.findall(r'(\w+)(=~|!=|=)"(.*?)"', found[2] or "")

    def matches(sample: Sample, label: str, operator: str, value: str) -> bool:
        given = sample.labels[label]  # a label that the metric does not have is an error
        return bool(re.fullmatch(value, given)) if operator == "=~" else (given == value) == (operator == "=")

    named = [sample for sample in samples if sample.name == found[1]]
    return [sample for sample in named if all(matches(sample, *matcher) for matcher in matchers)]


@pytest.mark.parametrize("query", [query for query in queries() if "keras_archs_" in query])
def test_every_query_of_the_dashboard_and_the_alerts_finds_metrics_of_the_gateway(query: str) -> None:
    samples = scraped(None, OverloadedError(""), UnauthenticatedError(""))
    for selector in re.findall(r"keras_archs_\w+(?:\{.*?\})?", query):
        assert selected(selector, samples), selector


def test_every_alert_says_what_happens_and_what_to_do() -> None:
    for name, rule in alerts().items():
        assert rule["annotations"].keys() == {"summary", "action"}, name


def test_clients_with_timeouts_that_are_too_short_raise_no_alert() -> None:
    samples = scraped(ClientDeadlineError(""), DeadlineExceededError(""), OverloadedError(""), InvalidImageError(""))
    blamed = selected(alerts()["HighErrorRate"]["expr"], samples)
    assert sorted(sample.labels["problem"] for sample in blamed) == ["deadline-exceeded", "overloaded"]
