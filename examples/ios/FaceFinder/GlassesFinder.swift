import CoreML
import CoreVideo
import Foundation
import Vision

/// Who wears glasses: a camera frame to faces with landmarks, each cut out and turned upright, and the
/// classifier's label for it by way of Vision.
final class GlassesFinder: FaceDetector {
    private let detector: SecondLook
    private let contract: Contract
    private let points: [Double]
    private let crop: CVPixelBuffer
    private let request: VNCoreMLRequest

    enum Problem: LocalizedError {
        case notAClassifier

        var errorDescription: String? {
            "\(ModelNames.glassesFile) does not answer as a classifier of its contract's labels"
        }
    }

    init() throws {
        detector = try SecondLook()
        let file = try ModelFile(named: ModelNames.glassesFile, task: ModelNames.glassesTask)
        contract = file.contract
        points = (contract.input.points ?? []).flatMap { $0 }
        crop = try makePixels(width: contract.spec.width, height: contract.spec.height)
        let visionModel = try VNCoreMLModel(for: file.model)
        visionModel.inputImageFeatureName = ModelNames.image
        request = VNCoreMLRequest(model: visionModel)
        request.imageCropAndScaleOption = .scaleFill  // the crop has the input's size
    }

    /// - Parameter frame: Upright, `kCVPixelFormatType_32BGRA`.
    /// - Returns: Faces with `label` and `labelScore`.
    func faces(in frame: CVPixelBuffer) throws -> [Face] {
        var faces = try detector.faces(in: frame)
        for index in faces.indices where !faces[index].landmarks.isEmpty {
            (faces[index].label, faces[index].labelScore) = try label(of: faces[index], in: frame)
        }
        return faces
    }

    private func label(of face: Face, in frame: CVPixelBuffer) throws -> (String, Float) {
        try withPixels(of: frame, to: crop) { from, to in
            cutOut(
                photo: UnsafeRawBufferPointer(from.bytes), photoBytesPerRow: from.bytesPerRow,
                photoWidth: from.width, photoHeight: from.height,
                transform: Transform(face.landmarks, to: points),
                input: to.bytes, inputBytesPerRow: to.bytesPerRow, inputWidth: to.width,
                inputHeight: to.height)
        }
        try VNImageRequestHandler(cvPixelBuffer: crop).perform([request])
        guard let found = request.results as? [VNClassificationObservation],
            let last = contract.labels.last, let first = contract.labels.first,
            let positive = found.first(where: { $0.identifier == last }),
            positive.confidence.isFinite
        else { throw Problem.notAClassifier }
        // The contract's threshold, not the likelier of the two.
        let share = positive.confidence
        return share >= contract.scoreThreshold ? (last, share) : (first, 1 - share)
    }
}
