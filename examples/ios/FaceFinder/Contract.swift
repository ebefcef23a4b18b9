// The contract inside a model file: JSON under `pocketface.contract` in its metadata. Foundation only.
import Foundation

/// What the app uses of it; see pocketface.model_templates.contract for all of it.
struct Contract: Decodable {
    struct Input: Decodable {
        var name: String
        var shape: [Int]
        var layout: String
        var colour: String
        var resize: String
        var padValue: Float
        /// Where `align` brings the five landmarks, in pixels of the input.
        var points: [[Double]]?
    }

    struct Output: Decodable {
        var name: String
    }

    /// What depends on the task; see `isUsable`.
    struct Rules: Decodable {
        var labels: [String]?
        var scoreThreshold: Float?
        var nmsIou: Float?
        var classes: [String]?
        var threshold: Float?
        var thresholds: [OperatingPoint]?
        var calibration: Calibration?
    }

    /// What every version says, of every task.
    private struct Header: Decodable {
        var contractVersion: Int
        var task: String
    }

    static let version = 2

    var name: String
    var input: Input
    var outputs: [Output]
    var rules: Rules

    enum Problem: LocalizedError {
        case missing
        case notUsable

        var errorDescription: String? {
            switch self {
            case .missing: "the model carries no pocketface contract"
            case .notUsable:
                "the model's contract asks for what this app does not do, or is of an older "
                    + "pocketface: export it again"
            }
        }
    }

    /// - Parameters:
    ///   - json: What the file has under its key; nil where it has nothing.
    ///   - task: What the file must be for.
    init(json: String?, task wanted: String = "face-detection") throws {
        guard let json else { throw Problem.missing }
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let data = Data(json.utf8)
        // Alone and first: in another version, or for another task, the rest is another.
        let header = try decoder.decode(Header.self, from: data)
        guard header.contractVersion == Self.version, header.task == wanted else {
            throw Problem.notUsable
        }
        self = try decoder.decode(Contract.self, from: data)
        guard isUsable(for: wanted) else { throw Problem.notUsable }
    }

    private func isUsable(for task: String) -> Bool {
        guard input.colour == "BGR", input.shape.count == 4 else { return false }
        if task == "face-detection" {
            return ["letterbox", "stretch"].contains(input.resize)
                && rules.scoreThreshold != nil && rules.nmsIou != nil
        }
        guard input.resize == "align", input.points?.count == 5 else { return false }
        switch task {
        case ModelNames.segmenterTask: return rules.classes != nil && rules.threshold != nil
        case ModelNames.recognizerTask: return rules.thresholds != nil
        default: return rules.labels != nil && rules.scoreThreshold != nil
        }
    }

    /// Of a detector, the lowest score of a face; of a classifier, of its last label.
    var scoreThreshold: Float { rules.scoreThreshold ?? 1 }

    var labels: [String] { rules.labels ?? [] }

    /// Of two boxes that overlap by more the better one is kept; without such a rule both are.
    var nmsIou: Float { rules.nmsIou ?? 1 }

    var spec: InputSpec {
        let channelsLast = input.layout == "NHWC"
        return InputSpec(
            width: input.shape[channelsLast ? 2 : 3], height: input.shape[channelsLast ? 1 : 2],
            letterbox: input.resize == "letterbox", padValue: input.padValue)
    }

    /// A segmenter's.
    var maskSpec: MaskSpec {
        MaskSpec(
            width: spec.width, height: spec.height,
            points: (input.points ?? []).flatMap { $0 }, classes: rules.classes?.count ?? 1,
            threshold: rules.threshold ?? 1)
    }

    /// A recogniser's.
    var peopleRules: PeopleRules {
        PeopleRules(thresholds: rules.thresholds ?? [], calibration: rules.calibration)
    }
}
