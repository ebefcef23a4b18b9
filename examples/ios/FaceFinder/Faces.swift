// Photo to network input, raw outputs to faces: what pocketface does in Python, number for number. No
// framework here, so that it compiles and is tested anywhere.

/// What a face detector's contract says of its input; `letterbox` is false for `stretch`.
struct InputSpec {
    var width: Int
    var height: Int
    var letterbox: Bool
    var padValue: Float
}

/// Where a photo lies in the network's input: at its top left, `newWidth` by `newHeight`.
struct Placement {
    var photoWidth: Int
    var photoHeight: Int
    var newWidth: Int
    var newHeight: Int

    init(photoWidth: Int, photoHeight: Int, spec: InputSpec) {
        self.photoWidth = photoWidth
        self.photoHeight = photoHeight
        newWidth = spec.width
        newHeight = spec.height
        if spec.letterbox {
            let scale = min(
                Double(spec.width) / Double(photoWidth), Double(spec.height) / Double(photoHeight))
            let fit = { (size: Int, limit: Int) in
                min(limit, max(1, Int((Double(size) * scale).rounded(.toNearestOrEven))))
            }
            newWidth = fit(photoWidth, spec.width)
            newHeight = fit(photoHeight, spec.height)
        }
    }

    /// Network-input pixels to photo pixels.
    func toPhoto(_ x: Float, _ y: Float) -> (x: Float, y: Float) {
        (
            Float(Double(x) / (Double(newWidth) / Double(photoWidth))),
            Float(Double(y) / (Double(newHeight) / Double(photoHeight)))
        )
    }
}

/// One face, in pixels of the photo.
struct Face: Equatable {
    var x1: Float
    var y1: Float
    var x2: Float
    var y2: Float
    var score: Float
    /// Five times x, y; empty where the model has none.
    var landmarks: [Float] = []
    /// What a classifier says of it, and how likely that is; nil where none was asked.
    var label: String?
    var labelScore: Float?
    /// What a segmenter says of it; nil where none was asked.
    var mask: Mask?

    /// A box of the network's input on the photo; nil where nothing of it lies there.
    init?(
        _ x1: Float, _ y1: Float, _ x2: Float, _ y2: Float, score: Float, landmarks: [Float] = [],
        on placement: Placement
    ) {
        let from = placement.toPhoto(x1, y1)
        let to = placement.toPhoto(x2, y2)
        let (width, height) = (Float(placement.photoWidth), Float(placement.photoHeight))
        self.x1 = min(max(from.x, 0), width)
        self.y1 = min(max(from.y, 0), height)
        self.x2 = min(max(to.x, 0), width)
        self.y2 = min(max(to.y, 0), height)
        guard hasArea(self.x1, self.y1, self.x2, self.y2) else { return nil }
        self.score = score
        for at in stride(from: 0, to: landmarks.count, by: 2) {
            let point = placement.toPhoto(landmarks[at], landmarks[at + 1])
            self.landmarks += [point.x, point.y]
        }
    }
}

let maxDetections = 750
let maxCandidates = 5000  // NMS is quadratic

/// Bring a photo to the input that a contract asks for.
///
/// Bilinear by pixel centres, in the fixed point of cv2.resize (INTER_LINEAR), to the last bit. Core
/// Image and vImage weigh more pixels, so the network would see another picture.
///
/// - Parameters:
///   - photo: BGRA, `photoBytesPerRow` bytes from row to row.
///   - input: BGRA of the contract's size; all its pixels are overwritten.
func prepare(
    photo: UnsafeRawBufferPointer, photoBytesPerRow: Int, placement: Placement, spec: InputSpec,
    input: UnsafeMutableRawBufferPointer, inputBytesPerRow: Int
) {
    let x = Taps(size: placement.photoWidth, newSize: placement.newWidth, step: 4)
    let y = Taps(
        size: placement.photoHeight, newSize: placement.newHeight, step: photoBytesPerRow)
    let pad = UInt8(spec.padValue)
    for row in 0..<spec.height {
        let start = row * inputBytesPerRow
        let filled = row < placement.newHeight ? placement.newWidth : 0
        for column in filled..<spec.width {
            let at = start + 4 * column
            (input[at], input[at + 1], input[at + 2], input[at + 3]) = (pad, pad, pad, 255)
        }
        guard filled > 0 else { continue }
        let (top, bottom) = (y.first[row], y.second[row])
        let (weightTop, weightBottom) = (y.weightFirst[row], y.weightSecond[row])
        for column in 0..<filled {
            let (left, right) = (x.first[column], x.second[column])
            let (weightLeft, weightRight) = (x.weightFirst[column], x.weightSecond[column])
            let at = start + 4 * column
            for channel in 0..<3 {
                let above =
                    Int(photo[top + left + channel]) * weightLeft
                    + Int(photo[top + right + channel]) * weightRight
                let below =
                    Int(photo[bottom + left + channel]) * weightLeft
                    + Int(photo[bottom + right + channel]) * weightRight
                let sum =
                    ((weightTop * (above >> 4)) >> 16) + ((weightBottom * (below >> 4)) >> 16)
                input[at + channel] = UInt8((sum + 2) >> 2)
            }
            input[at + 3] = 255
        }
    }
}

