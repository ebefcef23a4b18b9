// Clicks in examples/web/page.js, on a page of stubs: node camera.mjs PAGE.js CLICKS [no-model]
// CLICKS: c for the camera's button, p for a photo chosen, t for the slider moved, . for 30 ms.
// Prints cameras opened and stopped, looks for faces (20 ms each), what the button and the status
// line say.
import { readFileSync } from "node:fs";

const [, , file, clicks, noModel] = process.argv;
const code = readFileSync(file, "utf8")
  .replace(/^import .*$/gm, "")
  .replace(/^ort\..*$/gm, "");
const elements = {};
const pixels = { width: 4, height: 4 };
const brush = { canvas: {}, fillRect() {}, drawImage() {}, putImageData() {}, getImageData: () => pixels };
const element = (id) =>
  (elements[id] ??= {
    addEventListener(kind, action) { this[kind] = action; },
    setAttribute() {},
    classList: { toggle() {} },
    replaceChildren() {},
    getContext: () => brush,
    play: async () => {},
    videoWidth: 4,
    value: "0.5",
  });
const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
let looks = 0;
let opened = 0;
let stopped = 0;
const contract = { task: "face-detection", input: { shape: [1, 3, 4, 4] }, provenance: {}, rules: { score_threshold: 0.5 } };
async function detect() {
  looks += 1;
  await wait(20);
  return { faces: [], milliseconds: { prepare: 0, network: 0, decode: 0 } };
}
const page = {
  ort: {},
  document: { getElementById: element, createElement: () => element("made") },
  navigator: {
    mediaDevices: {
      async getUserMedia() {
        opened += 1;
        await wait(50); // people take longer to say yes
        return { getTracks: () => [{ stop: () => (stopped += 1) }] };
      },
    },
  },
  createImageBitmap: async () => ({ width: 4, height: 4, close() {} }),
  requestAnimationFrame: (action) => setTimeout(action, 5),
  fetch: async () => ({ ok: !noModel, json: async () => ["model.onnx"], arrayBuffer: async () => new ArrayBuffer(4) }),
  readContract: () => contract,
  loadDetector: async () => ({ contract, sealed: true, detect }),
  setUpComparison() {},
  ModelError: class extends Error {},
};
new Function(...Object.keys(page), code)(...Object.values(page));
await wait(30); // the model is open
elements.photo.files = [{ name: "photo" }];
const actions = {
  c: () => elements.camera.click(),
  p: () => elements.photo.change(),
  t: () => elements.threshold.input(),
  ".": () => wait(30),
};
for (const one of clicks) await actions[one]();
await wait(100);
const { camera, status } = elements;
const said = { button: camera.textContent, says: status.textContent };
console.log(JSON.stringify({ opened, stopped, looks, ...said }));
process.exit();
