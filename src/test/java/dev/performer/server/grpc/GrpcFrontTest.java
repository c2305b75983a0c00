package dev.performer.server.grpc;

import static dev.performer.server.grpc.GrpcClient.output;
import static dev.performer.server.grpc.GrpcClient.predict;
import static dev.performer.server.grpc.GrpcClient.spec;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.offset;

import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import com.google.protobuf.Int64Value;
import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import dev.performer.savedmodel.ReferenceModels;
import dev.performer.savedmodel.protos.ServingMessage;
import dev.performer.server.http.HttpOptions;
import dev.performer.server.http.Limits;
import dev.performer.server.http.SelfSigned;
import dev.performer.server.models.ModelConfig;
import dev.performer.server.models.ModelRepository;
import dev.performer.server.models.RepositoryOptions;
import dev.performer.server.models.Version;
import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor.MethodType;
import io.grpc.Status;
import io.grpc.Status.Code;
import io.grpc.health.v1.HealthCheckRequest;
import io.grpc.health.v1.HealthCheckResponse.ServingStatus;
import io.grpc.health.v1.HealthGrpc;
import io.grpc.netty.shaded.io.grpc.netty.GrpcSslContexts;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import io.grpc.netty.shaded.io.netty.handler.ssl.util.InsecureTrustManagerFactory;
import io.grpc.reflection.v1.ServerReflectionGrpc;
import io.grpc.reflection.v1.ServerReflectionRequest;
import io.grpc.reflection.v1.ServerReflectionResponse;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.MetadataUtils;
import io.grpc.stub.StreamObserver;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.tensorflow.proto.Example;
import org.tensorflow.proto.Feature;
import org.tensorflow.proto.Features;
import org.tensorflow.proto.FloatList;

class GrpcFrontTest {
  private static final String PREDICT = "PredictionService/Predict";
  private static final String MODELS = "src/test/resources/savedmodels/served/";
  private static final String RELOAD = "ModelService/HandleReloadConfigRequest";
  private static final HttpOptions LOCAL = HttpOptions.DEFAULT;
  private static final SimpleMeterRegistry METERS = new SimpleMeterRegistry();

  private static ModelRepository models;
  private static GrpcFront front;
  private static GrpcClient client;
  private static String types;

  @BeforeAll
  static void start() {
    Path protein = ReferenceModels.directory("models/protein_exp").resolve("saved_model");
    types = MODELS + "types";
    String estimator = MODELS + "estimator";
    var config =
        ModelConfig.of(List.of("protein=" + protein, "types=" + types, "estimator=" + estimator));
    models = ModelRepository.open(config, RepositoryOptions.DEFAULT);
    models.awaitLoaded();
    front = GrpcFront.start(LOCAL, 0, models, METERS);
    client = new GrpcClient(front.port());
  }

  @AfterAll
  static void stop() {
    client.close();
    front.close();
    models.close();
  }

  private static NpyArray floats(float... values) {
    return NpyArray.of(values, values.length);
  }

  private static void refuses(Status status, Code code, String part) {
    assertThat(status.getCode()).as("%s", status).isEqualTo(code);
    assertThat(status.getDescription()).contains(part);
    assertThat(status.getDescription().lines()).hasSize(1);
  }

  @Test
  void predicts() {
    var response =
        client.call(
            PREDICT, predict(spec("types", ""), Map.of("x", floats(1, 2))), "PredictResponse");
    assertThat(output(response, "y").floats()).containsExactly(2.5f, 3);
    ServingMessage answered = response.part("model_spec");
    assertThat(answered.text("name")).isEqualTo("types");
    assertThat(answered.text("signature_name")).isEqualTo("serving_default");
    assertThat(answered.part("version").number("value")).isEqualTo(1);
    var stored = ReferenceModels.arrays("models/protein_exp", "expected.npz");
    var inputs = ReferenceModels.under(stored, "in1");
    var logits = client.call(PREDICT, predict(spec("protein", ""), inputs), "PredictResponse");
    double[] expected = stored.get("out1/lm_logits").doubles();
    double[] actual = output(logits, "lm_logits").doubles();
    for (int i = 0; i < expected.length; i++) {
      assertThat(actual[i]).isCloseTo(expected[i], offset(1e-5));
    }
  }

