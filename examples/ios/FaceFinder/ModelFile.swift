import CoreML
import Foundation

/// A model of the app's bundle, and the contract inside it.
struct ModelFile {
    let model: MLModel
    let contract: Contract

    enum Problem: LocalizedError {
        case notInBundle(String)

        var errorDescription: String? {
            switch self {
            case .notInBundle(let name):
                "\(name) is not in the app: add it to the target (README, step 2)"
            }
        }
    }

    /// - Parameters:
    ///   - name: As in `ModelNames`, without suffix: Xcode compiles .mlmodel and .mlpackage alike to
    ///     .mlmodelc.
    ///   - task: What it must be for.
    init(named name: String, task: String = "face-detection") throws {
        guard let url = Bundle.main.url(forResource: name, withExtension: "mlmodelc") else {
            throw Problem.notInBundle(name)
        }
        model = try MLModel(contentsOf: url, configuration: MLModelConfiguration())
        let metadata = model.modelDescription.metadata[.creatorDefinedKey] as? [String: String]
        contract = try Contract(json: metadata?[ModelNames.contract], task: task)
    }
}
