// Copies the three files of onnxruntime-web that the page loads into vendor/, beside it: all that
// has to be served.
import { cpSync, mkdirSync } from "node:fs";

const from = new URL("node_modules/onnxruntime-web/dist/", import.meta.url);
const to = new URL("vendor/", import.meta.url);
mkdirSync(to, { recursive: true });
for (const name of [
  "ort.wasm.min.mjs",
  "ort-wasm-simd-threaded.mjs",
  "ort-wasm-simd-threaded.wasm",
]) {
  cpSync(new URL(name, from), new URL(name, to));
}
