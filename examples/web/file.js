// What is inside a pocketface .onnx file beside its network: the contract, and a SHA-256.

const CONTRACT_KEY = "pocketface.contract";
const CONTRACT_VERSION = 2;
const SEAL_MARK = "pocketface-sha256:";
const NO_ONNX = "not an ONNX file, or a damaged one";

/** A model file that is damaged, or not one that these modules can use. */
export class ModelError extends Error {}

/** The `metadata_props` of an ONNX file (onnx.proto: ModelProto field 14), as a Map. */
export function readMetadata(bytes) {
  const text = new TextDecoder();
  const metadata = new Map();
  for (const [number, entry] of fields(bytes)) {
    if (number !== 14) continue;
    if (!entry) throw new ModelError(NO_ONNX); // a text may begin like this
    const pair = new Map(fields(entry)); // StringStringEntryProto: 1 is the key, 2 the value
    metadata.set(text.decode(pair.get(1)), text.decode(pair.get(2)));
  }
  return metadata;
}

/** Field numbers and contents of a protobuf message; contents only of length-delimited fields. */
function* fields(bytes) {
  let at = 0;
  const varint = () => {
    // By multiplication: lengths above 2^31 would overflow shifts.
    for (let value = 0, factor = 1; at < bytes.length && factor < 2 ** 63; factor *= 128) {
      const byte = bytes[at++];
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
    throw new ModelError(NO_ONNX);
  };
  while (at < bytes.length) {
    const tag = varint();
    const kind = tag % 8;
    let content;
    if (kind === 0) varint();
    else if (kind === 1) at += 8;
    else if (kind === 5) at += 4;
    else if (kind === 2) {
      const end = varint() + at;
      content = bytes.subarray(at, end);
      at = end;
    } else at = Infinity;
    if (at > bytes.length) throw new ModelError(NO_ONNX);
    yield [Math.floor(tag / 8), content];
  }
}

/**
 * The contract inside an ONNX file, if it is of the version that these modules know.
 * @param {Uint8Array} bytes The file.
 * @param {?{task: string, resizes: string[], outputs: string[]}} wanted What it must be for, how a
 *   photo may become its input, and what it must give; null for any.
 */
export function readContract(bytes, wanted = null) {
  const json = readMetadata(bytes).get(CONTRACT_KEY);
  if (!json) throw new ModelError("the file carries no pocketface contract");
  const contract = JSON.parse(json);
  if (contract.contract_version < CONTRACT_VERSION) {
    throw new ModelError("the file was exported by an older pocketface; export it again");
  }
  const { input, outputs } = contract;
  const known =
    contract.contract_version === CONTRACT_VERSION &&
    (input.dtype ?? "float32") === "float32" &&
    input.layout === "NCHW" &&
    [1, -1].includes(input.shape[0]) &&
    input.colour === "BGR" &&
    input.value_range.join() === "0,255";
  const fits =
    wanted === null ||
    (contract.task === wanted.task &&
      wanted.resizes.includes(input.resize) &&
      wanted.outputs.every((name) => outputs.some((output) => output.name === name)));
  if (!known || !fits) {
    throw new ModelError("the file's contract asks for what this page does not do");
  }
  return contract;
}

/**
 * Compare the file with the SHA-256 inside it.
 * False where the browser has no WebCrypto: it has it on https and localhost only.
 */
export async function checkSeal(bytes) {
  if (!globalThis.crypto?.subtle) return false;
  const places = findAll(bytes, new TextEncoder().encode(SEAL_MARK));
  if (places.length !== 1) throw new ModelError("the file is damaged: its SHA-256 is gone");
  const start = places[0] + SEAL_MARK.length;
  const said = new TextDecoder().decode(bytes.subarray(start, start + 64));
  const blank = bytes.slice();
  blank.fill(48, start, start + 64); // the digest is that of the file with zeros in its place
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", blank));
  const found = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (found !== said) throw new ModelError("the file is damaged: it does not match its SHA-256");
  return true;
}

function findAll(bytes, word) {
  const places = [];
  for (let at = bytes.indexOf(word[0]); at !== -1; at = bytes.indexOf(word[0], at + 1)) {
    if (word.every((byte, index) => bytes[at + index] === byte)) places.push(at);
  }
  return places;
}

/** As Python and cv2 round: halves to the even number. */
export function roundHalfEven(value) {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
