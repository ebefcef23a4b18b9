import CoreML
import CoreVideo
import Foundation

/// The bare network by way of Core ML, NMS in Swift: boxes, scores and landmarks.
final class NetworkDetector: FaceDetector {
    let contract: Contract
    private let model: MLModel
    private let input: InputBuffer

    enum Problem: LocalizedError {
        case noOutput(String)
        case notFinite

        var errorDescription: String? {
            switch self {
            case .noOutput(let name): "the model gives no \(name)"
            case .notFinite: "the network's scores are not finite"
            }
        }
    }

    init() throws {
        let file = try ModelFile(named: ModelNames.networkFile)
        model = file.model
        contract = file.contract
        input = try InputBuffer(spec: contract.spec)
    }

    func faces(in frame: CVPixelBuffer) throws -> [Face] {
        try faces(in: frame, from: contract.scoreThreshold)
    }

    /// - Parameters:
    ///   - frame: Upright, `kCVPixelFormatType_32BGRA`.
    ///   - lowest: Score of a face.
    func faces(in frame: CVPixelBuffer, from lowest: Float) throws -> [Face] {
        let placement = try input.fill(from: frame)
        let outputs = try model.prediction(
            from: MLDictionaryFeatureProvider(dictionary: [
                ModelNames.image: MLFeatureValue(pixelBuffer: input.pixels)
            ]))
        let hasLandmarks = contract.outputs.contains { $0.name == ModelNames.landmarks }
        let scores = try floats(ModelNames.scores, of: outputs)
        // NaN would be below every threshold: no faces, without a hint why.
        guard scores.allSatisfy(\.isFinite) else { throw Problem.notFinite }
        return findFaces(
            boxes: try floats(ModelNames.boxes, of: outputs), scores: scores,
            landmarks: hasLandmarks ? try floats(ModelNames.landmarks, of: outputs) : [],
            placement: placement, scoreThreshold: lowest, nmsIou: contract.nmsIou)
    }

    /// An output in order of its indices, whatever its type and strides are.
    private func floats(_ name: String, of outputs: MLFeatureProvider) throws -> [Float] {
        guard let array = outputs.featureValue(for: name)?.multiArrayValue else {
            throw Problem.noOutput(name)
        }
        return MLShapedArray<Float>(converting: array).scalars
    }
}
