// Runs the cases of tests/examples/test_masks.py through examples/web/segmenter.js:
//   node masks.mjs WEB masks CASES ANSWERS
// and with ANSWERS as JSON and a folder of detector.onnx, segmenter.onnx, photo (RGBA), size.json
// what the page does with a photo: node masks.mjs WEB segment FOLDER ANSWER
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

import { casesIn } from "./cases.mjs";

const [, , web, mode, source, answers] = process.argv;
const here = (name) => import(pathToFileURL(`${web}/${name}`));
const { similarity, cutOut } = await here("align.js");
const { placeMasks, loadSegmenter } = await here("segmenter.js");

function runCases() {
  const { int, float, floats, pairs, image } = casesIn(source);
  const out = [];
  for (let left = int(); left > 0; left--) {
    const [width, height, inputWidth, inputHeight, classes, faces] = Array.from({ length: 6 }, int);
    const rules = { threshold: float(), classes: Array.from({ length: classes }, String) };
    const input = { shape: [1, 3, inputHeight, inputWidth], points: pairs() };
    const found = Array.from({ length: faces }, () => ({
      transform: similarity(pairs(), input.points),
      shares: floats(classes * inputWidth * inputHeight),
    }));
    const photo = image(width, height);
    const masks = placeMasks(
      found.map(({ shares }) => shares),
      found.map(({ transform }) => transform),
      photo,
      { input, rules },
    );
    masks.forEach((mask, index) => {
      const place = Int32Array.of(mask.left, mask.top, mask.width, mask.height);
      const head = cutOut(photo, found[index].transform, input);
      for (const one of [head, place, mask.probabilities]) out.push(Buffer.from(one.buffer));
    });
  }
  return Buffer.concat(out);
}

async function segmentPhoto() {
  const ort = await here("vendor/ort.wasm.min.mjs");
  const { loadDetector } = await here("detector.js");
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  const detector = await loadDetector(ort, new Uint8Array(readFileSync(`${source}/detector.onnx`)));
  const segmenter = await loadSegmenter(ort, new Uint8Array(readFileSync(`${source}/segmenter.onnx`)));
  const size = JSON.parse(readFileSync(`${source}/size.json`));
  const photo = { data: new Uint8ClampedArray(readFileSync(`${source}/photo`)), ...size };
  const { faces } = await detector.detect(photo);
  const { masks } = await segmenter.segment(photo, faces);
  return JSON.stringify(
    masks.map((mask, index) => ({
      ...mask,
      landmarks: faces[index].landmarks,
      probabilities: Buffer.from(mask.probabilities.buffer).toString("base64"),
    })),
  );
}

writeFileSync(answers, mode === "masks" ? runCases() : await segmentPhoto());
