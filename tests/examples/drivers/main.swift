// Runs the cases of tests/examples/test_same_as_python.py through examples/ios:
//   driver faces CASES ANSWERS
// and those of test_cut_face.py: driver cut CASES ANSWERS, and of test_masks.py: driver masks …
// those of test_people.py: driver people CASES ANSWERS, and of test_second_look.py: driver twice …
// and reads a contract: driver contract JSON ANSWER, or driver glasses, segmenter or recognizer
// likewise; the answer is "notUsable" where it is refused
import Foundation

let arguments = CommandLine.arguments
let file = [UInt8](try Data(contentsOf: URL(fileURLWithPath: arguments[2])))
let answer = URL(fileURLWithPath: arguments[3])

/// Ends with the problem as the answer where there is one.
func readContract(task: String) throws -> Contract {
    do {
        return try Contract(json: String(decoding: file, as: UTF8.self), task: task)
    } catch let problem as Contract.Problem {
        try Data("\(problem)".utf8).write(to: answer)
        exit(0)
    }
}

if arguments[1] == "glasses" {
    let contract = try readContract(task: ModelNames.glassesTask)
    let said = "\(contract.spec.width) \(contract.spec.height) \(contract.input.points ?? [])"
    try Data(said.utf8).write(to: answer)
    exit(0)
}
if arguments[1] == "segmenter" {
    let spec = try readContract(task: ModelNames.segmenterTask).maskSpec
    let said = "\(spec.width) \(spec.height) \(spec.classes) \(spec.threshold) \(spec.points)"
    try Data(said.utf8).write(to: answer)
    exit(0)
}
if arguments[1] == "recognizer" {
    let contract = try readContract(task: ModelNames.recognizerTask)
    let rules = contract.peopleRules
    let said =
        "\(contract.spec.width) \(contract.spec.height) "
        + "\(rules.thresholds.map { [$0.fmr, $0.cosine] }) \(rules.calibration?.slope ?? 0)"
    try Data(said.utf8).write(to: answer)
    exit(0)
}
if arguments[1] == "contract" {
    let contract = try readContract(task: "face-detection")
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

/// A photo of a case as a CVPixelBuffer has it: BGRA, rows with padding behind them.
func readPhoto(width: Int, height: Int) -> (pixels: [UInt8], row: Int) {
    let row = 4 * width + 64
    var photo = [UInt8](repeating: 7, count: row * height)
    for y in 0..<height {
        for x in 0..<width {
            let from = at + 4 * (y * width + x)
            let to = y * row + 4 * x
            (photo[to], photo[to + 1], photo[to + 2]) = (file[from + 2], file[from + 1], file[from])
        }
    }
    at += 4 * width * height
    return (photo, row)
}

func writeRows(_ pixels: [UInt8], row: Int, width: Int, height: Int) {
    for y in 0..<height { write(Array(pixels[y * row..<y * row + 4 * width])) }
}

if arguments[1] == "cut" {
    for _ in 0..<int() {
        let (width, height, inputWidth, inputHeight) = (int(), int(), int(), int())
        let (landmarks, points) = (floats(10), floats(10).map(Double.init))
        let (photo, photoRow) = readPhoto(width: width, height: height)
        let inputRow = 4 * inputWidth + 32
        var input = [UInt8](repeating: 9, count: inputRow * inputHeight)
        photo.withUnsafeBytes { photo in
            input.withUnsafeMutableBytes { input in
                cutOut(
                    photo: photo, photoBytesPerRow: photoRow, photoWidth: width,
                    photoHeight: height, transform: Transform(landmarks, to: points),
                    input: input, inputBytesPerRow: inputRow, inputWidth: inputWidth,
                    inputHeight: inputHeight)
            }
        }
        writeRows(input, row: inputRow, width: inputWidth, height: inputHeight)
    }
    try out.write(to: answer)
    exit(0)
}

if arguments[1] == "people" {
    for _ in 0..<int() {
        let (width, height, inputWidth, inputHeight) = (int(), int(), int(), int())
        let (landmarks, points) = (floats(10), floats(10).map(Double.init))
        let (photo, photoRow) = readPhoto(width: width, height: height)
        let size = int()
        let (one, other) = (floats(size), floats(size))
        let measured = int()
        let thresholds = (0..<measured).map { _ in
            OperatingPoint(fmr: Double(float()), cosine: Double(float()))
        }
        let hasCurve = int() == 1
        let curve = Calibration(slope: Double(float()), offset: Double(float()))
        let maxFmr = Double(float())
        let rules = PeopleRules(thresholds: thresholds, calibration: hasCurve ? curve : nil)

        let inputRow = 4 * inputWidth + 32
        var input = [UInt8](repeating: 9, count: inputRow * inputHeight)
        photo.withUnsafeBytes { photo in
            input.withUnsafeMutableBytes { input in
                cutOut(
                    photo: photo, photoBytesPerRow: photoRow, photoWidth: width,
                    photoHeight: height, transform: Transform(landmarks, to: points),
                    input: input, inputBytesPerRow: inputRow, inputWidth: inputWidth,
                    inputHeight: inputHeight)
            }
        }
        writeRows(input, row: inputRow, width: inputWidth, height: inputHeight)
        let similarity = cosine(unit(one), unit(other))
        let said = rules.verdict(similarity, small: isTooSmall(landmarks), maxFmr: maxFmr)
        let answers: [Verdict.Answer?] = [.no, .unsure, .yes]
        write([Float(similarity), Float(said.probability ?? -1)])
        write([Int32(answers.firstIndex(of: said.answer) ?? -1)])
    }
    try out.write(to: answer)
    exit(0)
}

if arguments[1] == "masks" {
    for _ in 0..<int() {
        let (width, height, columns, rows) = (int(), int(), int(), int())
        let (classes, heads, threshold) = (int(), int(), float())
        let spec = MaskSpec(
            width: columns, height: rows, points: floats(10).map(Double.init), classes: classes,
            threshold: threshold)
        let found = (0..<heads).map { _ in
            (
                Transform(floats(10), to: spec.points),
                floats(classes * columns * rows)
            )
        }
        let (photo, photoRow) = readPhoto(width: width, height: height)
        let masks = placeMasks(
            shares: found.map(\.1), transforms: found.map(\.0), photoWidth: width,
            photoHeight: height, spec: spec)
        for (mask, (transform, _)) in zip(masks, found) {
            let inputRow = 4 * columns + 32
            var input = [UInt8](repeating: 9, count: inputRow * rows)
            photo.withUnsafeBytes { photo in
                input.withUnsafeMutableBytes { input in
                    cutOut(
                        photo: photo, photoBytesPerRow: photoRow, photoWidth: width,
                        photoHeight: height, transform: transform, input: input,
                        inputBytesPerRow: inputRow, inputWidth: columns, inputHeight: rows)
                }
            }
            writeRows(input, row: inputRow, width: columns, height: rows)
            write([mask.left, mask.top, mask.width, mask.height].map(Int32.init))
            write(mask.probabilities)
        }
    }
    try out.write(to: answer)
    exit(0)
}

func write(_ faces: [Face]) {
    write([Int32(faces.count)])
    for face in faces {
        write([face.x1, face.y1, face.x2, face.y2, face.score] + face.landmarks)
    }
}

if arguments[1] == "twice" {
    for _ in 0..<int() {
        let (width, height) = (int(), int())
        let spec = InputSpec(
            width: int(), height: int(), letterbox: int() == 1, padValue: float())
        let (photo, photoRow) = readPhoto(width: width, height: height)
        let (own, asked, iou) = (float(), float(), float())
        let outputs = (0..<2).map { _ in
            let (count, marks) = (int(), int() == 1)
            return (floats(4 * count), floats(count), marks ? floats(10 * count) : [])
        }
        let inputRow = 4 * spec.width + 32
        var inputs: [[UInt8]] = []
        let faces = lookTwice(
            photoWidth: width, photoHeight: height, scoreThreshold: asked, own: own,
            longest: max(spec.width, spec.height)
        ) { copy, lowest in
            var (shown, shownRow) = (photo, photoRow)
            let (shownWidth, shownHeight) = (copy?.width ?? width, copy?.height ?? height)
            if let copy {
                shownRow = 4 * copy.width + 16
                shown = [UInt8](repeating: 5, count: shownRow * copy.height)
                photo.withUnsafeBytes { photo in
                    shown.withUnsafeMutableBytes { framed in
                        copy.draw(
                            photo: photo, photoBytesPerRow: photoRow, framed: framed,
                            framedBytesPerRow: shownRow)
                    }
                }
            }
            let placement = Placement(
                photoWidth: shownWidth, photoHeight: shownHeight, spec: spec)
            var input = [UInt8](repeating: 9, count: inputRow * spec.height)
            shown.withUnsafeBytes { photo in
                input.withUnsafeMutableBytes { input in
                    prepare(
                        photo: photo, photoBytesPerRow: shownRow, placement: placement,
                        spec: spec, input: input, inputBytesPerRow: inputRow)
                }
            }
            let (boxes, scores, landmarks) = outputs[inputs.count]
            inputs.append(input)
            return findFaces(
                boxes: boxes, scores: scores, landmarks: landmarks, placement: placement,
                scoreThreshold: lowest, nmsIou: iou)
        }
        write([Int32(inputs.count)])
        for input in inputs {
            writeRows(input, row: inputRow, width: spec.width, height: spec.height)
        }
        write(faces)
    }
    try out.write(to: answer)
    exit(0)
}

for _ in 0..<int() {
    let (width, height) = (int(), int())
    let spec = InputSpec(width: int(), height: int(), letterbox: int() == 1, padValue: float())
    let (photo, photoRow) = readPhoto(width: width, height: height)
    let inputRow = 4 * spec.width + 32
    let placement = Placement(photoWidth: width, photoHeight: height, spec: spec)
    var input = [UInt8](repeating: 9, count: inputRow * spec.height)
    photo.withUnsafeBytes { photo in
        input.withUnsafeMutableBytes { input in
            prepare(
                photo: photo, photoBytesPerRow: photoRow, placement: placement, spec: spec,
                input: input, inputBytesPerRow: inputRow)
        }
    }
    writeRows(input, row: inputRow, width: spec.width, height: spec.height)

    let (count, marks, limit) = (int(), int() == 1, int())
    let (threshold, iou) = (float(), float())
    let (boxes, scores) = (floats(4 * count), floats(count))
    let faces = findFaces(
        boxes: boxes, scores: scores, landmarks: marks ? floats(10 * count) : [],
        placement: placement, scoreThreshold: threshold, nmsIou: iou, limit: limit)
    write(faces)
}
try out.write(to: answer)
