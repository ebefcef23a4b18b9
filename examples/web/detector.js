// A face detector's .onnx file in a page, a worker or node: the photo prepared and the faces found as
// pocketface does it in Python, number for number. No DOM here, and no dependency but the `ort` that
// the caller hands over.

import { checkSeal, ModelError, readContract, roundHalfEven } from "./file.js";
import { lookTwice } from "./framed.js";
import { resized } from "./resize.js";

const MAX_DETECTIONS = 750;
const MAX_CANDIDATES = 5000; // NMS is quadratic

const WANTED = {
  task: "face-detection",
  resizes: ["letterbox", "stretch"],
  outputs: ["boxes", "scores"],
};

// ---- photo to input ---------------------------------------------------------------------------

/**
 * Bring a photo to the input that a contract asks for.
 * @param {{data: Uint8ClampedArray, width: number, height: number}} image RGBA, as ImageData.
 * @param {object} input The contract's `input`.
 * @returns `data`: Float32Array (3, height, width), BGR planes, 0-255; `placement`: where the photo
 *   lies in it, for `findFaces`.
 */
export function prepare(image, input) {
  const [, , height, width] = input.shape;
  let [newWidth, newHeight] = [width, height];
  if (input.resize === "letterbox") {
    const scale = Math.min(width / image.width, height / image.height);
    newWidth = Math.min(width, Math.max(1, roundHalfEven(image.width * scale)));
    newHeight = Math.min(height, Math.max(1, roundHalfEven(image.height * scale)));
  }
  const plane = width * height;
  const data = new Float32Array(3 * plane).fill(input.pad_value);
  const { data: pixels } = resized(image, newWidth, newHeight);
  for (let row = 0, from = 0; row < newHeight; row++) {
    for (let column = 0, at = row * width; column < newWidth; column++, at++, from += 4) {
      for (let channel = 0; channel < 3; channel++) {
        data[(2 - channel) * plane + at] = pixels[from + channel]; // RGB to BGR
      }
    }
  }
  return {
    data,
    placement: {
      width: image.width,
      height: image.height,
      scaleX: newWidth / image.width,
      scaleY: newHeight / image.height,
    },
  };
}

// ---- outputs to faces -------------------------------------------------------------------------

/**
 * Score threshold, NMS, and the way back to the photo.
 * @param {Float32Array} boxes N times x1 y1 x2 y2, network-input pixels.
 * @param {Float32Array} scores N, 0 to 1.
 * @param {?Float32Array} landmarks N times five x y, network-input pixels.
 * @returns Faces, best first: `box` [x1, y1, x2, y2] and `landmarks` [[x, y] * 5] or null, in
 *   pixels of the photo, and `score`.
 */
export function findFaces(boxes, scores, landmarks, options) {
  const { placement, scoreThreshold, nmsIou, maxDetections = MAX_DETECTIONS } = options;
  const threshold = Math.fround(scoreThreshold);
  const order = [];
  for (let index = 0; index < scores.length; index++) {
    // Like cv2's NMS, nothing of score 0.
    if (scores[index] >= threshold && scores[index] > 0 && hasArea(boxes, index)) order.push(index);
  }
  order.sort((a, b) => scores[b] - scores[a]); // stable, as in Python
  const kept = suppress(boxes, order.slice(0, MAX_CANDIDATES), Math.fround(nmsIou));

  const { width, height, scaleX, scaleY } = placement;
  const toPhoto = (x, y) => [Math.fround(x / scaleX), Math.fround(y / scaleY)];
  const clip = (value, limit) => Math.min(Math.max(value, 0), limit);
  const faces = [];
  for (const index of kept) {
    const [x1, y1] = toPhoto(boxes[4 * index], boxes[4 * index + 1]);
    const [x2, y2] = toPhoto(boxes[4 * index + 2], boxes[4 * index + 3]);
    const box = [clip(x1, width), clip(y1, height), clip(x2, width), clip(y2, height)];
    if (!hasArea(box, 0)) continue;
    const points = landmarks && landmarks.subarray(10 * index, 10 * index + 10);
    faces.push({
      box,
      score: scores[index],
      landmarks: points && [0, 2, 4, 6, 8].map((at) => toPhoto(points[at], points[at + 1])),
    });
    if (faces.length === maxDetections) break;
  }
  return faces;
}

