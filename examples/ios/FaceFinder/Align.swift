// One face out of a photo, as a classifier wants it: what pocketface.data.align does in Python. No
// framework here, so that it compiles and is tested anywhere.

/// The turn, scale and shift that bring landmarks closest to points, by least squares.
///
/// Umeyama, "Least-squares estimation of transformation parameters between two point patterns", 1991;
/// without reflection, in two dimensions a division of complex numbers.
struct Similarity {
    /// x' = cosine x - sine y + shiftX, y' = sine x + cosine y + shiftY
    var cosine: Double
    var sine: Double
    var shiftX: Double
    var shiftY: Double

    /// - Parameters:
    ///   - landmarks: x, y of each.
    ///   - points: Where they are to come to.
    init(_ landmarks: [Float], to points: [Double]) {
        let count = landmarks.count / 2
        func centre(_ values: [Double]) -> (x: Double, y: Double) {
            var sum = (x: 0.0, y: 0.0)
            for at in 0..<count { sum = (sum.x + values[2 * at], sum.y + values[2 * at + 1]) }
            return (sum.x / Double(count), sum.y / Double(count))
        }
        let source = landmarks.map(Double.init)
        let (from, to) = (centre(source), centre(points))
        var (spread, along, across) = (0.0, 0.0, 0.0)
        for at in stride(from: 0, to: 2 * count, by: 2) {
            let (x, y) = (source[at] - from.x, source[at + 1] - from.y)
            let (u, v) = (points[at] - to.x, points[at + 1] - to.y)
            spread += x * x + y * y
            along += x * u + y * v
            across += x * v - y * u
        }
        // Landmarks in one place have no direction: they are only shifted.
        (cosine, sine) = spread > 0 ? (along / spread, across / spread) : (1, 0)
        shiftX = to.x - (cosine * from.x - sine * from.y)
        shiftY = to.y - (sine * from.x + cosine * from.y)
    }
}

/// Cut a face out, turned and scaled as a similarity says; beside the photo it is black.
///
/// Bilinear by pixel centres, as cv2.warpAffine: equal to it but for rounding.
///
/// - Parameters:
///   - photo: BGRA, `photoBytesPerRow` bytes from row to row.
///   - input: BGRA, `inputWidth` by `inputHeight`; all its pixels are overwritten.
func cutFace(
    photo: UnsafeRawBufferPointer, photoBytesPerRow: Int, photoWidth: Int, photoHeight: Int,
    similarity: Similarity,
    input: UnsafeMutableRawBufferPointer, inputBytesPerRow: Int, inputWidth: Int, inputHeight: Int
) {
    let (cosine, sine) = (similarity.cosine, similarity.sine)
    let scale = cosine * cosine + sine * sine
    for row in 0..<inputHeight {
        for column in 0..<inputWidth {
            // Back to the photo; both count from the outer edge of their first pixel.
            let u = Double(column) + 0.5 - similarity.shiftX
            let v = Double(row) + 0.5 - similarity.shiftY
            let x = (cosine * u + sine * v) / scale - 0.5
            let y = (cosine * v - sine * u) / scale - 0.5
            let at = row * inputBytesPerRow + 4 * column
            input[at + 3] = 255
            guard x > -1, y > -1, x < Double(photoWidth), y < Double(photoHeight) else {
                (input[at], input[at + 1], input[at + 2]) = (0, 0, 0)
                continue
            }
            let (left, top) = (Int(x.rounded(.down)), Int(y.rounded(.down)))
            let (shareX, shareY) = (x - Double(left), y - Double(top))
            for channel in 0..<3 {
                func pixel(_ x: Int, _ y: Int) -> Double {
                    guard x >= 0, y >= 0, x < photoWidth, y < photoHeight else { return 0 }
                    return Double(photo[y * photoBytesPerRow + 4 * x + channel])
                }
                let above = pixel(left, top) * (1 - shareX) + pixel(left + 1, top) * shareX
                let below = pixel(left, top + 1) * (1 - shareX) + pixel(left + 1, top + 1) * shareX
                let value = above * (1 - shareY) + below * shareY
                input[at + channel] = UInt8(value.rounded(.toNearestOrEven))
            }
        }
    }
}
