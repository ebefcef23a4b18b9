// Faces and heads cut out of a photo by five landmarks, as pocketface does it in Python. No DOM here.
//
// A transform is [a, b, c, d, e, f]: x' = a x + b y + c, y' = d x + e y + f. Pixels are counted from
// the outer edge of the first one, so that the middle of the first is at 0.5.

import { roundHalfEven } from "./file.js";

const LEAST_SCALE = 0.75; // below it linear interpolation would skip pixels

// ---- where a head lies --------------------------------------------------------------------------

/**
 * The turn, scale and shift that bring landmarks closest to points, by least squares.
 *
 * Umeyama, "Least-squares estimation of transformation parameters between two point patterns", 1991;
 * without reflection, in two dimensions a division of complex numbers.
 * @param {number[][]} landmarks [[x, y] * 5], pixels of the photo.
 * @param {number[][]} points Where they are to come to: the contract's `input.points`.
 */
export function similarity(landmarks, points) {
  const mean = (values, axis) => values.reduce((sum, one) => sum + one[axis], 0) / values.length;
  const [fromX, fromY] = [mean(landmarks, 0), mean(landmarks, 1)];
  const [toX, toY] = [mean(points, 0), mean(points, 1)];
  let [spread, along, across] = [0, 0, 0];
  landmarks.forEach(([landmarkX, landmarkY], index) => {
    const [x, y] = [landmarkX - fromX, landmarkY - fromY];
    const [u, v] = [points[index][0] - toX, points[index][1] - toY];
    spread += x * x + y * y;
    along += x * u + y * v;
    across += x * v - y * u;
  });
  // Landmarks in one place have no direction: they are only shifted.
  const [cosine, sine] = spread > 0 ? [along / spread, across / spread] : [1, 0];
  return [
    ...[cosine, -sine, toX - (cosine * fromX - sine * fromY)],
    ...[sine, cosine, toY - (sine * fromX + cosine * fromY)],
  ];
}

export function inverse([a, b, c, d, e, f]) {
  const size = a * e - b * d;
  const [A, B, D, E] = [e / size, -b / size, -d / size, a / size];
  return [A, B, -(A * c + B * f), D, E, -(D * c + E * f)];
}

/**
 * The rectangle of whole pixels of `whole` that contains a picture of `size` laid there by `back`, and
 * an edge of `margin` of the picture's pixels around it.
 */
export function covered(back, size, whole, margin = 0) {
  const corners = [-margin, size.width + margin].flatMap((x) =>
    [-margin, size.height + margin].map((y) => [
      back[0] * x + back[1] * y + back[2],
      back[3] * x + back[4] * y + back[5],
    ]),
  );
  const clip = (value, low, high) => Math.min(Math.max(value, low), high);
  const bounds = (axis, limit) => {
    const values = corners.map((corner) => corner[axis]);
    // A hair's breadth of rounding must not add a row of pixels.
    const first = clip(Math.floor(Math.min(...values) + 1e-6), 0, limit);
    return [first, clip(Math.ceil(Math.max(...values) - 1e-6), first, limit)];
  };
  const [left, right] = bounds(0, whole.width);
  const [top, bottom] = bounds(1, whole.height);
  return { left, top, width: right - left, height: bottom - top };
}

/** What interpolation looks at around a picture: two pixels of the target, or of the source. */
export function reach([a, b, , d, e]) {
  return 2 * Math.max(1, Math.hypot(a, d), Math.hypot(b, e));
}

// ---- photo to head ------------------------------------------------------------------------------

/**
 * Cut a head or a face out for a network; where it shrinks, all pixels of the photo count.
 * @param {{data: Uint8ClampedArray, width: number, height: number}} photo RGBA, as ImageData.
 * @param {number[]} transform From the photo's pixels to the input's.
 * @param {object} input The contract's `input`.
 * @returns Float32Array (3, height, width), BGR planes, 0-255; black beyond the photo.
 */
export function cutOut(photo, transform, input) {
  const [, , height, width] = input.shape;
  const size = { width, height };
  const part = covered(inverse(transform), size, photo, reach(transform));
  const made = new Float32Array(3 * width * height);
  for (let channel = 0; channel < 3; channel++) {
    const values = new Float32Array(part.width * part.height);
    for (let y = 0, to = 0; y < part.height; y++) {
      let from = ((part.top + y) * photo.width + part.left) * 4 + 2 - channel; // RGB to BGR
      for (let x = 0; x < part.width; x++, from += 4) values[to++] = photo.data[from];
    }
    const plane = { ...part, values };
    const cut = warp(plane, transform, size, { whole: true });
    made.set(cut, channel * width * height);
  }
  return made;
}