function hasArea(boxes, index) {
  const width = Math.fround(boxes[4 * index + 2] - boxes[4 * index]);
  const height = Math.fround(boxes[4 * index + 3] - boxes[4 * index + 1]);
  return width > 0 && height > 0 && Number.isFinite(width) && Number.isFinite(height);
}

/** Of boxes that overlap by more than `limit` the first is kept. */
function suppress(boxes, order, limit) {
  const side = (a, b) => Math.max(0, b - a);
  const kept = [];
  for (const index of order) {
    const a = 4 * index;
    const area = side(boxes[a], boxes[a + 2]) * side(boxes[a + 1], boxes[a + 3]);
    const free = kept.every(({ at: b, area: other }) => {
      const shared =
        side(Math.max(boxes[a], boxes[b]), Math.min(boxes[a + 2], boxes[b + 2])) *
        side(Math.max(boxes[a + 1], boxes[b + 1]), Math.min(boxes[a + 3], boxes[b + 3]));
      const iou = shared / (area + other - shared);
      return Math.fround(1 - Math.fround(1 - iou)) <= limit; // rounded as cv2 rounds it
    });
    if (free) kept.push({ index, at: a, area });
  }
  return kept.map(({ index }) => index);
}

// ---- both --------------------------------------------------------------------------------------

/**
 * Open a model file.
 * @param {object} ort The onnxruntime-web module.
 * @param {Uint8Array} bytes A detector that `pocketface export` wrote, with NMS inside or without.
 * @returns `contract`; `sealed`: whether its SHA-256 was compared; `detect(image, options)`; `close()`.
 */
export async function loadDetector(ort, bytes) {
  const contract = readContract(bytes, WANTED);
  const sealed = await checkSeal(bytes);
  const session = await ort.InferenceSession.create(bytes);
  const { input, rules } = contract;
  const [, , height, width] = input.shape;

  /**
   * @param image ImageData, or what looks like it.
   * @param options `scoreThreshold`, `nmsIou`: instead of the contract's; `secondLook`: whether to look
   *   again, with a frame around the photo, where a face fills it (see framed.js); true by itself.
   * @returns `faces`, see `findFaces`; `milliseconds`: `prepare`, `network`, `decode`, of both looks.
   */
  async function detect(image, options = {}) {
    const own = rules.score_threshold;
    const { scoreThreshold = own, nmsIou = rules.nms_iou, secondLook = true } = options;
    const milliseconds = { prepare: 0, network: 0, decode: 0 };

    async function look(photo, lowest) {
      const started = performance.now();
      const { data, placement } = prepare(photo, input);
      const prepared = performance.now();
      const tensor = new ort.Tensor("float32", data, [1, 3, height, width]);
      const { boxes, scores, landmarks } = await session.run({ [input.name]: tensor });
      const ran = performance.now();
      // NaN would be below every threshold: no faces, without a hint why.
      if (!scores.data.every(Number.isFinite)) {
        throw new ModelError("the network's scores are not finite");
      }
      const limits = { placement, scoreThreshold: lowest, nmsIou };
      const faces = findFaces(boxes.data, scores.data, landmarks?.data, limits);
      milliseconds.prepare += prepared - started;
      milliseconds.network += ran - prepared;
      milliseconds.decode += performance.now() - ran;
      return faces;
    }

    const limits = { scoreThreshold, own, longest: Math.max(height, width) };
    const faces = secondLook
      ? (await lookTwice(image, limits, look)).slice(0, MAX_DETECTIONS)
      : await look(image, scoreThreshold);
    return { faces, milliseconds };
  }

  return { contract, sealed, detect, close: () => session.release() };
}