  @Test
  void predictsOfEveryType() {
    NpyArray names = NpyArray.of(List.of("é".getBytes(UTF_8), new byte[] {0, -1, 7}), 2);
    Map<String, NpyArray> inputs =
        Map.of(
            "a",
            NpyArray.of(new float[] {1, 2, 3, 4}, 2, 2),
            "n",
            NpyArray.of(new long[] {1L << 40, -3}, 2),
            "flag",
            new NpyArray(NpyType.BOOL, new long[] {2}, new byte[] {1, 0}),
            "name",
            names);
    var request = predict(spec("types", "many"), inputs);
    var response = client.call(PREDICT, request, "PredictResponse");
    assertThat(output(response, "sum").floats()).containsExactly(3, 7);
    assertThat(output(response, "twice").longs()).containsExactly(1L << 41, -6);
    assertThat(output(response, "other").longs()).containsExactly(0, 1);
    assertThat(output(response, "text").strings())
        .containsExactly("é!".getBytes(UTF_8), new byte[] {0, -1, 7, '!'});
    var filtered = request.set("output_filter", "sum").set("output_filter", "text");
    assertThat(client.call(PREDICT, filtered, "PredictResponse").map("outputs", ByteString.class))
        .containsOnlyKeys("sum", "text");
    refuses(
        client.failure(PREDICT, filtered.set("output_filter", "sum")),
        Code.INVALID_ARGUMENT,
        "duplicate output");
    Map<String, NpyArray> none = Map.of("x", floats());
    var empty = client.call(PREDICT, predict(spec("types", ""), none), "PredictResponse");
    assertThat(output(empty, "y").shape()).containsExactly(0);
    Map<String, NpyArray> scalar = Map.of("x", NpyArray.of(new float[] {4}));
    var one = client.call(PREDICT, predict(spec("types", "scalar"), scalar), "PredictResponse");
    assertThat(output(one, "y").shape()).isEmpty();
    var brain = predict(spec("types", "brain"), Map.of("x", floats(1.5f, -2)));
    var halves = client.call(PREDICT, brain, "PredictResponse");
    assertThat(output(halves, "z").floats()).containsExactly(1.5f, -2);
  }

  @Test
  void refusesWhatIsWrong() {
    Map<String, NpyArray> x = Map.of("x", floats(1));
    Map<String, NpyArray> z = Map.of("z", floats(1));
    Map<String, NpyArray> ints = Map.of("x", NpyArray.of(new int[] {1}, 1));
    Map<String, NpyArray> wide = Map.of("x", NpyArray.of(new float[] {1, 2}, 1, 2));
    String missing = "Servable not found for request: Latest(other)";
    refuses(client.failure(PREDICT, predict(spec("other", ""), x)), Code.NOT_FOUND, missing);
    var version = spec("types", "").set("version", Int64Value.of(7));
    refuses(client.failure(PREDICT, predict(version, x)), Code.NOT_FOUND, "Specific(types, 7)");
    var label = spec("types", "").set("version_label", "stable");
    refuses(client.failure(PREDICT, predict(label, x)), Code.INVALID_ARGUMENT, "stable");
    refuses(
        client.failure(PREDICT, predict(spec("types", "none"), x)),
        Code.FAILED_PRECONDITION,
        "Serving signature key \"none\" not found");
    refuses(
        client.failure(PREDICT, predict(spec("types", ""), z)),
        Code.INVALID_ARGUMENT,
        "missing: [x]; unknown: [z]");
    refuses(
        client.failure(PREDICT, predict(spec("types", ""), ints)),
        Code.INVALID_ARGUMENT,
        "the input x must be float32, not int32");
    refuses(
        client.failure(PREDICT, predict(spec("types", ""), wide)),
        Code.INVALID_ARGUMENT,
        "must have shape [?], not [1, 2]");
    refuses(
        client.failure(PREDICT, predict(spec("types", ""), x).set("output_filter", "no")),
        Code.INVALID_ARGUMENT,
        "has no output no; it has [y]");
    refuses(
        client.failure(PREDICT, ServingMessage.of("PredictRequest")),
        Code.INVALID_ARGUMENT,
        "Missing ModelSpec");
    byte[] garbage = {9, 9, 9, 9};
    refuses(
        client.failure(PREDICT, garbage, CallOptions.DEFAULT),
        Code.INVALID_ARGUMENT,
        "the request is no PredictRequest");
    var broken = predict(spec("types", ""), Map.of());
    broken.put("inputs", "x", ByteString.copyFrom(new byte[] {1, 2, 3}));
    refuses(client.failure(PREDICT, broken), Code.INVALID_ARGUMENT, "tensor parsing error: x");
    assertThat(client.failure("PredictionService/Nothing", broken).getCode())
        .isEqualTo(Code.UNIMPLEMENTED);
  }

