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
        let faces = try sureFaces(in: frame)
        let (width, height) = (CVPixelBufferGetWidth(frame), CVPixelBufferGetHeight(frame))
        guard let around = frameWidth(of: faces, photoWidth: width, photoHeight: height) else {
            return faces
        }
        let again = try sureFaces(in: framed(frame, by: around))
        if again.isEmpty { return faces }
        return joined(
            again.map { $0.without(frame: around) }, plain: faces, photoWidth: width,
            photoHeight: height)
    }

    private func sureFaces(in frame: CVPixelBuffer) throws -> [Face] {
        try detector.faces(in: frame).filter { $0.score >= Self.faceScore }
    }

    private func framed(_ frame: CVPixelBuffer, by around: Int) throws -> CVPixelBuffer {
        let wider = try makePixels(
            width: CVPixelBufferGetWidth(frame) + 2 * around,
            height: CVPixelBufferGetHeight(frame) + 2 * around)
        try withPixels(of: frame, to: wider) { from, to in
            addFrame(
                around, photo: UnsafeRawBufferPointer(from.bytes),
                photoBytesPerRow: from.bytesPerRow, photoWidth: from.width,
                photoHeight: from.height, framed: to.bytes, framedBytesPerRow: to.bytesPerRow)
        }
        return wider
    }
}
