// Faces and heads cut out of a photo by five landmarks, as pocketface does it in Python. No framework
// but Foundation here, so that it compiles and is tested anywhere.
import Foundation

/// x' = a x + b y + c, y' = d x + e y + f; pixels are counted from the outer edge of the first one,
/// so that its middle is at 0.5.
struct Transform {
    var a, b, c, d, e, f: Double

    var scaleX: Double { hypot(a, d) }
    var scaleY: Double { hypot(b, e) }
    /// What interpolation looks at around a picture: two pixels of the target, or of the source.
    var reach: Double { 2 * max(1, scaleX, scaleY) }

    func callAsFunction(_ x: Double, _ y: Double) -> (x: Double, y: Double) {
        (a * x + b * y + c, d * x + e * y + f)
    }

    var inverse: Transform {
        let size = a * e - b * d
        let (p, q, r, s) = (e / size, -b / size, -d / size, a / size)
        return Transform(a: p, b: q, c: -(p * c + q * f), d: r, e: s, f: -(r * c + s * f))
    }
}

extension Transform {
    /// The turn, scale and shift that bring landmarks closest to points, by least squares.
    ///
    /// Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
    /// 1991; without reflection, in two dimensions a division of complex numbers.
    ///
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
        let (cosine, sine) = spread > 0 ? (along / spread, across / spread) : (1, 0)
        self.init(
            a: cosine, b: -sine, c: to.x - (cosine * from.x - sine * from.y),
            d: sine, e: cosine, f: to.y - (sine * from.x + cosine * from.y))
    }
}

/// Cut a face or a head out for a network; black beyond the photo. Where it shrinks, all pixels of the
/// photo count.
///
/// - Parameters:
///   - photo: BGRA, `photoBytesPerRow` bytes from row to row.
///   - transform: From the photo's pixels to the input's.
///   - input: BGRA, `inputWidth` by `inputHeight`; all its pixels are overwritten.
func cutOut(
    photo: UnsafeRawBufferPointer, photoBytesPerRow: Int, photoWidth: Int, photoHeight: Int,
    transform: Transform,
    input: UnsafeMutableRawBufferPointer, inputBytesPerRow: Int, inputWidth: Int, inputHeight: Int
) {
    let part = covered(
        transform.inverse, width: inputWidth, height: inputHeight, of: (photoWidth, photoHeight),
        margin: transform.reach)
    for channel in 0..<3 {
        let plane = Plane(part) { x, y in Float(photo[y * photoBytesPerRow + 4 * x + channel]) }
        let cut = warp(
            plane, transform, width: inputWidth, height: inputHeight, whole: true, replicate: false)
        for row in 0..<inputHeight {
            for column in 0..<inputWidth {
                let at = row * inputBytesPerRow + 4 * column
                input[at + channel] = UInt8(cut[row * inputWidth + column])
                input[at + 3] = 255
            }
        }
    }
}

struct Rectangle {
    var left, top, width, height: Int
}

/// The rectangle of whole pixels of a picture that contains another one laid there by `back`, and an
/// edge of `margin` of that one's pixels around it.
func covered(
    _ back: Transform, width: Int, height: Int, of whole: (width: Int, height: Int), margin: Double
) -> Rectangle {
    let corners = [-margin, Double(width) + margin].flatMap { x in
        [-margin, Double(height) + margin].map { y in back(x, y) }
    }
    // A hair's breadth of rounding must not add a row of pixels.
    func bounds(_ places: [Double], _ limit: Int) -> (first: Int, last: Int) {
        let first = ((places.min() ?? 0) + 1e-6).rounded(.down)
        let last = ((places.max() ?? 0) - 1e-6).rounded(.up)
        let clipped = min(max(first, 0), Double(limit))
        return (Int(clipped), Int(min(max(last, clipped), Double(limit))))
    }
    let (left, right) = bounds(corners.map(\.x), whole.width)
    let (top, bottom) = bounds(corners.map(\.y), whole.height)
    return Rectangle(left: left, top: top, width: right - left, height: bottom - top)
}

private let leastScale = 0.75  // below it linear interpolation would skip pixels

/// Values of a rectangle of a picture.
struct Plane {
    var left, top, width, height: Int
    var values: [Float]
}

extension Plane {
    init(_ part: Rectangle, _ value: (_ x: Int, _ y: Int) -> Float) {
        self.init(
            left: part.left, top: part.top, width: part.width, height: part.height, values: [])
        values.reserveCapacity(width * height)
        for y in top..<top + height {
            for x in left..<left + width { values.append(value(x, y)) }
        }
    }
}

