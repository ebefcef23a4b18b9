// Runs the cases of tests/examples/test_second_look.py through examples/web/framed.js:
//   node twice.mjs WEB twice CASES ANSWERS
// and with a folder of model.onnx, photos.json (their sizes) and photo-0, photo-1 … (RGBA), and the
// answer as JSON, what the page finds in photos: node twice.mjs WEB predict FOLDER ANSWER
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

import { casesIn } from "./cases.mjs";

const [, , web, mode, source, answers] = process.argv;
const here = (name) => import(pathToFileURL(`${web}/${name}`));
const { findFaces, loadDetector, prepare } = await here("detector.js");
const { lookTwice } = await here("framed.js");

async function runCases() {
  const { int, float, floats, image } = casesIn(source);
  const out = [];
  for (let left = int(); left > 0; left--) {
    const [width, height, columns, rows, letterbox] = Array.from({ length: 5 }, int);
    const resize = letterbox ? "letterbox" : "stretch";
    const input = { shape: [1, 3, rows, columns], resize, pad_value: float() };
    const photo = image(width, height);
    const [own, scoreThreshold, nmsIou] = floats(3);
    const outputs = Array.from({ length: 2 }, () => {
      const [count, marks] = [int(), int()];
      return [floats(4 * count), floats(count), marks ? floats(10 * count) : null];
    });
    const inputs = [];
    const longest = Math.max(columns, rows);
    const faces = await lookTwice(photo, { scoreThreshold, own, longest }, (image, lowest) => {
      const { data, placement } = prepare(image, input);
      const limits = { placement, scoreThreshold: lowest, nmsIou };
      return findFaces(...outputs[inputs.push(data) - 1], limits);
    });
    const numbers = faces.flatMap(({ box, score, landmarks }) => [
      ...box,
      score,
      ...(landmarks?.flat() ?? []),
    ]);
    out.push(Int32Array.of(inputs.length), ...inputs);
    out.push(Int32Array.of(faces.length), Float32Array.from(numbers));
  }
  return Buffer.concat(out.map(({ buffer }) => Buffer.from(buffer)));
}

async function predict() {
  const ort = await here("vendor/ort.wasm.min.mjs");
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  const detector = await loadDetector(ort, new Uint8Array(readFileSync(`${source}/model.onnx`)));
  const said = [];
  for (const [index, size] of JSON.parse(readFileSync(`${source}/photos.json`)).entries()) {
    const data = new Uint8ClampedArray(readFileSync(`${source}/photo-${index}`));
    said.push((await detector.detect({ data, ...size })).faces);
  }
  return JSON.stringify(said);
}

writeFileSync(answers, mode === "twice" ? await runCases() : await predict());
