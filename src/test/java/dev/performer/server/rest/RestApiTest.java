package dev.performer.server.rest;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.performer.server.PerformerServer;
import dev.performer.server.ServerOptions;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.Map;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class RestApiTest {
  private static final JsonMapper MAPPER =
      JsonMapper.builder().enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS).build();
  private static final String MODELS = "src/test/resources/savedmodels/served/";
  private static PerformerServer server;
  private static final HttpClient CLIENT = HttpClient.newHttpClient();

  private record Response(int status, String body) {
    JsonNode json() throws Exception {
      return MAPPER.readTree(body);
    }

    String error() throws Exception {
      assertThat(json().size()).isEqualTo(1);
      return json().get("error").asText();
    }
  }

  @BeforeAll
  static void start() {
    var options = ServerOptions.DEFAULT.withModels(MODELS + "types", MODELS + "estimator");
    options = options.withHttp(options.http().withPort(0)).withGrpcPort(null);
    server = PerformerServer.start(options);
    server.awaitLoaded();
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  private static Response send(HttpRequest.Builder request) throws Exception {
    var response = CLIENT.send(request.build(), BodyHandlers.ofString());
    return new Response(response.statusCode(), response.body());
  }

  private static HttpRequest.Builder to(String path) {
    return HttpRequest.newBuilder(
        URI.create("http://127.0.0.1:" + server.port() + "/v1/models/" + path));
  }

  private static Response get(String path) throws Exception {
    return send(to(path));
  }

  private static Response post(String path, String body) throws Exception {
    return send(to(path).POST(BodyPublishers.ofString(body)));
  }

  /** In single quotes, as JSON may not be. */
  private static void check(String path, String request, String response) throws Exception {
    Response found = post(path, request.replace('\'', '"'));
    assertThat(found.status()).as(found.body()).isEqualTo(200);
    assertThat(found.json()).isEqualTo(MAPPER.readTree(response.replace('\'', '"')));
  }

  private static void checkTypes(String signature, String request, String response)
      throws Exception {
    String body = "{%s, 'signature_name': '%s'}".formatted(request, signature);
    check("types:predict", body, response);
  }

  @Test
  void predictsInRowsAndColumns() throws Exception {
    check("types:predict", "{'instances': [1.0, 2, 5]}", "{'predictions': [2.5, 3.0, 4.5]}");
    check("types:predict", "{'inputs': [1.0, 2, 5]}", "{'outputs': [2.5, 3.0, 4.5]}");
    check("types:predict", "{'inputs': {'x': [1]}}", "{'outputs': [2.5]}");
    check(
        "types/versions/1:predict",
        "{'instances': [{'x': 1}, {'x': -1e0}]}",
        "{'predictions': [2.5, 1.5]}");
    check(
        "types:predict",
        "{'instances': [NaN, Infinity, -Infinity]}",
        "{'predictions': [NaN, Infinity, -Infinity]}");
    checkTypes(
        "many",
        "'instances': [{'a': [1, 2.5], 'n': 9007199254740993, 'flag': true, 'name': 'söz'},"
            + " {'name': {'b64': 'eHl6'}, 'flag': false, 'n': -2, 'a': [0, 1]}]",
        "{'predictions': [{'sum': 3.5, 'twice': 18014398509481986, 'other': false, 'text': 'söz!',"
            + " 'raw_bytes': {'b64': 'c8M='}}, {'sum': 1.0, 'twice': -4, 'other': true,"
            + " 'text': 'xyz!', 'raw_bytes': {'b64': 'eHk='}}]}");
    checkTypes(
        "many",
        "'inputs': {'a': [[1, 2]], 'n': [3], 'flag': [true], 'name': ['']}",
        "{'outputs': {'sum': [3.0], 'twice': [6], 'other': [false], 'text': ['!'],"
            + " 'raw_bytes': [{'b64': ''}]}}");
    checkTypes("scalar", "'inputs': 4", "{'outputs': 8.0}");
    checkTypes(
        "total", "'inputs': [[1, 2], [3, 4]]", "{'outputs': {'total': 10.0, 'rows': [3.0, 7.0]}}");
    checkTypes(
        "dynamic",
        "'instances': [[0, 3]]",
        "{'predictions': [{'hot': [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]], 'lengths': 2}]}");
    checkTypes("dynamic", "'inputs': [[]]", "{'outputs': {'hot': [[]], 'lengths': [0]}}");
    checkTypes(
        "wide",
        "'inputs': {'d': [0.01, 2], 'u': [0, 255]}",
        "{'outputs': {'d': [0.1, 1.4142135623730951], 'u': [0, 255]}}");
    checkTypes(
        "brain",
        "'instances': [1.5, 3]",
        "{'predictions': [{'y': 0.75, 'z': 1.5}, {'y': 1.5, 'z': 3.0}]}");
    checkTypes(
        "image",
        "'instances': [{'b64': 'AP8='}, {'b64': ''}]",
        "{'predictions': [{'length': 2, 'copy_bytes': {'b64': 'AP8='}},"
            + " {'length': 0, 'copy_bytes': {'b64': ''}}]}");
    checkTypes(
        "image",
        "'inputs': {'image_bytes': ['a']}",
        "{'outputs': {'length': [1], 'copy_bytes': [{'b64': 'YQ=='}]}}");
    checkTypes("any_rank", "'inputs': [[[1]]]", "{'outputs': [[[2.0]]]}");
    checkTypes("any_rank", "'instances': [[1, 2]]", "{'predictions': [[2.0, 3.0]]}");
  }

  @Test
  void classifiesAndRegresses() throws Exception {
    Response found =
        post(
            "estimator:classify",
            "{\"context\": {\"k\": 2}, \"examples\": [{\"x\": [1.0, 0.5]}, {\"x\": [0.0, 0.0], \"tags\": [\"a\", \"b\"]}]}");
    assertThat(found.status()).as(found.body()).isEqualTo(200);
    JsonNode results = found.json().get("results");
    assertThat(results.size()).isEqualTo(2);
    assertThat(results.get(0).get(1).get(0).asText()).isEqualTo("green");
    // logits 2 * (1.25, 0, 0.25), weighed 1, 2, 3
    double sum = Math.exp(2.5) + 1 + Math.exp(1.5);
    assertThat(results.get(0).get(0).get(1).asDouble()).isCloseTo(Math.exp(2.5) / sum, within());
    // two tags: logits 2, 2, 2
    sum = Math.exp(2) + Math.exp(4) + Math.exp(6);
    assertThat(results.get(1).get(2).get(1).asDouble()).isCloseTo(Math.exp(6) / sum, within());
    found =
        post(
            "estimator/versions/1:classify",
            "{\"signature_name\": \"scores_only\", \"examples\": [{\"x\": [1.0, 0.5]}]}");
    assertThat(found.json().get("results").get(0).get(0).get(0).asText()).isEmpty();
    check(
        "estimator:regress",
        "{'signature_name': 'regression', 'examples': [{'x': [1, 0.5]}, {'x': [0.0, 1.0], 'tags': 'a'}]}",
        "{'results': [1.5, 5.0]}");
    found =
        post(
            "estimator:predict",
            "{\"signature_name\": \"predict\", \"instances\": [{\"b64\": \"ChcKFQoBeBIQEg4KDAAAgD8AAAA/AAAAPw==\"}]}");
    assertThat(found.status()).isEqualTo(400); // three numbers where two are expected
  }

  private static Offset<Double> within() {
    return Offset.offset(1e-6);
  }

  @Test
  void tellsStatusAndMetadata() throws Exception {
    String status =
        """
        {"model_version_status": [
          {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}]}
        """;
    assertThat(get("types").json()).isEqualTo(MAPPER.readTree(status));
    assertThat(get("types/versions/1").json()).isEqualTo(MAPPER.readTree(status));
    JsonNode card = send(to("types").header("User-Agent", "OpenAI/Python 1.0")).json();
    assertThat(card.get("id").asText()).isEqualTo("types");
    JsonNode metadata = get("types/metadata").json();
    assertThat(metadata.get("model_spec"))
        .isEqualTo(
            MAPPER.valueToTree(Map.of("name", "types", "signature_name", "", "version", "1")));
    JsonNode signatures = metadata.get("metadata").get("signature_def").get("signature_def");
    JsonNode many = signatures.get("many");
    assertThat(many.get("method_name").asText()).isEqualTo("tensorflow/serving/predict");
    String a =
        """
        {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1", "name": ""},
          {"size": "2", "name": ""}], "unknown_rank": false}, "name": "many_a:0"}
        """;
    assertThat(many.get("inputs").get("a")).isEqualTo(MAPPER.readTree(a));
    JsonNode any = signatures.get("any_rank").get("inputs").get("x").get("tensor_shape");
    assertThat(any.get("unknown_rank").asBoolean()).isTrue();
    assertThat(get("estimator/versions/1/metadata").status()).isEqualTo(200);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      textBlock =
          """
          types:predict              |                                 | 400 | The document is empty
          types:predict              | {"instances": [1,               | 400 | JSON Parse error
          types:predict              | {"instances": [1]} x            | 400 | JSON Parse error
          types:predict              | [1]                             | 400 | Is not object
          types:predict              | {"instances": [1], "instances": [2]} | 400 | instances
          types:predict              | {}                              | 400 | Missing 'inputs' or 'instances' key
          types:predict              | {"instances": [1], "inputs": [1]} | 400 | only one of
          types:predict              | {"instances": []}               | 400 | No values in 'instances'
          types:predict              | {"instances": 1}                | 400 | to be an list
          types:predict              | {"instances": ["a"]}            | 400 | JSON Value: "a" Type: String is not of expected type: float
          types:predict              | {"instances": [null]}           | 400 | Type: Null
          types:predict              | {"instances": [1e39]}           | 400 | Type: Number
          types:predict              | {"instances": [1e999]}          | 400 | Type: Number
          types:predict              | {"instances": [true]}           | 400 | Type: True
          types:predict              | {"instances": [1, [2]]}         | 400 | Failed to process element: 1
          types:predict              | {"instances": [[1], [2, 3]]}    | 400 | Expecting shape [1] but got: [2]
          types:predict              | {"instances": [[[1], [2, 3]]]}  | 400 | unexpected size: 2 at level: 1
          types:predict              | {"inputs": [[1], [2, 3]]}       | 400 | unexpected size: 2 at level: 1
          types:predict              | {"inputs": [[1], 2]}            | 400 | incorrect level
          types:predict              | {"inputs": [1, [2]]}            | 400 | unexpected level
          types:predict              | {"inputs": [[1]]}               | 400 | must have shape [?], not [1, 1]
          types:predict              | {"inputs": {}}                  | 400 | Missing named input: x
          types:predict              | {"inputs": {"x": [1], "y": [1]}} | 400 | input alias not found in signature: y
          types:predict              | {"instances": [{"y": 1}]}       | 400 | does not have named input: y
          types:predict              | {"instances": [{}]}             | 400 | must be equal to: [x]
          types:predict              | {"instances": [{"x": 1}, 2]}    | 400 | Expecting object
          types:predict              | {"instances": [1, {"x": 1}]}    | 400 | Expecting value/list
          types:predict              | {"instances": [{"b64": "eA=="}]} | 400 | Type: Object
          types:predict              | {"instances": [1], "signature_name": 3} | 400 | 'signature_name' key must be a string value.
          types:predict              | {"instances": [1], "signature_name": "nope"} | 400 | Serving signature name: "nope" not found
          types:predict              | {"instances": [1], "signature_name": "many"} | 400 | values without names
          types:predict              | {"inputs": [1], "signature_name": "many"} | 400 | values without names
          types:predict              | {"inputs": [[1.5]], "signature_name": "dynamic"} | 400 | 1.5 Type: Number is not of expected type: int32
          types:predict              | {"inputs": [[2147483648]], "signature_name": "dynamic"} | 400 | expected type: int32
          types:predict              | {"inputs": {"d": [1], "u": [256]}, "signature_name": "wide"} | 400 | expected type: uint8
          types:predict              | {"inputs": {"d": [1], "u": [-1]}, "signature_name": "wide"} | 400 | expected type: uint8
          types:predict              | {"instances": [{"b64": "!"}], "signature_name": "image"} | 400 | base64
          types:predict              | {"instances": [{"b64": 1}], "signature_name": "image"} | 400 | base64
          types:predict              | {"instances": [[1, 2]], "signature_name": "total"} | 400 | no shape information
          types:predict              | {"inputs": [[1, 2, 3]], "signature_name": "total"} | 400 | must have shape
          none:predict               | {"instances": [1]}              | 404 | Servable not found for request: Latest(none)
          types/versions/7:predict   | {"instances": [1]}              | 404 | Servable not found for request: Specific(types, 7)
          types/versions/x:predict   | {"instances": [1]}              | 400 | Malformed request
          types/versions/99999999999999999999:predict | {"instances": [1]} | 400 | Failed to convert version
          types/labels/x:predict     | {"instances": [1]}              | 400 | Unrecognized servable version label: x
          ..%2F..%2Fetc:predict      | {"instances": [1]}              | 404 | Servable not found
          types:classify             | {"examples": [{"x": 1}]}        | 400 | Expected signature method_name
          estimator:classify         | {"examples": []}                | 400 | empty array
          estimator:classify         | {"examples": {}}                | 400 | to be an list
          estimator:classify         | {}                              | 400 | 'examples' is expected
          estimator:classify         | {"examples": [1]}               | 400 | Example must be JSON object
          estimator:classify         | {"examples": [{"x": [[1]]}]}    | 400 | unexpected JSON type
          estimator:classify         | {"examples": [{"x": null}]}     | 400 | unexpected JSON type
          estimator:classify         | {"examples": [{"x": ["a", 1]}]} | 400 | one kind
          estimator:classify         | {"examples": [{"x": [1.0]}]}    | 400 | x
          estimator:classify         | {"examples": [{"x": [1.0, 2.0]}], "signature_name": "y"} | 400 | No signature was found
          estimator:regress          | {"examples": [{"x": [1.0, 2.0]}]} | 400 | Expected signature method_name
          """)
  void refusesInOneLine(String path, String body, int status, String message) throws Exception {
    Response response = post(path, body == null ? "" : body);
    assertThat(response.status()).as(response.body()).isEqualTo(status);
    assertThat(response.error()).contains(message).doesNotContain("\n").doesNotContain("java");
  }

  @Test
  void knowsNoOtherModels() throws Exception {
    assertThat(get("none").status()).isEqualTo(404);
    assertThat(get("none").error()).isEqualTo("Could not find any versions of model none");
    assertThat(get("types/versions/3").error())
        .isEqualTo("Could not find version 3 of model types");
    assertThat(get("types/versions/3").status()).isEqualTo(404);
    assertThat(get("none/metadata").error())
        .isEqualTo("Servable not found for request: Latest(none)");
    assertThat(get("types/versions/-1").status()).isEqualTo(400);
  }

  @Test
  void limitsRows() throws Exception {
    String many = "[" + "1,".repeat((1 << 16)) + "1]";
    assertThat(post("types:predict", "{\"instances\": " + many + "}").error())
        .isEqualTo("this server takes 65536 'instances' at a time at most");
    assertThat(post("types:predict", "{\"inputs\": " + many + "}").error())
        .isEqualTo("the input x has 65537 rows; this server takes 65536 at a time at most");
    String most = "[[" + "1,".repeat(1 << 23) + "1]]";
    String body = "{\"inputs\": %s, \"signature_name\": \"any_rank\"}".formatted(most);
    assertThat(post("types:predict", body).error())
        .isEqualTo("the input x has more than 8388608 elements, which this API takes at most");
    String wide = "[[" + "1,".repeat(1 << 21) + "1]]";
    body = "{\"inputs\": %s, \"signature_name\": \"dynamic\"}".formatted(wide);
    assertThat(post("types:predict", body).error()).startsWith("the outputs have 8388613 elements");
  }
}
