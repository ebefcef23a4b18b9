import CoreML
import CoreVideo
import Foundation

/// Whose face is it like? Each face of a frame cut out and turned upright, and its embedding by way of
/// bare Core ML; `cosine` and `rules` say whether two of them are one person's.
final class FaceRecognizer {
    let rules: PeopleRules
    private let model: MLModel
    private let points: [Double]
    private let crop: CVPixelBuffer

    enum Problem: LocalizedError {
        case noEmbedding
        case notFinite

        var errorDescription: String? {
            switch self {
            case .noEmbedding: "\(ModelNames.recognizerFile) gives no \(ModelNames.embedding)"
            case .notFinite: "the network's embeddings are not finite, or 0"
            }
        }
    }

    init() throws {
        let file = try ModelFile(
            named: ModelNames.recognizerFile, task: ModelNames.recognizerTask)
        let contract = file.contract
        model = file.model
        rules = contract.peopleRules
        points = (contract.input.points ?? []).flatMap { $0 }
        crop = try makePixels(width: contract.spec.width, height: contract.spec.height)
    }

    /// - Parameters:
    ///   - face: With landmarks, as `SecondLook` finds it; `isTooSmall` says whether it is of use.
    ///   - frame: Upright, `kCVPixelFormatType_32BGRA`.
    /// - Returns: A vector of length 1. Store it as carefully as a photo: it is biometric data.
    func embedding(of face: Face, in frame: CVPixelBuffer) throws -> [Float] {
        try withPixels(of: frame, to: crop) { from, to in
            cutOut(
                photo: UnsafeRawBufferPointer(from.bytes), photoBytesPerRow: from.bytesPerRow,
                photoWidth: from.width, photoHeight: from.height,
                transform: Transform(face.landmarks, to: points),
                input: to.bytes, inputBytesPerRow: to.bytesPerRow, inputWidth: to.width,
                inputHeight: to.height)
        }
        let outputs = try model.prediction(
            from: MLDictionaryFeatureProvider(dictionary: [
                ModelNames.image: MLFeatureValue(pixelBuffer: crop)
            ]))
        guard let array = outputs.featureValue(for: ModelNames.embedding)?.multiArrayValue else {
            throw Problem.noEmbedding
        }
        let made = unit(MLShapedArray<Float>(converting: array).scalars)
        guard made.allSatisfy(\.isFinite) else { throw Problem.notFinite }
        return made
    }
}
