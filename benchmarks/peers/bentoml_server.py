"""A BentoML service: `bentoml serve benchmarks.peers.bentoml_server:Service`, in the peers' environment."""

from pathlib import Path
from typing import Any

import bentoml
from PIL.Image import Image

from benchmarks.peers.classifier import Classifier, options

CHOSEN = options()


@bentoml.service(
    name="classifier",
    workers=CHOSEN["workers"],
    threads=CHOSEN["threads"],
    traffic={"max_concurrency": CHOSEN["max_concurrency"], "timeout": 10},
    logging={"access": {"enabled": False}},
)
class Service:
    """Classifies the body of a request."""

    def __init__(self) -> None:
        self.classifier = Classifier(Path(CHOSEN["model"]), CHOSEN["streams"], CHOSEN["precision"])

    if CHOSEN["batch"] > 1:

        @bentoml.api(batchable=True, max_batch_size=CHOSEN["batch"], max_latency_ms=500)
        def classify(self, images: list[Image]) -> list[dict[str, Any]]:
            """Classify a batch."""
            return [{"images": [answer]} for answer in self.classifier.classify_images(images)]

    else:

        @bentoml.api
        def classify(self, image: Image, /) -> dict[str, Any]:
            """Classify one photograph."""
            return {"images": [self.classifier.classify_image(image)]}
