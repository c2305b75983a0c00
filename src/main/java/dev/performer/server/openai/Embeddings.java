package dev.performer.server.openai;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.pipeline.Embedder;
import dev.performer.server.generation.PromptTokens;
import dev.performer.server.http.Fields;
import dev.performer.server.http.Json;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Base64;
import java.util.List;

/** What {@code POST /v1/embeddings} wants and gets. */
record Embeddings(String model, List<Fields.Prompt> input, boolean isBase64, int dimensions) {
  private static final int MOST_INPUTS = 2048;
  private static final List<String> PARAMETERS =
      List.of("model", "input", "encoding_format", "dimensions", "user");

  /** Of a request. */
  static Embeddings of(JsonNode json) {
    Fields fields = new Fields(json, PARAMETERS);
    fields.required("model");
    fields.text("user");
    List<Fields.Prompt> input = fields.prompts("input", MOST_INPUTS);
    for (var one : input) {
      if (one.text() == null ? one.ids().isEmpty() : one.text().isEmpty()) {
        throw Fields.invalid("input", "a text is empty");
      }
    }
    String format = fields.has("encoding_format") ? fields.text("encoding_format") : "float";
    if (!format.equals("float") && !format.equals("base64")) {
      throw Fields.invalid("encoding_format", "expected 'float' or 'base64'");
    }
    int dimensions = fields.integer("dimensions", 1, Integer.MAX_VALUE).orElse(0);
    return new Embeddings(fields.text("model"), input, format.equals("base64"), dimensions);
  }

  /**
   * Runs the model.
   *
   * @param mostTokens of one text
   * @param turn runs between runs of the model
   */
  ObjectNode run(Embedder embedder, int mostTokens, Runnable turn) {
    var sequences = PromptTokens.of(embedder.input(), input, "input", mostTokens);
    List<float[]> vectors = PromptTokens.vectors(embedder, sequences, turn);
    int size = vectors.get(0).length;
    if (dimensions != 0 && dimensions != size) {
      String text = "the model's vectors have %d numbers, and are not shortened to %d";
      throw Fields.invalid("dimensions", text.formatted(size, dimensions));
    }
    ObjectNode answer = Json.object().put("object", "list");
    ArrayNode data = answer.putArray("data");
    for (int i = 0; i < input.size(); i++) {
      float[] vector = vectors.get(i);
      ObjectNode one = data.addObject().put("object", "embedding").put("index", i);
      if (isBase64) {
        one.put("embedding", base64(vector));
      } else {
        ArrayNode numbers = one.putArray("embedding");
        for (float number : vector) {
          numbers.add(number);
        }
      }
    }
    int tokens = sequences.ids().stream().mapToInt(ids -> ids.length).sum();
    answer.put("model", model);
    answer.putObject("usage").put("prompt_tokens", tokens).put("total_tokens", tokens);
    return answer;
  }

  private static String base64(float[] vector) {
    ByteBuffer bytes = ByteBuffer.allocate(4 * vector.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asFloatBuffer().put(vector);
    return Base64.getEncoder().encodeToString(bytes.array());
  }
}