/// Per output pixel of one axis: two source offsets and their weights, which sum to 2048.
private struct Taps {
    var first: [Int] = []
    var second: [Int] = []
    var weightFirst: [Int] = []
    var weightSecond: [Int] = []

    init(size: Int, newSize: Int, step: Int) {
        let scale = 1 / (Double(newSize) / Double(size))
        let weight = { (share: Float) in Int((share * 2048).rounded(.toNearestOrEven)) }
        for index in 0..<newSize {
            let position = Float((Double(index) + 0.5) * scale - 0.5)
            let before = Int(position.rounded(.down))
            let share = position - Float(before)
            first.append(min(size - 1, max(0, before)) * step)
            second.append(min(size - 1, max(0, before + 1)) * step)
            weightFirst.append(weight(1 - share))
            weightSecond.append(weight(share))
        }
    }
}

/// Score threshold, NMS, and the way back to the photo.
///
/// - Parameters:
///   - boxes: N times x1, y1, x2, y2, network-input pixels.
///   - scores: N, 0 to 1.
///   - landmarks: N times five x, y, network-input pixels; empty where the model has none.
/// - Returns: Faces, best first.
func findFaces(
    boxes: [Float], scores: [Float], landmarks: [Float], placement: Placement,
    scoreThreshold: Float, nmsIou: Float, limit: Int = maxDetections
) -> [Face] {
    // Like cv2's NMS, nothing of score 0. Of equal scores the first comes first.
    let order = scores.indices
        .filter { scores[$0] >= scoreThreshold && scores[$0] > 0 && hasArea(boxes, 4 * $0) }
        .sorted { scores[$0] != scores[$1] ? scores[$0] > scores[$1] : $0 < $1 }
        .prefix(maxCandidates)
    var kept: [Int] = []
    for index in order {
        let overlaps = kept.contains {
            // Rounded as cv2 rounds it.
            1 - Float(1 - iou(boxes, 4 * index, 4 * $0)) > nmsIou
        }
        if !overlaps { kept.append(index) }
    }
    let faces = kept.lazy.compactMap { index in
        Face(
            boxes[4 * index], boxes[4 * index + 1], boxes[4 * index + 2], boxes[4 * index + 3],
            score: scores[index],
            landmarks: landmarks.isEmpty ? [] : Array(landmarks[10 * index..<10 * index + 10]),
            on: placement)
    }
    return Array(faces.prefix(limit))
}

private func hasArea(_ boxes: [Float], _ at: Int) -> Bool {
    hasArea(boxes[at], boxes[at + 1], boxes[at + 2], boxes[at + 3])
}

private func hasArea(_ x1: Float, _ y1: Float, _ x2: Float, _ y2: Float) -> Bool {
    let (width, height) = (x2 - x1, y2 - y1)
    return width > 0 && height > 0 && width.isFinite && height.isFinite
}

private func iou(_ boxes: [Float], _ a: Int, _ b: Int) -> Double {
    let side = { (at: Int) in
        Double(min(boxes[a + at + 2], boxes[b + at + 2])) - Double(max(boxes[a + at], boxes[b + at]))
    }
    let shared = max(0, side(0)) * max(0, side(1))
    return shared / (area(boxes, a) + area(boxes, b) - shared)
}

private func area(_ boxes: [Float], _ at: Int) -> Double {
    (Double(boxes[at + 2]) - Double(boxes[at])) * (Double(boxes[at + 3]) - Double(boxes[at + 1]))
}
