// Runs the cases of tests/examples/test_same_as_python.py through examples/web/detector.js:
//   node driver.mjs DETECTOR.js faces CASES ANSWERS
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [, , module, , cases, answers] = process.argv;
const { prepare, findFaces } = await import(pathToFileURL(module));
const file = readFileSync(cases);
let at = 0;
const int = () => file.readInt32LE((at += 4) - 4);
const float = () => file.readFloatLE((at += 4) - 4);
const floats = (count) => Float32Array.from({ length: count }, float);
const out = [];

for (let left = int(); left > 0; left--) {
  const [width, height, newWidth, newHeight, letterbox] = [int(), int(), int(), int(), int()];
  const input = {
    shape: [1, 3, newHeight, newWidth],
    resize: letterbox ? "letterbox" : "stretch",
    pad_value: float(),
  };
  const data = new Uint8ClampedArray(file.subarray(at, (at += 4 * width * height)));
  const { data: made, placement } = prepare({ data, width, height }, input);

  const [count, marks, limit] = [int(), int(), int()];
  const options = { placement, scoreThreshold: float(), nmsIou: float(), maxDetections: limit };
  const boxes = floats(4 * count);
  const scores = floats(count);
  const faces = findFaces(boxes, scores, marks ? floats(10 * count) : null, options);
  const found = faces.flatMap((face) => [
    ...face.box,
    face.score,
    ...(face.landmarks?.flat() ?? []),
  ]);
  out.push(Buffer.from(made.buffer));
  out.push(Buffer.from(Int32Array.of(faces.length).buffer));
  out.push(Buffer.from(Float32Array.from(found).buffer));
}
writeFileSync(answers, Buffer.concat(out));
