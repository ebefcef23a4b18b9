import CoreML
import CoreVideo

/// The bare network by way of Core ML, NMS in Swift: boxes, scores and landmarks.
final class NetworkDetector: FaceDetector {
    private let model: MLModel
    private let contract: Contract
    private let input: InputBuffer

    enum Problem: Error {
        case noOutput(String)
    }

    init() throws {
        let file = try ModelFile(named: ModelNames.networkFile)
        model = file.model
        contract = file.contract
        input = try InputBuffer(spec: contract.spec)
    }

    func faces(in frame: CVPixelBuffer) throws -> [Face] {
        let placement = try input.fill(from: frame)
        let outputs = try model.prediction(
            from: MLDictionaryFeatureProvider(dictionary: [
                ModelNames.image: MLFeatureValue(pixelBuffer: input.pixels)
            ]))
        let hasLandmarks = contract.outputs.contains { $0.name == ModelNames.landmarks }
        return findFaces(
            boxes: try floats(ModelNames.boxes, of: outputs),
            scores: try floats(ModelNames.scores, of: outputs),
            landmarks: hasLandmarks ? try floats(ModelNames.landmarks, of: outputs) : [],
            placement: placement, scoreThreshold: contract.scoreThreshold,
            nmsIou: contract.nmsIou)
    }

    /// An output in order of its indices, whatever its type and strides are.
    private func floats(_ name: String, of outputs: MLFeatureProvider) throws -> [Float] {
        guard let array = outputs.featureValue(for: name)?.multiArrayValue else {
            throw Problem.noOutput(name)
        }
        return MLShapedArray<Float>(converting: array).scalars
    }
}
