// Opens a file of any task, with a network all of whose numbers are the one that the contract's name
// says, and shows it a photo with a face: node constant.mjs WEB constant FILE.onnx ANSWER
// The answer is why the page refuses that, or "done".
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [, , web, , source, answer] = process.argv;
const here = (name) => import(pathToFileURL(`${web}/${name}`));
const { ModelError, readContract } = await here("file.js");
const { loadDetector } = await here("detector.js");
const { loadRecognizer } = await here("recognizer.js");
const { loadSegmenter } = await here("segmenter.js");

const file = new Uint8Array(readFileSync(source));
const contract = readContract(file);
const outputs = Object.fromEntries(
  contract.outputs.map(({ name, shape }) => {
    const size = shape.reduce((product, side) => product * side);
    return [name, { data: new Float32Array(size).fill(Number(contract.name)) }];
  }),
);
const session = { run: async () => outputs };
const ort = { InferenceSession: { create: async () => session }, Tensor: class {} };
const photo = { data: new Uint8ClampedArray(4 * 64 * 64), width: 64, height: 64 };
const face = { landmarks: [[20, 25], [40, 25], [30, 35], [22, 45], [38, 45]] };
const uses = {
  "face-detection": async () => (await loadDetector(ort, file)).detect(photo),
  "face-segmentation": async () => (await loadSegmenter(ort, file)).segment(photo, [face]),
  "face-recognition": async () => {
    const recognizer = await loadRecognizer(ort, file);
    return recognizer.embed(recognizer.cut(photo, face));
  },
};
let said = "done";
try {
  await uses[contract.task]();
} catch (error) {
  if (!(error instanceof ModelError)) throw error;
  said = error.message;
}
writeFileSync(answer, said);