  private static ServingMessage input(float... values) {
    var list = ServingMessage.of("ExampleList");
    for (int i = 0; i < values.length; i += 2) {
      var x = FloatList.newBuilder().addValue(values[i]).addValue(values[i + 1]);
      var features =
          Features.newBuilder().putFeature("x", Feature.newBuilder().setFloatList(x).build());
      list.set("examples", Example.newBuilder().setFeatures(features).build().toByteString());
    }
    return ServingMessage.of("Input").set("example_list", list.build()).build();
  }

  private static ServingMessage.Builder examples(String type, String signature) {
    return ServingMessage.of(type)
        .set("model_spec", spec("estimator", signature).build())
        .set("input", input(1, 2, 3, 4));
  }

  @Test
  void classifiesRegressesAndInfersBoth() {
    var classified =
        client.call(
            "PredictionService/Classify",
            examples("ClassificationRequest", ""),
            "ClassificationResponse");
    var classes = classified.part("result").parts("classifications");
    assertThat(classes).hasSize(2);
    assertThat(classes.get(0).parts("classes"))
        .extracting(c -> c.text("label"))
        .containsExactly("red", "green", "blue");
    double sum = classes.get(1).parts("classes").stream().mapToDouble(c -> c.real("score")).sum();
    assertThat(sum).isCloseTo(1, offset(1e-5));
    var regressed =
        client.call(
            "PredictionService/Regress",
            examples("RegressionRequest", "regression"),
            "RegressionResponse");
    var values = regressed.part("result").parts("regressions");
    assertThat(values).extracting(v -> v.real("value")).containsExactly(4.5, 9.5);
    var request = ServingMessage.of("MultiInferenceRequest").set("input", input(1, 2, 3, 4));
    request.set("tasks", task("serving_default", "classify"));
    request.set("tasks", task("regression", "regress"));
    var both =
        client
            .call("PredictionService/MultiInference", request, "MultiInferenceResponse")
            .parts("results");
    assertThat(both.get(0).part("classification_result").bytes())
        .isEqualTo(classified.part("result").bytes());
    assertThat(both.get(1).part("regression_result").bytes())
        .isEqualTo(regressed.part("result").bytes());
    refuses(
        client.failure(
            "PredictionService/MultiInference",
            request.set("tasks", task("regression", "regress"))),
        Code.INVALID_ARGUMENT,
        "Duplicate evaluation of signature: regression");
    refuses(
        client.failure(
            "PredictionService/Classify", examples("ClassificationRequest", "regression")),
        Code.INVALID_ARGUMENT,
        "tensorflow/serving/classify");
    var nothing = ServingMessage.of("RegressionRequest");
    nothing.set("model_spec", spec("estimator", "regression").build());
    refuses(
        client.failure("PredictionService/Regress", nothing), Code.INVALID_ARGUMENT, "is empty");
  }

