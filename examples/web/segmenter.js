// A face segmenter's .onnx file in a page, a worker or node: heads cut out of a photo and masks laid
// back into it as pocketface does it in Python. No DOM here, and no dependency but the `ort` that the
// caller hands over.

import { covered, cutOut, inverse, moved, reach, similarity, warp } from "./align.js";
import { checkSeal, ModelError, readContract } from "./file.js";

const WANTED = { task: "face-segmentation", resizes: ["align"], outputs: ["mask"] };

// ---- head to photo ------------------------------------------------------------------------------

/** Probabilities of a head, for the pixels of the photo that it covers; elsewhere background. */
function layBack(shares, transform, photo, { input, classes }) {
  const [, , height, width] = input.shape;
  const head = { left: 0, top: 0, width, height };
  const back = inverse(transform);
  const region = covered(back, head, photo);
  const size = region.width * region.height;
  const probabilities = new Float32Array(classes.length * size);
  const here = [...back];
  here[2] -= region.left;
  here[5] -= region.top;
  for (let index = 0; index < classes.length; index++) {
    const values = shares.subarray(index * width * height, (index + 1) * width * height);
    const part = crop({ ...head, values }, covered(inverse(here), region, head, reach(here)));
    probabilities.set(warp(part, here, region, { replicate: true }), index * size);
  }
  for (let y = 0, at = 0; y < region.height; y++) {
    for (let x = 0; x < region.width; x++, at++) {
      const [u, v] = moved(transform, x + region.left + 0.5, y + region.top + 0.5);
      if (u >= 0 && v >= 0 && u < width && v < height) continue;
      for (let index = 0; index < classes.length; index++) probabilities[index * size + at] = 0;
      if (classes.length > 1) probabilities[at] = 1;
    }
  }
  return { ...region, probabilities };
}

function crop({ width, values }, part) {
  const cut = new Float32Array(part.width * part.height);
  for (let y = 0; y < part.height; y++) {
    const from = (part.top + y) * width + part.left;
    cut.set(values.subarray(from, from + part.width), y * part.width);
  }
  return { ...part, values: cut };
}

// ---- all heads of a photo -----------------------------------------------------------------------

/**
 * The masks of a photo's heads; a pixel that two claim is of the one whose centre is nearer, in that
 * head's own input pixels.
 * @param {Float32Array[]} shares For each head (classes, height, width), as the network gives them.
 * @param {number[][]} transforms For each head the one that it was cut with.
 * @param {{width: number, height: number}} photo
 * @param {object} contract The segmenter's.
 * @returns For each head `probabilities`, Float32Array (classes, height, width) of the photo's
 *   rectangle `left`, `top`, `width`, `height`; elsewhere there is nothing of the face.
 */
export function placeMasks(shares, transforms, photo, { input, rules }) {
  const { classes, threshold } = rules;
  const masks = shares.map((share, index) =>
    layBack(share, transforms[index], photo, { input, classes }),
  );
  const [, , height, width] = input.shape;
  masks.forEach((one, first) => {
    for (let second = first + 1; second < masks.length; second++) {
      const other = masks[second];
      const left = Math.max(one.left, other.left);
      const right = Math.min(one.left + one.width, other.left + other.width);
      const top = Math.max(one.top, other.top);
      const bottom = Math.min(one.top + one.height, other.top + other.height);
      for (let y = top; y < bottom; y++) {
        for (let x = left; x < right; x++) {
          const claim = (mask) => classAt(mask, x, y, { classes, threshold });
          if (!claim(one) || !claim(other)) continue;
          const away = [first, second].map((index) => {
            const [u, v] = moved(transforms[index], x + 0.5, y + 0.5);
            return Math.hypot(u - width / 2, v - height / 2);
          });
          empty(away[1] < away[0] ? one : other, x, y, classes);
        }
      }
    }
  });
  return masks;
}

/**
 * What a pixel of the photo is: 0 for background, else the number of its class, from 1 on; the only
 * class has number 1.
 */
export function classAt(mask, x, y, { classes, threshold }) {
  const size = mask.width * mask.height;
  const at = (y - mask.top) * mask.width + x - mask.left;
  if (classes.length === 1) return mask.probabilities[at] >= Math.fround(threshold) ? 1 : 0;
  let best = 0;
  for (let index = 1; index < classes.length; index++) {
    if (mask.probabilities[index * size + at] > mask.probabilities[best * size + at]) best = index;
  }
  return best;
}

function empty(mask, x, y, classes) {
  const size = mask.width * mask.height;
  const at = (y - mask.top) * mask.width + x - mask.left;
  for (let index = 0; index < classes.length; index++) mask.probabilities[index * size + at] = 0;
  if (classes.length > 1) mask.probabilities[at] = 1;
}

/**
 * Open a model file.
 * @param {object} ort The onnxruntime-web module.
 * @param {Uint8Array} bytes A segmenter that `pocketface export` wrote.
 * @returns `contract`; `sealed`: whether its SHA-256 was compared; `segment(image, faces)`; `close()`.
 */
export async function loadSegmenter(ort, bytes) {
  const contract = readContract(bytes, WANTED);
  const sealed = await checkSeal(bytes);
  const session = await ort.InferenceSession.create(bytes);
  const { input } = contract;
  const [, , height, width] = input.shape;

  /**
   * @param image ImageData, or what looks like it.
   * @param faces Of a detector with landmarks.
   * @returns `masks`, see `placeMasks`; `milliseconds`.
   */
  async function segment(image, faces) {
    const started = performance.now();
    const transforms = faces.map(({ landmarks }) => similarity(landmarks, input.points));
    const shares = [];
    for (const transform of transforms) {
      const head = cutOut(image, transform, input);
      const tensor = new ort.Tensor("float32", head, [1, 3, height, width]);
      const { mask } = await session.run({ [input.name]: tensor });
      if (!mask.data.every(Number.isFinite)) {
        throw new ModelError("the network's probabilities are not finite");
      }
      shares.push(mask.data);
    }
    const masks = placeMasks(shares, transforms, image, contract);
    return { masks, milliseconds: performance.now() - started };
  }

  return { contract, sealed, segment, close: () => session.release() };
}
