// Runs the cases of tests/examples/test_people.py through examples/web/recognizer.js:
//   node people.mjs WEB people CASES ANSWERS
import { writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

import { casesIn } from "./cases.mjs";

const [, , web, , source, answers] = process.argv;
const here = (name) => import(pathToFileURL(`${web}/${name}`));
const { similarity, cutOut } = await here("align.js");
const { cosine, isSmall, unit, verdict } = await here("recognizer.js");

const { int, float, floats, pairs, image } = casesIn(source);
const out = [];
for (let left = int(); left > 0; left--) {
  const [width, height, inputWidth, inputHeight] = [int(), int(), int(), int()];
  const landmarks = pairs();
  const input = { shape: [1, 3, inputHeight, inputWidth], points: pairs() };
  const photo = image(width, height);
  const size = int();
  const [one, other] = [floats(size), floats(size)];
  const thresholds = Array.from({ length: int() }, () => ({ fmr: float(), cosine: float() }));
  const hasCurve = int() === 1;
  const curve = { slope: float(), offset: float() };
  const maxFmr = float();
  const rules = { thresholds, calibration: hasCurve ? curve : null };
  const face = cutOut(photo, similarity(landmarks, input.points), input);
  const value = cosine(unit(one), unit(other));
  const { answer, probability } = verdict(value, rules, { maxFmr, small: isSmall({ landmarks }) });
  out.push(Buffer.from(face.buffer));
  out.push(Buffer.from(Float32Array.of(value, probability ?? -1).buffer));
  out.push(Buffer.from(Int32Array.of(["no", "unsure", "yes"].indexOf(answer)).buffer));
}
writeFileSync(answers, Buffer.concat(out));
