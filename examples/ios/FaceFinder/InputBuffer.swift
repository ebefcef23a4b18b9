import CoreVideo
import Foundation

/// The picture that the network sees: of its input's size, made anew for each frame in one buffer.
///
/// Vision can scale frames itself, but not as our networks learnt it: `.scaleFit` puts the picture
/// in the middle, `letterbox` of the contract at the top left, and in which of the two frames boxes
/// come back is Vision's business. A buffer that has the input's size already leaves it nothing to
/// do, so boxes are shares of this buffer, whatever the resize rule; `Placement` leads back.
final class InputBuffer {
    let pixels: CVPixelBuffer
    private let spec: InputSpec

    init(spec: InputSpec) throws {
        self.spec = spec
        pixels = try makePixels(width: spec.width, height: spec.height)
    }

    /// - Parameter frame: Upright, `kCVPixelFormatType_32BGRA`.
    /// - Returns: Where the frame lies in the buffer.
    func fill(from frame: CVPixelBuffer) throws -> Placement {
        try withPixels(of: frame, to: pixels) { from, to in
            let placement = Placement(
                photoWidth: from.width, photoHeight: from.height, spec: spec)
            prepare(
                photo: UnsafeRawBufferPointer(from.bytes), photoBytesPerRow: from.bytesPerRow,
                placement: placement, spec: spec,
                input: to.bytes, inputBytesPerRow: to.bytesPerRow)
            return placement
        }
    }
}

enum PixelProblem: LocalizedError {
    case noMemory
    case frameIsNotBGRA

    var errorDescription: String? {
        switch self {
        case .noMemory: "not enough memory for the picture"
        case .frameIsNotBGRA: "the frame is not BGRA (kCVPixelFormatType_32BGRA)"
        }
    }
}

/// A BGRA buffer that can go to the GPU and the Neural Engine without a copy.
func makePixels(width: Int, height: Int) throws -> CVPixelBuffer {
    let attributes = [kCVPixelBufferIOSurfacePropertiesKey: [:] as CFDictionary] as CFDictionary
    var made: CVPixelBuffer?
    CVPixelBufferCreate(nil, width, height, kCVPixelFormatType_32BGRA, attributes, &made)
    guard let made else { throw PixelProblem.noMemory }
    return made
}

/// A locked buffer's memory.
struct Pixels {
    var bytes: UnsafeMutableRawBufferPointer
    var bytesPerRow: Int
    var width: Int
    var height: Int

    init(_ buffer: CVPixelBuffer) throws {
        guard let base = CVPixelBufferGetBaseAddress(buffer) else { throw PixelProblem.noMemory }
        bytes = UnsafeMutableRawBufferPointer(
            start: base, count: CVPixelBufferGetDataSize(buffer))
        bytesPerRow = CVPixelBufferGetBytesPerRow(buffer)
        width = CVPixelBufferGetWidth(buffer)
        height = CVPixelBufferGetHeight(buffer)
    }
}

/// Do something with the memory of a frame, which is only read, and of another buffer.
func withPixels<Result>(
    of frame: CVPixelBuffer, to buffer: CVPixelBuffer, _ body: (Pixels, Pixels) throws -> Result
) throws -> Result {
    guard CVPixelBufferGetPixelFormatType(frame) == kCVPixelFormatType_32BGRA else {
        throw PixelProblem.frameIsNotBGRA
    }
    CVPixelBufferLockBaseAddress(frame, .readOnly)
    defer { CVPixelBufferUnlockBaseAddress(frame, .readOnly) }
    CVPixelBufferLockBaseAddress(buffer, [])
    defer { CVPixelBufferUnlockBaseAddress(buffer, []) }
    return try body(Pixels(frame), Pixels(buffer))
}
