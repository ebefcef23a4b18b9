import CoreVideo

/// The picture that the network sees: of its input's size, made anew for each frame in one buffer.
///
/// Vision can scale frames itself, but not as our networks learnt it: `.scaleFit` puts the picture
/// in the middle, `letterbox` of the contract at the top left, and in which of the two frames boxes
/// come back is Vision's business. A buffer that has the input's size already leaves it nothing to
/// do, so boxes are shares of this buffer, whatever the resize rule; `Placement` leads back.
final class InputBuffer {
    let pixels: CVPixelBuffer
    private let spec: InputSpec

    enum Problem: Error {
        case noMemory
        case frameIsNotBGRA
    }

    init(spec: InputSpec) throws {
        self.spec = spec
        // Surfaces can go to the GPU and the Neural Engine without a copy.
        let attributes = [kCVPixelBufferIOSurfacePropertiesKey: [:] as CFDictionary] as CFDictionary
        var made: CVPixelBuffer?
        CVPixelBufferCreate(
            nil, spec.width, spec.height, kCVPixelFormatType_32BGRA, attributes, &made)
        guard let made else { throw Problem.noMemory }
        pixels = made
    }

    /// - Parameter frame: Upright, `kCVPixelFormatType_32BGRA`.
    /// - Returns: Where the frame lies in the buffer.
    func fill(from frame: CVPixelBuffer) throws -> Placement {
        guard CVPixelBufferGetPixelFormatType(frame) == kCVPixelFormatType_32BGRA else {
            throw Problem.frameIsNotBGRA
        }
        CVPixelBufferLockBaseAddress(frame, .readOnly)
        defer { CVPixelBufferUnlockBaseAddress(frame, .readOnly) }
        CVPixelBufferLockBaseAddress(pixels, [])
        defer { CVPixelBufferUnlockBaseAddress(pixels, []) }
        guard let from = CVPixelBufferGetBaseAddress(frame),
            let to = CVPixelBufferGetBaseAddress(pixels)
        else { throw Problem.noMemory }
        let placement = Placement(
            photoWidth: CVPixelBufferGetWidth(frame), photoHeight: CVPixelBufferGetHeight(frame),
            spec: spec)
        prepare(
            photo: UnsafeRawBufferPointer(start: from, count: CVPixelBufferGetDataSize(frame)),
            photoBytesPerRow: CVPixelBufferGetBytesPerRow(frame),
            placement: placement, spec: spec,
            input: UnsafeMutableRawBufferPointer(
                start: to, count: CVPixelBufferGetDataSize(pixels)),
            inputBytesPerRow: CVPixelBufferGetBytesPerRow(pixels))
        return placement
    }
}
