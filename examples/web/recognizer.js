// A face recogniser's .onnx file in a page, a worker or node: faces as vectors, and whether two are
// one person's, as pocketface says it in Python. No DOM here, and no dependency but the `ort` that the
// caller hands over. Nothing looks for life: a photo of a photo passes.

import { cutOut, similarity } from "./align.js";
import { checkSeal, ModelError, readContract } from "./file.js";

const WANTED = { task: "face-recognition", resizes: ["align"], outputs: ["embedding"] };
const UNSURE = 10; // times as often strangers may reach the cosine from which on it is unsure
const MIN_EYES = 8; // pixels between the eyes, below which nobody is recognised

/** Share of pairs of two people that may be called one person, unless another one is asked for. */
export const MAX_FMR = 0.001;

/** The same direction with length 1; files of lower precision are a little off. */
export function unit(vector) {
  const length = Math.hypot(...vector);
  if (!(length > 0 && length < Infinity)) {
    throw new ModelError("the network's embeddings are not finite, or 0");
  }
  return vector.map((value) => value / length);
}

/** Cosine of the angle between two embeddings of length 1, -1 to 1. */
export function cosine(one, other) {
  return one.reduce((sum, value, index) => sum + value * other[index], 0);
}

/** Whether a face is too small to say who it is. */
export function isSmall({ landmarks: [[leftX, leftY], [rightX, rightY]] }) {
  return Math.hypot(rightX - leftX, rightY - leftY) < MIN_EYES;
}

/**
 * What a cosine says.
 * @param {number} value The cosine.
 * @param {object} rules The contract's.
 * @param options `maxFmr`; `small`: whether a face is too small to tell.
 * @returns `answer`: "yes", "unsure", "no", or null where the contract has no threshold for the rate;
 *   `probability` at even odds beforehand, null if it was never measured or a face is too small.
 */
export function verdict(value, rules, { maxFmr = MAX_FMR, small = false } = {}) {
  const { thresholds, calibration } = rules;
  const curve = ({ slope, offset }) => 1 / (1 + Math.exp(-(slope * value + offset)));
  const probability = calibration && !small ? curve(calibration) : null;
  if (!thresholds.length || maxFmr < thresholds.at(-1).fmr) return { answer: null, probability };
  const sure = thresholdAt(thresholds, maxFmr);
  // Nothing is known beyond the largest rate that was measured.
  const often = Math.max(maxFmr, Math.min(UNSURE * maxFmr, thresholds[0].fmr));
  const unsure = Math.min(sure, thresholdAt(thresholds, often));
  let answer = "no";
  if (small || (value >= unsure && value < sure)) answer = "unsure";
  else if (value >= sure) answer = "yes";
  return { answer, probability };
}

/** The cosine at a false match rate: between the measured ones linear over their logarithm. */
function thresholdAt(thresholds, fmr) {
  const at = thresholds.findIndex((point) => point.fmr <= fmr); // the most frequent are first
  if (at === 0) return thresholds[0].cosine;
  const [often, seldom] = [thresholds[at - 1], thresholds[at]];
  const share = Math.log(fmr / seldom.fmr) / Math.log(often.fmr / seldom.fmr);
  return seldom.cosine + share * (often.cosine - seldom.cosine);
}

/**
 * Open a model file.
 * @param {object} ort The onnxruntime-web module.
 * @param {Uint8Array} bytes A recogniser that `pocketface export` wrote.
 * @returns `contract`; `sealed`: whether its SHA-256 was compared; `cut`, `embed`; `close()`.
 */
export async function loadRecognizer(ort, bytes) {
  const contract = readContract(bytes, WANTED);
  const sealed = await checkSeal(bytes);
  const session = await ort.InferenceSession.create(bytes);
  const { input } = contract;
  const [, , height, width] = input.shape;

  /** A face with landmarks, cut out of a photo: Float32Array (3, height, width), BGR, 0-255. */
  function cut(image, { landmarks }) {
    return cutOut(image, similarity(landmarks, input.points), input);
  }

  /** The embedding of a face from `cut`: Float32Array of length 1. */
  async function embed(face) {
    const tensor = new ort.Tensor("float32", face, [1, 3, height, width]);
    const { embedding } = await session.run({ [input.name]: tensor });
    return unit(embedding.data);
  }

  return { contract, sealed, cut, embed, close: () => session.release() };
}