  private static ServingMessage task(String signature, String method) {
    return ServingMessage.of("InferenceTask")
        .set("model_spec", spec("estimator", signature).build())
        .set("method_name", "tensorflow/serving/" + method)
        .build();
  }

  @Test
  void examplesShareAContext() {
    var x = FloatList.newBuilder().addValue(1).addValue(2);
    var features =
        Features.newBuilder().putFeature("x", Feature.newBuilder().setFloatList(x).build());
    var shared = ServingMessage.of("ExampleListWithContext");
    shared.set("context", Example.newBuilder().setFeatures(features).build().toByteString());
    shared.set("examples", ByteString.EMPTY);
    var request = ServingMessage.of("RegressionRequest");
    request.set("model_spec", spec("estimator", "regression").build());
    var input = ServingMessage.of("Input").set("example_list_with_context", shared.build());
    var response =
        client.call(
            "PredictionService/Regress", request.set("input", input.build()), "RegressionResponse");
    assertThat(response.part("result").parts("regressions").get(0).real("value")).isEqualTo(4.5);
  }

  @Test
  void tellsMetadataAndStatus() throws Exception {
    var request = ServingMessage.of("GetModelMetadataRequest");
    request.set("model_spec", spec("types", "").build()).set("metadata_field", "signature_def");
    var response =
        client.call("PredictionService/GetModelMetadata", request, "GetModelMetadataResponse");
    ServingMessage any = response.parts("metadata").get(0);
    assertThat(any.text("key")).isEqualTo("signature_def");
    Any value = Any.parseFrom(any.part("value").bytes());
    assertThat(value.getTypeUrl()).endsWith("/tensorflow.serving.SignatureDefMap");
    var map = ServingMessage.parse("SignatureDefMap", value.getValue().toByteArray());
    assertThat(map.map("signature_def", ByteString.class)).containsKeys("serving_default", "many");
    refuses(
        client.failure("PredictionService/GetModelMetadata", request.set("metadata_field", "no")),
        Code.INVALID_ARGUMENT,
        "no is not supported");
    var status =
        ServingMessage.of("GetModelStatusRequest").set("model_spec", spec("types", "").build());
    var versions =
        client
            .call("ModelService/GetModelStatus", status, "GetModelStatusResponse")
            .parts("model_version_status");
    assertThat(versions).hasSize(1);
    assertThat(versions.get(0).number("state")).isEqualTo(30);
    var unknown =
        ServingMessage.of("GetModelStatusRequest").set("model_spec", spec("no", "").build());
    refuses(
        client.failure("ModelService/GetModelStatus", unknown),
        Code.NOT_FOUND,
        "Could not find any versions of model no");
  }

  @Test
  void reloadsWhatLiesWhereItWasStarted() {
    var list = ServingMessage.of("ModelConfigList");
    for (var served : models.config().models()) {
      String base = served.base().toString();
      list.set("config", config(served.name(), base));
    }
    var more = list.set("config", config("again", types)).build();
    var ok = client.call(RELOAD, reload(more), "ReloadConfigResponse");
    assertThat(ok.part("status").number("error_code")).isZero();
    var inputs = Map.of("x", floats(1));
    client.call(PREDICT, predict(spec("again", ""), inputs), "PredictResponse");
    var other = ServingMessage.of("ModelConfigList").set("config", config("etc", "/etc")).build();
    refuses(client.failure(RELOAD, reload(other)), Code.INVALID_ARGUMENT, "model etc");
    refuses(
        client.failure(RELOAD, ServingMessage.of("ReloadConfigRequest")),
        Code.INVALID_ARGUMENT,
        "model_config_list");
  }

  private static ServingMessage config(String name, String base) {
    return ServingMessage.of("ModelConfig")
        .set("name", name)
        .set("base_path", base)
        .set("model_platform", "tensorflow")
        .build();
  }