/** The same transform for pixels that are counted from the middle of the first one, as in cv2. */
function atCentres([a, b, c, d, e, f]) {
  return [a, b, c + (a + b - 1) / 2, d, e, f + (d + e - 1) / 2];
}

export function moved([a, b, c, d, e, f], x, y) {
  return [a * x + b * y + c, d * x + e * y + f];
}

/**
 * Bilinear by pixel centres, in single precision as cv2.warpAffine, so that it rounds alike; shrunk
 * first where that would skip pixels.
 * @param {object} plane `values` of the rectangle `left`, `top`, `width`, `height` of a picture.
 * @param {number[]} transform From that picture's pixels to the target's.
 * @param {{width: number, height: number}} size The target's.
 * @param options `whole`: round to whole numbers; `replicate`: what is at the edge goes on beyond it,
 *   where else is 0.
 */
export function warp(plane, transform, size, options) {
  const { whole = false, replicate = false } = options;
  const [a, b, c, d, e, f] = transform;
  const fit = (side, scale) =>
    scale < LEAST_SCALE ? Math.max(1, roundHalfEven(side * scale)) : side;
  const scales = [Math.hypot(a, d), Math.hypot(b, e)];
  const round = whole ? roundHalfEven : (value) => value;
  const small = shrink(plane, fit(plane.width, scales[0]), fit(plane.height, scales[1]), round);
  // Where nothing shrinks, places are those in the whole picture, as single precision rounds by them.
  const shrinks = Math.min(...scales) < LEAST_SCALE;
  const [originX, originY] = shrinks ? [0, 0] : [plane.left, plane.top];
  const [x0, y0] = shrinks ? moved(transform, plane.left, plane.top) : [c, f];
  const [stepX, stepY] = [plane.width / small.width, plane.height / small.height];
  const back = inverse([a * stepX, b * stepY, x0, d * stepX, e * stepY, y0]);
  const [A, B, C, D, E, F] = atCentres(back).map(Math.fround);

  const { values, width, height } = small;
  const made = new Float32Array(size.width * size.height);
  if (values.length === 0) return made;
  const clamp = (at, limit) => Math.min(limit - 1, Math.max(0, at));
  const pixel = (x, y) => {
    if (x >= 0 && y >= 0 && x < width && y < height) return values[y * width + x];
    return replicate ? values[clamp(y, height) * width + clamp(x, width)] : 0;
  };
  const { fround } = Math;
  const mix = (one, other, share) => fround(one + share * fround(other - one));
  for (let row = 0, at = 0; row < size.height; row++) {
    const [startX, startY] = [fround(fround(B * row) + C), fround(fround(E * row) + F)];
    for (let column = 0; column < size.width; column++, at++) {
      const [x, y] = [fround(A * column + startX), fround(D * column + startY)];
      const [shareX, shareY] = [x - Math.floor(x), y - Math.floor(y)];
      const [left, top] = [Math.floor(x) - originX, Math.floor(y) - originY];
      const above = mix(pixel(left, top), pixel(left + 1, top), shareX);
      const below = mix(pixel(left, top + 1), pixel(left + 1, top + 1), shareX);
      made[at] = round(mix(above, below, shareY));
    }
  }
  return made;
}

/** Each pixel the mean of what it covers, as cv2.resize (INTER_AREA). */
function shrink({ values, width, height }, newWidth, newHeight, round) {
  if ((newWidth === width && newHeight === height) || values.length === 0) {
    return { values, width, height };
  }
  const [across, down] = [covers(width, newWidth), covers(height, newHeight)];
  const made = new Float32Array(newWidth * newHeight);
  for (let row = 0; row < newHeight; row++) {
    for (let column = 0; column < newWidth; column++) {
      let sum = 0;
      for (const [y, shareY] of down[row]) {
        for (const [x, shareX] of across[column]) sum += values[y * width + x] * shareY * shareX;
      }
      made[row * newWidth + column] = round(sum);
    }
  }
  return { values: made, width: newWidth, height: newHeight };
}

/** For each new pixel along one axis the old ones that it covers, each with its share of it. */
function covers(size, newSize) {
  const scale = size / newSize;
  return Array.from({ length: newSize }, (_, index) => {
    const [start, end] = [index * scale, Math.min(size, (index + 1) * scale)];
    const shares = [];
    for (let at = Math.floor(start); at < end; at++) {
      const share = Math.min(end, at + 1) - Math.max(start, at);
      if (share > 1e-3) shares.push([at, share / (end - start)]); // as cv2 leaves slivers out
    }
    return shares;
  });
}
