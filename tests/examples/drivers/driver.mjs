// Runs the cases of tests/examples/test_same_as_python.py through examples/web/detector.js:
//   node driver.mjs DETECTOR.js faces CASES ANSWERS
// and finds faces by the rules of a model file's contract, with a network that always says the same:
//   node driver.mjs DETECTOR.js rules FILE.onnx ANSWER
// The answer is JSON: the scores of the faces, or why the file is refused.
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

import { casesIn } from "./cases.mjs";

const [, , module, mode, cases, answers] = process.argv;
const detector = pathToFileURL(module);
const { prepare, findFaces, loadDetector } = await import(detector);
const { ModelError } = await import(new URL("file.js", detector));
if (mode === "rules") {
  const said = await findByRules().catch((error) => {
    if (error instanceof ModelError) return error.message;
    throw error;
  });
  writeFileSync(answers, JSON.stringify(said));
  process.exit();
}
const { int, float, floats, image } = casesIn(cases);
const out = [];

for (let left = int(); left > 0; left--) {
  const [width, height, newWidth, newHeight, letterbox] = [int(), int(), int(), int(), int()];
  const input = {
    shape: [1, 3, newHeight, newWidth],
    resize: letterbox ? "letterbox" : "stretch",
    pad_value: float(),
  };
  const { data: made, placement } = prepare(image(width, height), input);

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

async function findByRules() {
  // The second box overlaps the first by half, the third lies alone.
  const boxes = Float32Array.of(0, 0, 20, 20, 0, 0, 20, 10, 40, 40, 60, 60);
  const outputs = { boxes: { data: boxes }, scores: { data: Float32Array.of(0.875, 0.75, 0.25) } };
  const session = { run: async () => outputs };
  const ort = { InferenceSession: { create: async () => session }, Tensor: class {} };
  const loaded = await loadDetector(ort, new Uint8Array(readFileSync(cases)));
  const photo = { data: new Uint8ClampedArray(4 * 64 * 64), width: 64, height: 64 };
  return (await loaded.detect(photo)).faces.map(({ score }) => score);
}
