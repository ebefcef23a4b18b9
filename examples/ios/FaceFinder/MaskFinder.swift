import CoreGraphics
import CoreML
import CoreVideo
import Foundation
import Vision

/// Which pixels are of each face: a camera frame to faces with landmarks, each head cut out and turned
/// upright, its mask by way of Vision (`VNPixelBufferObservation`), and that laid back into the frame.
final class MaskFinder: FaceDetector {
    private let detector: SecondLook
    private let spec: MaskSpec
    private let head: CVPixelBuffer
    private let request: VNCoreMLRequest

    enum Problem: LocalizedError {
        case notASegmenter

        var errorDescription: String? {
            "\(ModelNames.segmenterFile) gives no grey picture \(ModelNames.maskPicture)"
        }
    }

    init() throws {
        detector = try SecondLook()
        let file = try ModelFile(named: ModelNames.segmenterFile, task: ModelNames.segmenterTask)
        spec = file.contract.maskSpec
        head = try makePixels(width: spec.width, height: spec.height)
        let visionModel = try VNCoreMLModel(for: file.model)
        visionModel.inputImageFeatureName = ModelNames.image
        request = VNCoreMLRequest(model: visionModel)
        request.imageCropAndScaleOption = .scaleFill  // the head has the input's size
    }

    /// - Parameter frame: Upright, `kCVPixelFormatType_32BGRA`.
    /// - Returns: Faces with `mask`; no pixel is of two.
    func faces(in frame: CVPixelBuffer) throws -> [Face] {
        var faces = try detector.faces(in: frame).filter { !$0.landmarks.isEmpty }
        let transforms = faces.map { Transform($0.landmarks, to: spec.points) }
        let masks = placeMasks(
            shares: try transforms.map { try shares(of: frame, $0) }, transforms: transforms,
            photoWidth: CVPixelBufferGetWidth(frame), photoHeight: CVPixelBufferGetHeight(frame),
            spec: spec)
        for (index, mask) in masks.enumerated() { faces[index].mask = mask }
        return faces
    }

    /// What the network says of one head, (classes, height, width).
    private func shares(of frame: CVPixelBuffer, _ transform: Transform) throws -> [Float] {
        try withPixels(of: frame, to: head) { from, to in
            cutOut(
                photo: UnsafeRawBufferPointer(from.bytes), photoBytesPerRow: from.bytesPerRow,
                photoWidth: from.width, photoHeight: from.height, transform: transform,
                input: to.bytes, inputBytesPerRow: to.bytesPerRow, inputWidth: to.width,
                inputHeight: to.height)
        }
        try VNImageRequestHandler(cvPixelBuffer: head).perform([request])
        // As the file gives a picture, Vision takes it for an image-to-image model. It gives an array
        // too, so the picture is asked for by its name.
        let pictures = (request.results ?? []).compactMap { $0 as? VNPixelBufferObservation }
        guard
            let picture = pictures.first(where: { $0.featureName == ModelNames.maskPicture }),
            CVPixelBufferGetPixelFormatType(picture.pixelBuffer)
                == kCVPixelFormatType_OneComponent8
        else { throw Problem.notASegmenter }
        let values = try bytes(of: picture.pixelBuffer)
        // Of one class it is the probability, of several the number of the likeliest one.
        if spec.classes == 1 { return values.map { Float($0) / 255 } }
        return (0..<spec.classes).flatMap { index in values.map { $0 == index ? 1 : 0 } }
    }

    private func bytes(of picture: CVPixelBuffer) throws -> [UInt8] {
        CVPixelBufferLockBaseAddress(picture, .readOnly)
        defer { CVPixelBufferUnlockBaseAddress(picture, .readOnly) }
        let pixels = try Pixels(picture)
        return (0..<pixels.height).flatMap { row in
            pixels.bytes[row * pixels.bytesPerRow..<row * pixels.bytesPerRow + pixels.width]
        }
    }
}

extension Mask {
    /// The classes in colours, half transparent; nil where the head lies beside the frame.
    var picture: CGImage? {
        guard width > 0, height > 0 else { return nil }
        // Red, green, blue, opacity; colours are multiplied by it.
        let colours: [[UInt8]] = [[0, 115, 60, 128], [128, 70, 20, 128], [100, 45, 115, 128]]
        var pixels = [UInt8]()
        for y in top..<top + height {
            for x in left..<left + width {
                let number = classAt(x, y)
                pixels += number == 0 ? [0, 0, 0, 0] : colours[(number - 1) % colours.count]
            }
        }
        guard let provider = CGDataProvider(data: Data(pixels) as CFData) else { return nil }
        return CGImage(
            width: width, height: height, bitsPerComponent: 8, bitsPerPixel: 32,
            bytesPerRow: 4 * width, space: CGColorSpaceCreateDeviceRGB(),
            bitmapInfo: CGBitmapInfo(rawValue: CGImageAlphaInfo.premultipliedLast.rawValue),
            provider: provider, decode: nil, shouldInterpolate: true, intent: .defaultIntent)
    }
}
