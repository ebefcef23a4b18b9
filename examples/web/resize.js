// A photo made smaller or larger as cv2 does it, to the last bit. No DOM here.

import { roundHalfEven } from "./file.js";

/**
 * Bilinear by pixel centres, in the fixed point of cv2.resize (INTER_LINEAR), to the last bit.
 * A canvas's own scaling averages over more pixels, so a network would see another picture.
 * @param {{data: Uint8ClampedArray, width: number, height: number}} image RGBA, as ImageData.
 * @returns The like, with an alpha of 0, as no network looks at it.
 */
export function resized(image, newWidth, newHeight) {
  const { data: pixels, width, height } = image;
  if (newWidth === width && newHeight === height) return image;
  const data = new Uint8ClampedArray(4 * newWidth * newHeight);
  const x = taps(width, newWidth, 4);
  const y = taps(height, newHeight, width * 4);
  for (let row = 0, at = 0; row < newHeight; row++) {
    const [top, bottom, weightTop, weightBottom] = [
      y.first[row], y.second[row], y.weightFirst[row], y.weightSecond[row],
    ];
    for (let column = 0; column < newWidth; column++, at += 4) {
      const [left, right] = [x.first[column], x.second[column]];
      const [weightLeft, weightRight] = [x.weightFirst[column], x.weightSecond[column]];
      for (let channel = 0; channel < 3; channel++) {
        const above =
          pixels[top + left + channel] * weightLeft + pixels[top + right + channel] * weightRight;
        const below =
          pixels[bottom + left + channel] * weightLeft +
          pixels[bottom + right + channel] * weightRight;
        const sum = ((weightTop * (above >> 4)) >> 16) + ((weightBottom * (below >> 4)) >> 16);
        data[at + channel] = (sum + 2) >> 2;
      }
    }
  }
  return { data, width: newWidth, height: newHeight };
}

/** Per output pixel of one axis: two source offsets and their weights, which sum to 2048. */
function taps(size, newSize, step) {
  const made = {
    first: new Int32Array(newSize),
    second: new Int32Array(newSize),
    weightFirst: new Int32Array(newSize),
    weightSecond: new Int32Array(newSize),
  };
  const scale = 1 / (newSize / size);
  for (let index = 0; index < newSize; index++) {
    const position = Math.fround((index + 0.5) * scale - 0.5);
    const before = Math.floor(position);
    const share = Math.fround(position - before);
    const clamp = (value) => Math.min(size - 1, Math.max(0, value)) * step;
    made.first[index] = clamp(before);
    made.second[index] = clamp(before + 1);
    made.weightFirst[index] = roundHalfEven(Math.fround(1 - share) * 2048);
    made.weightSecond[index] = roundHalfEven(share * 2048);
  }
  return made;
}
