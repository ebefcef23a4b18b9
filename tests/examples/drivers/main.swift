// Runs the cases of tests/examples/test_same_as_python.py through examples/ios:
//   driver faces CASES ANSWERS
// and reads a contract: driver contract JSON ANSWER
import Foundation

let arguments = CommandLine.arguments
let file = [UInt8](try Data(contentsOf: URL(fileURLWithPath: arguments[2])))
let answer = URL(fileURLWithPath: arguments[3])
if arguments[1] == "contract" {
    let contract = try Contract(json: String(decoding: file, as: UTF8.self))
    let spec = contract.spec
    let said =
        "\(spec.width) \(spec.height) \(spec.letterbox) \(spec.padValue) "
        + "\(contract.scoreThreshold) \(contract.nmsIou) \(contract.outputs.map(\.name))"
    try Data(said.utf8).write(to: answer)
    exit(0)
}
var at = 0
func int() -> Int {
    at += 4
    return Int(file.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: at - 4, as: Int32.self) })
}
func float() -> Float {
    at += 4
    return file.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: at - 4, as: Float.self) }
}
func floats(_ count: Int) -> [Float] { (0..<count).map { _ in float() } }
var out = Data()
func write<T>(_ values: [T]) { values.withUnsafeBytes { out.append(contentsOf: $0) } }

for _ in 0..<int() {
    let (width, height) = (int(), int())
    let spec = InputSpec(width: int(), height: int(), letterbox: int() == 1, padValue: float())
    // Rows of a CVPixelBuffer are padded, so these are.
    let (photoRow, inputRow) = (4 * width + 64, 4 * spec.width + 32)
    var photo = [UInt8](repeating: 7, count: photoRow * height)
    for y in 0..<height {
        for x in 0..<width {
            let from = at + 4 * (y * width + x)
            let to = y * photoRow + 4 * x
            (photo[to], photo[to + 1], photo[to + 2]) = (file[from + 2], file[from + 1], file[from])
        }
    }
    at += 4 * width * height
    let placement = Placement(photoWidth: width, photoHeight: height, spec: spec)
    var input = [UInt8](repeating: 9, count: inputRow * spec.height)
    photo.withUnsafeBytes { photo in
        input.withUnsafeMutableBytes { input in
            prepare(
                photo: photo, photoBytesPerRow: photoRow, placement: placement, spec: spec,
                input: input, inputBytesPerRow: inputRow)
        }
    }
    for row in 0..<spec.height {
        write(Array(input[row * inputRow..<row * inputRow + 4 * spec.width]))
    }

    let (count, marks, limit) = (int(), int() == 1, int())
    let (threshold, iou) = (float(), float())
    let (boxes, scores) = (floats(4 * count), floats(count))
    let faces = findFaces(
        boxes: boxes, scores: scores, landmarks: marks ? floats(10 * count) : [],
        placement: placement, scoreThreshold: threshold, nmsIou: iou, limit: limit)
    write([Int32(faces.count)])
    for face in faces {
        write([face.x1, face.y1, face.x2, face.y2, face.score] + face.landmarks)
    }
}
try out.write(to: answer)
