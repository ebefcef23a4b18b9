// The second look: a face that fills the photo is found better with a frame around the photo, as
// detectors learn from faces with surroundings. What pocketface.tasks.detection.framed does in Python,
// number for number. No DOM here.

import { roundHalfEven } from "./file.js";
import { resized } from "./resize.js";

const LARGE = 0.5; // of the photo's longer side, from which on a face is searched again
const LARGE_ALONE = 0.375; // likewise, where the first look finds nobody
const FRAME = 0.25; // of the photo's longer side: the frame's width
const FAINT = 0.5; // of the contract's threshold: scores are often lower without surroundings
const SURE = 0.75; // surer faces have surroundings
const SURER = 2; // a faint one is not searched again beside a face that is so much surer,
const NOT_SMALLER = 1 / 3; // and not only an eye or a mouth of it
const SAME = 0.3; // IoU of what two looks say of one large face

const { fround } = Math;

/**
 * The faces of a photo, in two looks where the first one finds large faces.
 *
 * Which photos get the second look does not depend on `scoreThreshold`; what it finds below the
 * contract's does not count, as it would hide fainter faces of the first.
 * @param image ImageData, or what looks like it.
 * @param options `scoreThreshold`: the lowest score of a face; `own`: the contract's; `longest`: the
 *   longer side of the network's input, to which a larger photo is reduced before it is framed.
 * @param {function} look Gives the faces of a photo from a score on, best first; see `findFaces`.
 */
export async function lookTwice(image, { scoreThreshold, own, longest }, look) {
  const seen = await look(image, Math.min(scoreThreshold, FAINT * own));
  const found = seen.filter(({ score }) => score >= fround(scoreThreshold));
  const large = toSearchAgain(seen, image, own);
  if (!large.length) return found;
  const copy = framed(image, longest);
  const again = await look(copy, Math.max(scoreThreshold, own));
  return joined(toPhoto(again, copy, image), large, found, image);
}

/** The large faces of the first look for which a second one is worth its time. */
function toSearchAgain(seen, photo, own) {
  const least = seen.some(({ score }) => score >= fround(own)) ? LARGE : LARGE_ALONE;
  return seen.filter((face) => {
    if (!isLarge(face, photo, least) || face.score > SURE || face.score < fround(FAINT * own)) return false;
    const isSurer = (other) =>
      other.score > SURER * face.score && fround(side(other) / side(face)) >= fround(NOT_SMALLER);
    return face.score >= fround(own) || !seen.some(isSurer);
  });
}

/** A photo with black around it, made smaller first where it is large; `frame` is its width. */
function framed(image, longest) {
  const longer = Math.max(image.width, image.height);
  const fit = (size) => Math.max(1, roundHalfEven((size * longest) / longer));
  const inner = longer > longest ? resized(image, fit(image.width), fit(image.height)) : image;
  const frame = roundHalfEven(FRAME * Math.max(inner.width, inner.height));
  const [width, height] = [inner.width + 2 * frame, inner.height + 2 * frame];
  const data = new Uint8ClampedArray(4 * width * height);
  for (let row = 0; row < inner.height; row++) {
    const from = 4 * row * inner.width;
    const line = inner.data.subarray(from, from + 4 * inner.width);
    data.set(line, 4 * ((row + frame) * width + frame));
  }
  return { data, width, height, frame };
}

/** Faces that were found in a framed copy, in the photo's own pixels; boxes end at its edges. */
function toPhoto(faces, copy, { width, height }) {
  const { frame } = copy;
  const ratioX = fround(width / (copy.width - 2 * frame));
  const ratioY = fround(height / (copy.height - 2 * frame));
  const moved = ([x, y]) => [
    fround(fround(x - frame) * ratioX),
    fround(fround(y - frame) * ratioY),
  ];
  const clip = (value, limit) => Math.min(Math.max(value, 0), limit);
  const clipped = ([x, y]) => [clip(x, width), clip(y, height)];
  return faces
    .map(({ box: [x1, y1, x2, y2], score, landmarks }) => ({
      box: [...clipped(moved([x1, y1])), ...clipped(moved([x2, y2]))],
      score,
      landmarks: landmarks && landmarks.map(moved),
    }))
    .filter(({ box: [x1, y1, x2, y2] }) => x2 > x1 && y2 > y1);
}

/** The large faces of the second look, and the faces of the first that are no part of them. */
function joined(again, large, found, photo) {
  // Smaller faces are those of the first look, in which they are larger.
  const kept = again.filter(
    (face) => isLarge(face, photo) || large.some((other) => iou(face, other) >= SAME),
  );
  const others = found.filter(
    (face) => !kept.some((other) => iou(face, other) >= SAME || liesWithin(face, other)),
  );
  return [...kept, ...others].sort((a, b) => b.score - a.score); // stable, as in Python
}

function side({ box: [x1, y1, x2, y2] }) {
  return Math.max(fround(x2 - x1), fround(y2 - y1));
}

function isLarge(face, { width, height }, least = LARGE) {
  return side(face) >= least * Math.max(width, height);
}

/** Whether the middle of a face lies within another one's box. */
function liesWithin({ box: [x1, y1, x2, y2] }, { box: [left, top, right, bottom] }) {
  const [x, y] = [fround(x1 + x2) / 2, fround(y1 + y2) / 2];
  return x >= left && x <= right && y >= top && y <= bottom;
}

function iou({ box: a }, { box: b }) {
  const shared = [0, 1]
    .map((at) => Math.max(0, Math.min(a[at + 2], b[at + 2]) - Math.max(a[at], b[at])))
    .reduce((width, height) => width * height);
  const area = ([x1, y1, x2, y2]) => fround(x2 - x1) * fround(y2 - y1);
  return shared / (area(a) + area(b) - shared);
}
