import CoreVideo

/// Faces sure enough for a second model to be asked about, with landmarks; those that fill the frame
/// are found again with black around them.
final class SecondLook: FaceDetector {
    /// Fainter faces are none: one false face with glasses makes a wrong answer.
    private static let faceScore: Float = 0.5

    private let detector: NetworkDetector

    init() throws {
        detector = try NetworkDetector()
    }

    /// - Parameter frame: Upright, `kCVPixelFormatType_32BGRA`.
    func faces(in frame: CVPixelBuffer) throws -> [Face] {
        let contract = detector.contract
        return try lookTwice(
            photoWidth: CVPixelBufferGetWidth(frame), photoHeight: CVPixelBufferGetHeight(frame),
            scoreThreshold: Self.faceScore, own: contract.scoreThreshold,
            longest: max(contract.spec.width, contract.spec.height)
        ) { copy, lowest in
            guard let copy else { return try detector.faces(in: frame, from: lowest) }
            return try detector.faces(in: framed(frame, as: copy), from: lowest)
        }
    }

    private func framed(_ frame: CVPixelBuffer, as copy: FramedPhoto) throws -> CVPixelBuffer {
        let made = try makePixels(width: copy.width, height: copy.height)
        try withPixels(of: frame, to: made) { from, to in
            copy.draw(
                photo: UnsafeRawBufferPointer(from.bytes), photoBytesPerRow: from.bytesPerRow,
                framed: to.bytes, framedBytesPerRow: to.bytesPerRow)
        }
        return made
    }
}