/// Bilinear by pixel centres, in single precision as cv2.warpAffine, so that it rounds alike; shrunk
/// first where that would skip pixels.
///
/// - Parameters:
///   - transform: From the pixels of the plane's picture to the target's.
///   - whole: Whether values are rounded to whole numbers.
///   - replicate: Whether what is at the edge goes on beyond it, where else is 0.
func warp(
    _ plane: Plane, _ transform: Transform, width: Int, height: Int, whole: Bool, replicate: Bool
) -> [Float] {
    var made = [Float](repeating: 0, count: width * height)
    guard !plane.values.isEmpty else { return made }
    let round = { (value: Float) in whole ? value.rounded(.toNearestOrEven) : value }
    let fit = { (side: Int, scale: Double) in
        scale < leastScale ? max(1, Int((Double(side) * scale).rounded(.toNearestOrEven))) : side
    }
    let small = shrink(
        plane, width: fit(plane.width, transform.scaleX),
        height: fit(plane.height, transform.scaleY), round: round)
    // Where nothing shrinks, places are those in the whole picture, as single precision rounds by them.
    let shrinks = min(transform.scaleX, transform.scaleY) < leastScale
    let (originX, originY) = shrinks ? (0, 0) : (plane.left, plane.top)
    let (x0, y0) =
        shrinks ? transform(Double(plane.left), Double(plane.top)) : (transform.c, transform.f)
    let stepX = Double(plane.width) / Double(small.width)
    let stepY = Double(plane.height) / Double(small.height)
    let back = Transform(
        a: transform.a * stepX, b: transform.b * stepY, c: x0,
        d: transform.d * stepX, e: transform.e * stepY, f: y0
    ).inverse
    let (a, b, d, e) = (Float(back.a), Float(back.b), Float(back.d), Float(back.e))
    // cv2 counts from the middle of the first pixel.
    let shiftX = Float(back.c + (back.a + back.b - 1) / 2)
    let shiftY = Float(back.f + (back.d + back.e - 1) / 2)

    func pixel(_ x: Int, _ y: Int) -> Float {
        if x >= 0, y >= 0, x < small.width, y < small.height {
            return small.values[y * small.width + x]
        }
        guard replicate else { return 0 }
        let (column, row) = (min(max(x, 0), small.width - 1), min(max(y, 0), small.height - 1))
        return small.values[row * small.width + column]
    }
    func mix(_ one: Float, _ other: Float, _ share: Float) -> Float {
        one.addingProduct(share, other - one)
    }
    for row in 0..<height {
        let (startX, startY) = (b * Float(row) + shiftX, e * Float(row) + shiftY)
        for column in 0..<width {
            let x = startX.addingProduct(a, Float(column))
            let y = startY.addingProduct(d, Float(column))
            let (wholeX, wholeY) = (x.rounded(.down), y.rounded(.down))
            let (left, top) = (Int(wholeX) - originX, Int(wholeY) - originY)
            let above = mix(pixel(left, top), pixel(left + 1, top), x - wholeX)
            let below = mix(pixel(left, top + 1), pixel(left + 1, top + 1), x - wholeX)
            made[row * width + column] = round(mix(above, below, y - wholeY))
        }
    }
    return made
}

/// Each pixel the mean of what it covers, as cv2.resize (INTER_AREA).
private func shrink(_ plane: Plane, width: Int, height: Int, round: (Float) -> Float) -> Plane {
    guard width != plane.width || height != plane.height else { return plane }
    let (across, down) = (covers(plane.width, width), covers(plane.height, height))
    var small = Plane(left: plane.left, top: plane.top, width: width, height: height, values: [])
    for row in down {
        for column in across {
            var sum = 0.0
            for (y, shareY) in row.shares.enumerated() {
                let start = (row.first + y) * plane.width + column.first
                for (x, shareX) in column.shares.enumerated() {
                    sum += Double(plane.values[start + x]) * shareY * shareX
                }
            }
            small.values.append(round(Float(sum)))
        }
    }
    return small
}

/// For each new pixel along one axis those that it covers, from `first` on, with their shares of it.
private func covers(_ size: Int, _ newSize: Int) -> [(first: Int, shares: [Double])] {
    let scale = Double(size) / Double(newSize)
    return (0..<newSize).map { index in
        let (start, end) = (Double(index) * scale, min(Double(size), Double(index + 1) * scale))
        let covered = { (at: Int) in min(end, Double(at + 1)) - max(start, Double(at)) }
        let pixels = (Int(start)..<Int(end.rounded(.up)))
            .filter { covered($0) > 1e-3 }  // cv2 leaves slivers out, too
        return (pixels[0], pixels.map { covered($0) / (end - start) })
    }
}
