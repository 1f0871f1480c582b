// A photograph from the camera.

import { byId } from "./dom.js";

const REASONS = {
  NotAllowedError: "The browser may not use the camera. Allow it in the browser’s settings for this page, and try again.",
  NotFoundError: "There is no camera. Connect a camera, or choose a file.",
  NotReadableError: "Another program uses the camera. Close that program, and try again.",
};

const dialog = /** @type {HTMLDialogElement} */ (byId("camera-dialog"));
const video = /** @type {HTMLVideoElement} */ (byId("camera"));
/** @type {MediaStream | null} */
let stream = null;
let photographs = 0;

/**
 * @param {(files: {name: string, blob: Blob}[]) => void} receive
 * @param {(text: string) => void} complain
 */
export function acceptCamera(receive, complain) {
  for (const button of document.querySelectorAll("[data-camera]")) {
    button.addEventListener("click", () => open().catch((error) => complain(reason(error))));
  }
  byId("camera-take").addEventListener("click", async () => {
    if (!video.videoWidth) return; // the camera has not sent a picture yet
    const blob = await photograph();
    dialog.close();
    receive([{ name: `camera-${++photographs}.jpg`, blob }]);
  });
  byId("camera-cancel").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", stop);
}

function reason(error) {
  return REASONS[error.name] ?? `The camera does not work: ${error.message}`;
}

async function open() {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Error("browsers give pages a camera only over HTTPS or on this machine (localhost). Choose a file instead.");
  }
  const opened = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1280 } } });
  stop(); // the camera of an earlier click: the browser may have asked for permission meanwhile
  video.srcObject = stream = opened;
  if (!dialog.open) dialog.showModal();
}

function stop() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = video.srcObject = null;
}

/** @returns {Promise<Blob>} */
function photograph() {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
}
