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

    /// What depends on the task.
    struct Rules: Decodable {
        var labels: [String]
        var scoreThreshold: Float
        /// A detector's; a classifier has none.
        var nmsIou: Float?
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

    enum Problem: Error, Equatable {
        case missing
        case notUsable
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
        let known =
            input.colour == "BGR" && input.shape.count == 4
            && (wanted == "face-detection"
                ? ["letterbox", "stretch"].contains(input.resize) && rules.nmsIou != nil
                : input.resize == "align" && input.points?.count == 5)
        guard known else { throw Problem.notUsable }
    }

    /// Of two boxes that overlap by more the better one is kept; without such a rule both are.
    var nmsIou: Float { rules.nmsIou ?? 1 }

    var spec: InputSpec {
        let channelsLast = input.layout == "NHWC"
        return InputSpec(
            width: input.shape[channelsLast ? 2 : 3], height: input.shape[channelsLast ? 1 : 2],
            letterbox: input.resize == "letterbox", padValue: input.padValue)
    }
}
