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

    var contractVersion: Int
    var name: String
    var task: String
    var input: Input
    var outputs: [Output]
    var labels: [String]
    var scoreThreshold: Float
    var nmsIou: Float

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
        self = try decoder.decode(Contract.self, from: Data(json.utf8))
        let known =
            contractVersion == 1 && task == wanted && input.colour == "BGR"
            && input.shape.count == 4
            && (wanted == "face-detection"
                ? ["letterbox", "stretch"].contains(input.resize)
                : input.resize == "align" && input.points?.count == 5)
        guard known else { throw Problem.notUsable }
    }

    var spec: InputSpec {
        let channelsLast = input.layout == "NHWC"
        return InputSpec(
            width: input.shape[channelsLast ? 2 : 3], height: input.shape[channelsLast ? 1 : 2],
            letterbox: input.resize == "letterbox", padValue: input.padValue)
    }
}
