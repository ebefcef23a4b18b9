// Reads a file of cases, as tests/examples/answers.py writes it, value by value.
import { readFileSync } from "node:fs";

export function casesIn(path) {
  const file = readFileSync(path);
  let at = 0;
  const int = () => file.readInt32LE((at += 4) - 4);
  const float = () => file.readFloatLE((at += 4) - 4);
  return {
    int,
    float,
    floats: (count) => Float32Array.from({ length: count }, float),
    pairs: () => Array.from({ length: 5 }, () => [float(), float()]), // five landmarks
    // As ImageData.
    image: (width, height) => {
      const data = new Uint8ClampedArray(file.subarray(at, (at += 4 * width * height)));
      return { data, width, height };
    },
  };
}