  private static ServingMessage.Builder reload(ServingMessage list) {
    var config = ServingMessage.of("ModelServerConfig").set("model_config_list", list);
    return ServingMessage.of("ReloadConfigRequest").set("config", config.build());
  }

  @Test
  void answersManyAtOnce() throws Exception {
    var threads = Executors.newFixedThreadPool(32);
    try {
      List<Future<float[]>> results = new ArrayList<>();
      for (int i = 0; i < 400; i++) {
        var request = predict(spec("types", ""), Map.of("x", floats(i, -i)));
        results.add(
            threads.submit(
                () -> output(client.call(PREDICT, request, "PredictResponse"), "y").floats()));
      }
      for (int i = 0; i < results.size(); i++) {
        assertThat(results.get(i).get()).containsExactly(0.5f * i + 2, -0.5f * i + 2);
      }
    } finally {
      threads.shutdownNow();
    }
    assertThat(METERS.find("performer.grpc.calls").tag("status", "OK").timers()).isNotEmpty();
  }

  @Test
  void keepsDeadlines() {
    var request = predict(spec("types", ""), Map.of("x", floats(1))).build().bytes().toByteArray();
    var options = CallOptions.DEFAULT.withDeadlineAfter(1, TimeUnit.NANOSECONDS);
    assertThat(client.failure(PREDICT, request, options).getCode())
        .isEqualTo(Code.DEADLINE_EXCEEDED);
  }

  @Test
  void tellsHealthAndWhatThereIs() throws Exception {
    var health = HealthGrpc.newBlockingStub(client.channel);
    for (String service : List.of("", "tensorflow.serving.PredictionService")) {
      var asked = HealthCheckRequest.newBuilder().setService(service).build();
      assertThat(health.check(asked).getStatus()).isEqualTo(ServingStatus.SERVING);
    }
    CompletableFuture<ServerReflectionResponse> answer = new CompletableFuture<>();
    var asking =
        ServerReflectionGrpc.newStub(client.channel)
            .serverReflectionInfo(
                new StreamObserver<>() {
                  @Override
                  public void onNext(ServerReflectionResponse response) {
                    answer.complete(response);
                  }

                  @Override
                  public void onError(Throwable why) {
                    answer.completeExceptionally(why);
                  }

                  @Override
                  public void onCompleted() {}
                });
    asking.onNext(
        ServerReflectionRequest.newBuilder()
            .setFileContainingSymbol("tensorflow.serving.PredictionService")
            .build());
    assertThat(answer.get().getFileDescriptorResponse().getFileDescriptorProtoCount())
        .isGreaterThan(3); // with TensorFlow's own
    asking.onCompleted();
  }

  @Test
  void asksForAKeyAndRefusesWhatIsTooLarge() {
    var options =
        LOCAL
            .withAccess(List.of("secret"), List.of())
            .withLimits(Limits.DEFAULT.withSizes(1000, 1000));
    try (GrpcFront guarded = GrpcFront.start(options, 0, models, METERS);
        GrpcClient plain = new GrpcClient(guarded.port())) {
      var request = predict(spec("types", ""), Map.of("x", floats(1)));
      refuses(client(plain, "Bearer other").failure(PREDICT, request), Code.UNAUTHENTICATED, "key");
      refuses(plain.failure(PREDICT, request), Code.UNAUTHENTICATED, "authorization: Bearer KEY");
      var health = HealthGrpc.newBlockingStub(plain.channel);
      assertThat(health.check(HealthCheckRequest.getDefaultInstance()).getStatus())
          .isEqualTo(ServingStatus.SERVING);
      var holder = client(plain, "Bearer secret");
      assertThat(output(holder.call(PREDICT, request, "PredictResponse"), "y").floats())
          .containsExactly(2.5f);
      var large = predict(spec("types", ""), Map.of("x", floats(new float[1000])));
      assertThat(holder.failure(PREDICT, large).getCode()).isEqualTo(Code.RESOURCE_EXHAUSTED);
    }
  }

