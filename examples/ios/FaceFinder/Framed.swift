// The second look: a face that fills the photo is found better with a frame around the photo, as
// detectors learn from faces with surroundings. What pocketface.tasks.detection.framed does in Python,
// number for number. No framework here, so that it compiles and is tested anywhere.

private let largeShare: Float = 0.5  // of the photo's longer side: searched again from there on
private let largeShareAlone: Float = 0.375  // likewise, where the first look finds nobody
private let frameShare = 0.25  // of the photo's longer side: the frame's width
private let faint: Float = 0.5  // of the contract's threshold: scores are often lower so
private let sure: Float = 0.75  // surer faces have surroundings
private let surer: Float = 2  // a faint one is not searched again beside a face so much surer,
private let notSmaller: Float = 1.0 / 3  // and not only an eye or a mouth of it
private let same = 0.3  // IoU of what two looks say of one large face

/// The faces of a photo, in two looks where the first one finds large faces.
///
/// Which photos get the second look does not depend on `scoreThreshold`; what it finds below the
/// contract's does not count, as it would hide fainter faces of the first.
///
/// - Parameters:
///   - scoreThreshold: Lowest score of a face.
///   - own: The contract's.
///   - longest: Longer side of the network's input, to which a larger photo is reduced before it is
///     framed.
///   - look: Gives the faces of the photo, or of that framed copy of it, from a score on, best first;
///     see `findFaces`.
func lookTwice(
    photoWidth: Int, photoHeight: Int, scoreThreshold: Float, own: Float, longest: Int,
    look: (FramedPhoto?, Float) throws -> [Face]
) rethrows -> [Face] {
    let longer = max(photoWidth, photoHeight)
    let seen = try look(nil, min(scoreThreshold, faint * own))
    let found = seen.filter { $0.score >= scoreThreshold }
    let large = seen.filter { isSearchedAgain($0, of: seen, longer: longer, own: own) }
    if large.isEmpty { return found }
    let copy = FramedPhoto(photoWidth: photoWidth, photoHeight: photoHeight, longest: longest)
    let again = try look(copy, max(scoreThreshold, own)).compactMap(copy.toPhoto)
    return Array(joined(again, large: large, found: found, longer: longer).prefix(maxDetections))
}

/// A photo with black around it, made smaller first where it is large.
struct FramedPhoto {
    let photoWidth: Int
    let photoHeight: Int
    let frame: Int
    /// Of the photo within the frame.
    let innerWidth: Int
    let innerHeight: Int

    var width: Int { innerWidth + 2 * frame }
    var height: Int { innerHeight + 2 * frame }

    init(photoWidth: Int, photoHeight: Int, longest: Int) {
        let longer = max(photoWidth, photoHeight)
        let fit = { (size: Int) in
            longer <= longest
                ? size : max(1, rounded(Double(size * longest) / Double(longer)))
        }
        (self.photoWidth, self.photoHeight) = (photoWidth, photoHeight)
        (innerWidth, innerHeight) = (fit(photoWidth), fit(photoHeight))
        frame = rounded(frameShare * Double(max(innerWidth, innerHeight)))
    }

    /// Make its pixels. Both are BGRA; `framed` is `width` by `height`, and all of it is overwritten.
    func draw(
        photo: UnsafeRawBufferPointer, photoBytesPerRow: Int,
        framed: UnsafeMutableRawBufferPointer, framedBytesPerRow: Int
    ) {
        framed.initializeMemory(as: UInt8.self, repeating: 0)
        let inner = InputSpec(
            width: innerWidth, height: innerHeight, letterbox: false, padValue: 0)
        let start = frame * framedBytesPerRow + 4 * frame
        prepare(
            photo: photo, photoBytesPerRow: photoBytesPerRow,
            placement: Placement(photoWidth: photoWidth, photoHeight: photoHeight, spec: inner),
            spec: inner, input: UnsafeMutableRawBufferPointer(rebasing: framed[start...]),
            inputBytesPerRow: framedBytesPerRow)
    }

    /// A face that was found in it, on the photo; nil where nothing of its box lies there.
    func toPhoto(_ face: Face) -> Face? {
        let ratioX = Float(Double(photoWidth) / Double(innerWidth))
        let ratioY = Float(Double(photoHeight) / Double(innerHeight))
        let x = { (value: Float) in (value - Float(frame)) * ratioX }
        let y = { (value: Float) in (value - Float(frame)) * ratioY }
        let (width, height) = (Float(photoWidth), Float(photoHeight))
        var moved = face
        moved.x1 = min(max(x(face.x1), 0), width)
        moved.y1 = min(max(y(face.y1), 0), height)
        moved.x2 = min(max(x(face.x2), 0), width)
        moved.y2 = min(max(y(face.y2), 0), height)
        moved.landmarks = face.landmarks.enumerated().map { at, value in
            at % 2 == 0 ? x(value) : y(value)
        }
        return moved.x2 > moved.x1 && moved.y2 > moved.y1 ? moved : nil
    }
}

/// Whether a second look at a face of the first one is worth its time.
private func isSearchedAgain(_ face: Face, of seen: [Face], longer: Int, own: Float) -> Bool {
    let least = seen.contains { $0.score >= own } ? largeShare : largeShareAlone
    guard face.isLarge(longer: longer, least: least), face.score <= sure, face.score >= faint * own else {
        return false
    }
    return face.score >= own
        || !seen.contains {
            $0.score > surer * face.score && $0.side / face.side >= notSmaller
        }
}

/// The large faces of the second look, and the faces of the first that are no part of them.
private func joined(_ again: [Face], large: [Face], found: [Face], longer: Int) -> [Face] {
    // Smaller faces are those of the first look, in which they are larger.
    let kept = again.filter { face in
        face.isLarge(longer: longer) || large.contains { iou(face, $0) >= same }
    }
    let others = found.filter { face in
        !kept.contains { iou(face, $0) >= same || face.liesWithin($0) }
    }
    // Of equal scores the first comes first.
    let all = kept + others
    let order = all.indices.sorted {
        all[$0].score != all[$1].score ? all[$0].score > all[$1].score : $0 < $1
    }
    return order.map { all[$0] }
}

/// As Python rounds: halves to the even number.
private func rounded(_ value: Double) -> Int { Int(value.rounded(.toNearestOrEven)) }

private func iou(_ a: Face, _ b: Face) -> Double {
    let width = Double(min(a.x2, b.x2)) - Double(max(a.x1, b.x1))
    let height = Double(min(a.y2, b.y2)) - Double(max(a.y1, b.y1))
    let shared = max(0, width) * max(0, height)
    return shared / (a.area + b.area - shared)
}

extension Face {
    fileprivate var side: Float { max(x2 - x1, y2 - y1) }

    fileprivate var area: Double { Double(x2 - x1) * Double(y2 - y1) }

    fileprivate func isLarge(longer: Int, least: Float = largeShare) -> Bool {
        side >= least * Float(longer)
    }

    /// Whether its middle lies within another one's box.
    fileprivate func liesWithin(_ other: Face) -> Bool {
        let (x, y) = ((x1 + x2) / 2, (y1 + y2) / 2)
        return other.x1 <= x && x <= other.x2 && other.y1 <= y && y <= other.y2
    }
}
