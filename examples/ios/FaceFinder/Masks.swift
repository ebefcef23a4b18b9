// Masks laid back into the photo that their heads were cut out of: what pocketface does in Python,
// pixel for pixel. No framework but Foundation here, so that it compiles and is tested anywhere.
import Foundation

/// What a face segmenter's contract says: its input, where the landmarks come to lie, its classes.
struct MaskSpec: Equatable {
    var width: Int
    var height: Int
    /// Five times x, y, pixels of the input.
    var points: [Double]
    /// The first of several is the background.
    var classes: Int
    /// Of an only class.
    var threshold: Float
}

/// One face's mask, for a rectangle of the photo.
struct Mask: Equatable {
    let left: Int
    let top: Int
    let width: Int
    let height: Int
    /// (classes, height, width), 0 to 1.
    fileprivate(set) var probabilities: [Float]
    let spec: MaskSpec

    /// What a pixel of the photo is: 0 for background, else its class's number, from 1 on.
    func classAt(_ x: Int, _ y: Int) -> Int {
        let at = (y - top) * width + x - left
        if spec.classes == 1 { return probabilities[at] >= spec.threshold ? 1 : 0 }
        let size = width * height
        var best = 0
        for index in 1..<spec.classes
        where probabilities[index * size + at] > probabilities[best * size + at] {
            best = index
        }
        return best
    }

    /// Make a pixel of the photo background.
    fileprivate mutating func empty(_ x: Int, _ y: Int) {
        let at = (y - top) * width + x - left
        for index in 0..<spec.classes { probabilities[index * width * height + at] = 0 }
        if spec.classes > 1 { probabilities[at] = 1 }
    }
}

/// The masks of a photo's heads; a pixel that two claim is of the one whose centre is nearer, in that
/// head's own input pixels.
///
/// - Parameters:
///   - shares: For each head (classes, height, width), 0 to 1.
///   - transforms: For each head the one that it was cut with.
func placeMasks(
    shares: [[Float]], transforms: [Transform], photoWidth: Int, photoHeight: Int, spec: MaskSpec
) -> [Mask] {
    var masks = zip(shares, transforms).map {
        layBack($0, $1, photoWidth: photoWidth, photoHeight: photoHeight, spec: spec)
    }
    func away(_ index: Int, _ x: Int, _ y: Int) -> Double {
        let place = transforms[index](Double(x) + 0.5, Double(y) + 0.5)
        return hypot(place.x - Double(spec.width) / 2, place.y - Double(spec.height) / 2)
    }
    for first in masks.indices {
        for second in masks.indices where second > first {
            let (one, other) = (masks[first], masks[second])
            let (left, top) = (max(one.left, other.left), max(one.top, other.top))
            let right = max(left, min(one.left + one.width, other.left + other.width))
            let bottom = max(top, min(one.top + one.height, other.top + other.height))
            for y in top..<bottom {
                for x in left..<right where one.classAt(x, y) != 0 && other.classAt(x, y) != 0 {
                    masks[away(second, x, y) < away(first, x, y) ? first : second].empty(x, y)
                }
            }
        }
    }
    return masks
}

/// Probabilities of a head, for the pixels of the photo that it covers; elsewhere background.
private func layBack(
    _ shares: [Float], _ transform: Transform, photoWidth: Int, photoHeight: Int, spec: MaskSpec
) -> Mask {
    var here = transform.inverse
    let region = covered(
        here, width: spec.width, height: spec.height, of: (photoWidth, photoHeight), margin: 0)
    (here.c, here.f) = (here.c - Double(region.left), here.f - Double(region.top))
    let part = covered(
        here.inverse, width: region.width, height: region.height, of: (spec.width, spec.height),
        margin: here.reach)
    var probabilities: [Float] = []
    for index in 0..<spec.classes {
        let start = index * spec.width * spec.height
        let plane = Plane(part) { x, y in shares[start + y * spec.width + x] }
        probabilities += warp(
            plane, here, width: region.width, height: region.height, whole: false, replicate: true)
    }
    var mask = Mask(
        left: region.left, top: region.top, width: region.width, height: region.height,
        probabilities: probabilities, spec: spec)
    for y in region.top..<region.top + region.height {
        for x in region.left..<region.left + region.width {
            let (u, v) = transform(Double(x) + 0.5, Double(y) + 0.5)
            if u < 0 || v < 0 || u >= Double(spec.width) || v >= Double(spec.height) {
                mask.empty(x, y)
            }
        }
    }
    return mask
}
