"""A LitServe server: `python -m benchmarks.peers.litserve_server PORT`, in the peers' environment."""

import io
import sys
from pathlib import Path
from typing import Annotated, Any

import litserve
from fastapi import Body
from PIL import Image

from benchmarks.peers.classifier import Classifier, options


class Classification(litserve.LitAPI):
    """Classifies the body of a request, which LitServe sends to a worker process as it is."""

    def setup(self, device: str) -> None:
        """Load the model in the worker."""
        self.classifier = Classifier(Path(options()["model"]), options()["threads"], options()["precision"])

    # a body of bytes is neither parsed nor copied into a file; `Image.open` reads the header only
    def decode_request(self, request: Annotated[bytes, Body(media_type="image/jpeg")]) -> Image.Image:
        """Open the photograph."""
        return Image.open(io.BytesIO(request))

    def predict(self, inputs: Any) -> Any:
        """Classify one photograph, or a batch."""
        batched = isinstance(inputs, list)
        return self.classifier.classify_images(inputs) if batched else self.classifier.classify_image(inputs)

    def batch(self, inputs: list[Image.Image]) -> list[Image.Image]:
        """Return the batch as it is: images are decoded in parallel, and have different sizes."""
        return inputs

    def unbatch(self, output: list[Any]) -> list[Any]:
        """Return the answers one by one."""
        return output

    def encode_response(self, output: Any) -> dict[str, Any]:
        """Return the answer's fields."""
        return {"images": [output]}


def main(port: int) -> None:
    """Serve until the process is ended."""
    chosen = options()
    api = Classification(max_batch_size=chosen["batch"], batch_timeout=chosen["batch_timeout"], api_path="/classify")
    server = litserve.LitServer(
        api,
        accelerator="cpu",
        devices=1,
        workers_per_device=chosen["workers"],
        fast_queue=chosen["fast_queue"],
        timeout=chosen["queue_seconds"],
    )
    server.run(
        host="127.0.0.1",
        port=port,
        num_api_servers=chosen["api_servers"],
        generate_client_file=False,
        log_level="error",
        access_log=False,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
