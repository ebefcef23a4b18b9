package pocketface.example

import android.content.res.AssetManager
import org.json.JSONArray
import org.json.JSONObject

private const val CONTRACT_VERSION = 2

/** The contract inside a model file of the assets, if it is for a task and this app can do it. */
fun readContract(assets: AssetManager, file: String, task: String): JSONObject {
    require(file in assets.list("").orEmpty()) {
        "$file is not in the app: write it into its assets (README, step 1)"
    }
    val json = tfliteMetadata(assets.open(file).use { it.readBytes() }, ModelNames.CONTRACT)
    val contract = JSONObject(requireNotNull(json) { "$file carries no pocketface contract" })
    val version = contract.getInt("contract_version")
    require(version >= CONTRACT_VERSION) {
        "$file was exported by an older pocketface; export it again"
    }
    val input = contract.getJSONObject("input")
    require(
        version == CONTRACT_VERSION &&
            contract.getString("task") == task &&
            input.getString("layout") == "NHWC" &&
            input.getString("colour") == "BGR" &&
            input.getJSONArray("shape").getInt(0) == 1
    ) { "the contract of $file asks for what this app does not do" }
    return contract
}

/** An array of arrays of numbers, one after the other. */
fun flat(array: JSONArray): FloatArray = (0 until array.length()).flatMap { index ->
    val some = array.getJSONArray(index)
    (0 until some.length()).map { some.getDouble(it).toFloat() }
}.toFloatArray()
