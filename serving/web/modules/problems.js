// What went wrong, in words, and what a person can do about it.

const ADVICE = {
  "invalid-image": "Choose a JPEG, PNG, WebP, BMP or GIF file that other programs can open.",
  "unsupported-media-type": "Save the picture as JPEG or PNG, and choose that file.",
  "image-too-large": "Make the picture smaller, for example half as wide, and choose it again.",
  "body-too-large": "Make the picture smaller, for example half as wide, and choose it again.",
  "upload-timeout": "The connection is slow: try a smaller picture.",
  unauthenticated: "Enter a key. The operator of this gateway hands out keys.",
  "model-not-allowed": "Choose another model, or ask the operator for a key that may use this model.",
  "model-not-found": "The model was withdrawn: reload the page, and choose another model.",
  "version-not-found": "The version was withdrawn: reload the page, and choose another version.",
  "label-not-found": "The label was taken away: reload the page, and choose another version.",
  "model-unavailable": "The view “Models” shows its state.",
  "explanation-unsupported": "Choose a class of another model.",
  "internal-error": "Tell the operator the request’s number.",
};
const NO_ANSWER = "Check that the gateway runs and that you are online, and try again.";
const LATER = "Try again a little later.";

/** A request that failed. `message` says what went wrong, `advice` what to do. */
export class Problem extends Error {
  /** @param {{title: string, detail?: string, advice?: string, slug?: string, requestId?: string}} what */
  constructor({ title, detail = "", advice = "", slug = "", requestId = "" }) {
    super(title);
    Object.assign(this, { detail, advice, slug, requestId });
  }
}

/** @param {Error} error */
export function noAnswer(error) {
  return new Problem({ title: "The gateway does not answer", detail: error.message, advice: NO_ANSWER });
}

/** @param {Response} response With a status of 400 or more; a proxy may have sent something else than a problem document. */
export async function problemOf(response) {
  const document = (await response.json().catch(() => null)) ?? {};
  const slug = String(document.type ?? "").split(":").at(-1);
  const seconds = Number(response.headers.get("Retry-After"));
  const wait = seconds > 0 ? `Try again in ${seconds} s.` : "";
  return new Problem({
    title: document.title ?? `The server answered ${response.status}`,
    detail: document.detail ?? response.statusText,
    advice: [ADVICE[slug], wait || (!ADVICE[slug] && LATER)].filter(Boolean).join(" "),
    slug,
    requestId: response.status >= 500 ? (document.request_id ?? "") : "",
  });
}
