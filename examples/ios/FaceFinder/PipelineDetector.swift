import CoreML
import CoreVideo
import Foundation
import Vision

/// Whatever finds faces in a camera frame: upright, BGRA.
protocol FaceDetector: AnyObject {
    func faces(in frame: CVPixelBuffer) throws -> [Face]
}

/// The pipeline with NMS inside, by way of Vision: boxes and scores, no landmarks.
final class PipelineDetector: FaceDetector {
    private let contract: Contract
    private let input: InputBuffer
    private let request: VNCoreMLRequest

    enum Problem: LocalizedError {
        case notADetector

        var errorDescription: String? {
            "\(ModelNames.pipelineFile) does not answer as a detector with NMS inside"
        }
    }

    init() throws {
        let file = try ModelFile(named: ModelNames.pipelineFile)
        contract = file.contract
        input = try InputBuffer(spec: contract.spec)
        let visionModel = try VNCoreMLModel(for: file.model)
        visionModel.inputImageFeatureName = ModelNames.image
        visionModel.featureProvider = try MLDictionaryFeatureProvider(dictionary: [
            ModelNames.iouThreshold: Double(contract.nmsIou),
            ModelNames.confidenceThreshold: Double(contract.scoreThreshold),
        ])
        request = VNCoreMLRequest(model: visionModel)
        request.imageCropAndScaleOption = .scaleFill  // InputBuffer has done it
    }

    func faces(in frame: CVPixelBuffer) throws -> [Face] {
        let placement = try input.fill(from: frame)
        try VNImageRequestHandler(cvPixelBuffer: input.pixels).perform([request])
        guard let found = request.results as? [VNRecognizedObjectObservation] else {
            throw Problem.notADetector
        }
        let (width, height) = (Float(contract.spec.width), Float(contract.spec.height))
        return found.compactMap { observation in
            // Shares of the buffer; Vision's y axis points up.
            let box = observation.boundingBox
            return Face(
                Float(box.minX) * width, (1 - Float(box.maxY)) * height,
                Float(box.maxX) * width, (1 - Float(box.minY)) * height,
                score: observation.labels.first?.confidence ?? observation.confidence,
                on: placement)
        }
    }
}