  /** The same channel with a header. */
  private static GrpcClient client(GrpcClient plain, String key) {
    Metadata headers = new Metadata();
    headers.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), key);
    return plain.with(MetadataUtils.newAttachHeadersInterceptor(headers));
  }

  @Test
  void givesUpOnARequestThatDoesNotArrive() throws Exception {
    var limits = Limits.DEFAULT.withIdle(Duration.ofSeconds(60), Duration.ofMillis(50));
    try (GrpcFront hasty = GrpcFront.start(LOCAL.withLimits(limits), 0, models, METERS);
        GrpcClient own = new GrpcClient(hasty.port())) {
      CompletableFuture<Status> ended = new CompletableFuture<>();
      var stream = // of which the head goes out at once
          GrpcClient.method(PREDICT).toBuilder().setType(MethodType.CLIENT_STREAMING).build();
      var call = own.channel.newCall(stream, CallOptions.DEFAULT);
      call.start(
          new ClientCall.Listener<>() {
            @Override
            public void onClose(Status status, Metadata trailers) {
              ended.complete(status);
            }
          },
          new Metadata());
      call.request(1);
      refuses(
          ended.get(60, TimeUnit.SECONDS), Code.DEADLINE_EXCEEDED, "did not arrive within 50 ms");
    }
  }

  @Test
  void aClientThatGoesAwayLeavesTheQueue() throws Exception {
    var request = predict(spec("types", ""), Map.of("x", floats(1))).build().bytes().toByteArray();
    for (int i = 0; i < 50; i++) {
      var call = client.channel.newCall(GrpcClient.method(PREDICT), CallOptions.DEFAULT);
      var future = ClientCalls.futureUnaryCall(call, request);
      future.cancel(true);
    }
    client.call(PREDICT, request, "PredictResponse", CallOptions.DEFAULT);
    try (var lease = models.lease("types", Version.LATEST)) {
      assertThat(lease.model().batches().statistics().waiting()).isZero();
    }
  }

  @Test
  void drains() throws Exception {
    GrpcFront draining = GrpcFront.start(LOCAL, 0, models, METERS);
    try (GrpcClient own = new GrpcClient(draining.port())) {
      var request = predict(spec("types", ""), Map.of("x", floats(1)));
      own.call(PREDICT, request, "PredictResponse");
      assertThat(draining.drain(Duration.ofSeconds(30))).isTrue();
      assertThat(own.failure(PREDICT, request).getCode()).isEqualTo(Code.UNAVAILABLE);
    } finally {
      draining.close();
    }
  }

  @Test
  void speaksTls(@TempDir Path folder) throws Exception {
    var options = LOCAL.withTls(SelfSigned.in(folder));
    var trusting =
        GrpcSslContexts.forClient().trustManager(InsecureTrustManagerFactory.INSTANCE).build();
    var request = predict(spec("types", ""), Map.of("x", floats(1)));
    try (GrpcFront secure = GrpcFront.start(options, 0, models, METERS);
        GrpcClient plain = new GrpcClient(secure.port());
        GrpcClient own =
            new GrpcClient(
                NettyChannelBuilder.forAddress("localhost", secure.port())
                    .sslContext(trusting)
                    .build())) {
      var response = own.call(PREDICT, request, "PredictResponse");
      assertThat(output(response, "y").floats()).containsExactly(2.5f);
      assertThat(plain.failure(PREDICT, request).getCode()).isEqualTo(Code.UNAVAILABLE);
    }
    Files.writeString(options.tls().key(), "nothing");
    assertThatThrownBy(() -> GrpcFront.start(options, 0, models, METERS).close())
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining(options.tls().key().toString())
        .hasMessageNotContaining("\n");
  }

  @Test
  void aPortThatIsTakenIsNamed() {
    assertThatThrownBy(() -> GrpcFront.start(LOCAL, front.port(), models, METERS))
        .isInstanceOf(PerformerException.class)
        .hasMessageContaining("127.0.0.1:" + front.port() + ": gRPC cannot listen here");
  }
}
