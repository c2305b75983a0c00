package dev.performer.study;

import static dev.performer.PerformerException.require;
import static dev.performer.study.Table.format;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.AtomicFiles;
import dev.performer.attention.Kernel;
import dev.performer.chart.Chart;
import dev.performer.chart.Chart.Line;
import dev.performer.data.ProteinVocabulary;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.ModelCard.LanguageModel;
import dev.performer.training.ModelCards;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.IntSupplier;
import java.util.function.Predicate;
import java.util.stream.Collectors;

/**
 * A server under load from another process, over HTTP: predictions by clients with and without
 * batching, generation by streams, a token's time at far positions, the first token behind a known
 * prefix, open sessions. Models have random weights.
 *
 * @param seconds of a load, which runs as long before it is measured
 * @param serve main class and arguments of a server, the port being {@link #PORT}
 * @param unbatched more arguments, for a server that runs each call alone
 */
public record ServingBenchmark(
    Size size, double seconds, List<String> serve, List<String> unbatched)
    implements Benchmark<ServingBenchmark.Case> {
  /** Stands for the port in the server's arguments. */
  public static final String PORT = ServerProcess.PORT;

  private static final List<Integer> CLIENTS = List.of(1, 8, 64);
  private static final List<Integer> STREAMS = List.of(1, 16, 64);

  /** What is measured. */
  enum Kind {
    PREDICT,
    PREDICT_UNBATCHED,
    GENERATE,
    FAR_TOKEN,
    PREFIX,
    SESSIONS
  }

  /**
   * What was measured; null where that is another case's.
   *
   * @param perSecond requests or tokens
   * @param p50Ms half of the requests took no longer
   * @param beforeMs a token at position 100; the first token behind a prompt read anew
   * @param afterMs a token at position 10,000; the first token behind the same prompt again
   * @param statedMb what the server states for its sessions, in 10^6 bytes
   * @param grownMb by which its process grew
   */
  @JsonInclude(JsonInclude.Include.NON_NULL)
  record Measured(
      Double perSecond,
      Double p50Ms,
      Double p99Ms,
      Double beforeMs,
      Double afterMs,
      Double statedMb,
      Double grownMb) {
    private static Measured of(ServerLoad.Seen seen) {
      double half = seen.quantile(0.5);
      return new Measured(seen.perSecond(), half, seen.quantile(0.99), null, null, null, null);
    }
  }

  private record Row(
      Kind kind, int clients, @JsonInclude(JsonInclude.Include.NON_NULL) Measured measured) {}

  private record Json(List<Row> rows) {}

  @Override
  public String name() {
    return "serve";
  }

  @Override
  public List<Case> cases() {
    List<Case> all = new ArrayList<>();
    CLIENTS.forEach(n -> all.add(of(Kind.PREDICT, n)));
    CLIENTS.forEach(n -> all.add(of(Kind.PREDICT_UNBATCHED, n)));
    STREAMS.forEach(n -> all.add(of(Kind.GENERATE, n)));
    all.add(of(Kind.FAR_TOKEN, 1));
    all.add(of(Kind.PREFIX, 1));
    all.add(of(Kind.SESSIONS, Case.SESSIONS));
    return all;
  }

  private Case of(Kind kind, int clients) {
    List<String> command = new ArrayList<>(serve);
    command.addAll(kind == Kind.PREDICT_UNBATCHED ? unbatched : List.of());
    return new Case(kind, clients, size, seconds, command, null);
  }

  @Override
  public String table(List<Case> rows) {
    Table table = new Table("load | a second | p50 | p99");
    for (Case row : done(rows, c -> c.result.perSecond != null)) {
      Measured m = row.result;
      String unit = row.kind == Kind.GENERATE ? "tokens" : "requests";
      table.row(
          format(
              "%s | %.0f %s | %.1f ms | %.1f ms",
              row.label(), m.perSecond, unit, m.p50Ms, m.p99Ms));
    }
    Table rest = new Table("measured | before | after | after / before");
    for (Case row : done(rows, c -> c.result.perSecond == null)) {
      Measured m = row.result;
      rest.row(
          row.kind == Kind.SESSIONS
              ? format(
                  "%s, MB stated, grown by | %.0f | %.0f | %.2f",
                  row.label(), m.statedMb, m.grownMb, m.grownMb / m.statedMb)
              : format(
                  "%s, ms | %.2f | %.2f | %.3f",
                  row.label(), m.beforeMs, m.afterMs, m.afterMs / m.beforeMs));
    }
    return table + "\n" + rest;
  }

  private static List<Case> done(List<Case> rows, Predicate<Case> which) {
    return rows.stream().filter(c -> c.result != null).filter(which).toList();
  }

  @Override
  public Record json(List<Case> rows) {
    return new Json(rows.stream().map(c -> new Row(c.kind, c.clients, c.result)).toList());
  }

  /** Requests and tokens a second over clients. */
  @Override
  public List<Chart> charts(List<Case> rows) {
    var layout =
        new Chart.Layout(
            700, 480, Chart.Scale.POWERS_OF_TWO, Chart.Scale.DECADES, Chart.Legend.INSIDE);
    Chart predict = Chart.of("Predictions", "clients", "requests a second", layout);
    predict = predict.with(line("batched", rows, Kind.PREDICT));
    predict = predict.with(line("one at a time", rows, Kind.PREDICT_UNBATCHED));
    Chart tokens = Chart.of("Generation", "streams", "tokens a second", layout);
    return List.of(predict, tokens.with(line("tokens", rows, Kind.GENERATE)));
  }

  private static Line line(String name, List<Case> rows, Kind kind) {
    List<Case> own = done(rows, c -> c.kind == kind);
    var x = own.stream().map(c -> c.clients).toList();
    var y = own.stream().map(c -> c.result.perSecond).toList();
    return Line.of(name, x, y).withMarker(Line.Marker.CIRCLE);
  }

  /** One load of a server of its own. */
  record Case(
      Kind kind, int clients, Size size, double loadSeconds, List<String> serve, Measured result)
      implements Benchmark.Case<Case> {
    private static final BenchmarkedAttention FAVOR = new BenchmarkedAttention(Kernel.DEFAULT);
    private static final int SESSIONS = 1000;
    private static final double START_SECONDS = 8;
    private static final int NEW_TOKENS = 64;
    private static final int ROW = 16; // tokens of a prediction
    private static final int PREFIX = 2000;
    private static final int NEAR = 100;
    private static final int FAR = 10_000;
    private static final int REPEATED = 20;
    private static final String NAME = "model";
    private static final String PREDICTION = "/v1/models/" + NAME + ":predict";
    private static final String COMPLETION = "/v1/completions";
    private static final String OPEN = "/v1/models/" + NAME + "/sessions";

    @Override
    public String label() {
      return switch (kind) {
        case PREDICT -> clients + " clients predict";
        case PREDICT_UNBATCHED -> clients + " clients predict, no batching";
        case GENERATE -> clients + " streams of " + NEW_TOKENS + " tokens";
        case FAR_TOKEN -> "a token at position " + NEAR + ", " + FAR;
        case PREFIX -> "first token behind " + PREFIX + " tokens, read and known";
        case SESSIONS -> clients + " open sessions";
      };
    }

    @Override
    public String line() {
      Measured m = result;
      String figures =
          m.perSecond != null
              ? format("%.0f a second, p50 %.1f ms, p99 %.1f ms", m.perSecond, m.p50Ms, m.p99Ms)
              : m.statedMb != null
                  ? format("%.0f MB stated, %.0f MB grown", m.statedMb, m.grownMb)
                  : format("%.2f and %.2f ms", m.beforeMs, m.afterMs);
      return "%-40s %s".formatted(label(), figures);
    }

    @Override
    public double seconds() {
      return switch (kind) {
        case PREDICT, PREDICT_UNBATCHED, GENERATE -> START_SECONDS + 2 * loadSeconds;
        default -> START_SECONDS + 30;
      };
    }

    @Override
    public Case measure() throws IOException {
      Path folder = Files.createTempDirectory("performer-bench");
      try {
        Path model = folder.resolve(NAME);
        boolean isPrediction = kind == Kind.PREDICT || kind == Kind.PREDICT_UNBATCHED;
        RandomModel.write(keys(isPrediction), isPrediction ? null : card(), model);
        var more = List.of(NAME + "=" + model);
        try (var server = ServerProcess.start(serve, more, folder)) {
          var load = new ServerLoad(server.address());
          return new Case(kind, clients, size, loadSeconds, serve, measured(server, load));
        }
      } finally {
        AtomicFiles.discard(folder);
      }
    }

    /** Rotary positions: a text has no end. */
    private ObjectNode keys(boolean isPrediction) {
      int most = Math.max(2 * FAR, PREFIX);
      ObjectNode keys = FAVOR.model(isPrediction ? ROW : most, size);
      keys.put("vocabularySize", ProteinVocabulary.google().size()).put("positions", "rotary");
      if (isPrediction) {
        keys.put("task", "classification").put("classes", 2).put("layers", 2);
        ((ObjectNode) keys.get("attention")).put("causal", false);
      }
      return keys;
    }

    /** Of a model that never ends a text. */
    static ModelCard card() {
      var lm = new LanguageModel(null, null, null, null, null, null, null, null, null, false);
      var words = ModelCards.vocabulary(ProteinVocabulary.GOOGLE_NAME, ProteinVocabulary.google());
      return ModelCard.of(null, words, lm, null);
    }

    private Measured measured(ServerProcess server, ServerLoad load) {
      return switch (kind) {
        case PREDICT, PREDICT_UNBATCHED -> clients(prediction(load));
        case GENERATE -> clients(completion(load));
        case FAR_TOKEN -> farToken(load);
        case PREFIX -> prefix(load);
        case SESSIONS -> sessions(server, load);
      };
    }

    private Measured clients(IntSupplier request) {
      ServerLoad.run(clients, loadSeconds, request);
      return Measured.of(ServerLoad.run(clients, loadSeconds, request));
    }

    private static IntSupplier prediction(ServerLoad load) {
      ObjectNode body = JsonNodeFactory.instance.objectNode();
      ArrayNode row = body.putArray("instances").addArray();
      new SplittableRandom(1).ints(ROW, 4, 24).forEach(row::add);
      return () -> load.post(PREDICTION, body).path("predictions").size();
    }

    private static ObjectNode prompt(String text, int tokens) {
      ObjectNode body = JsonNodeFactory.instance.objectNode();
      return body.put("model", NAME).put("prompt", text).put("max_tokens", tokens);
    }

    private static IntSupplier completion(ServerLoad load) {
      ObjectNode body = prompt("MKTAYIAKQR", NEW_TOKENS).put("stream", true);
      return () -> {
        int came = load.events(COMPLETION, body).length;
        require(came >= NEW_TOKENS, "%d events came of %d tokens", came, NEW_TOKENS);
        return NEW_TOKENS;
      };
    }

    /** Medians over streams in turns; of many tokens each, as a client reads several at once. */
    private Measured farToken(ServerLoad load) {
      clients(completion(load));
      double[] near = new double[REPEATED];
      double[] far = new double[REPEATED];
      for (int i = -1; i < REPEATED; i++) { // the first time the long prompt is read
        near[Math.max(0, i)] = tokenMs(load, letters(1, NEAR / 2));
        far[Math.max(0, i)] = tokenMs(load, letters(1, FAR - NEAR / 2));
      }
      return new Measured(null, null, null, median(near), median(far), null, null);
    }

    private static double tokenMs(ServerLoad load, String text) {
      long[] at = load.events(COMPLETION, prompt(text, NEAR + 1).put("stream", true));
      return (at[NEAR] - at[0]) / 1e6 / NEAR;
    }

    private static double median(double[] values) {
      Arrays.sort(values);
      return values[values.length / 2];
    }

    /** Medians of the time to the first token of prompts that are new, and of the same again. */
    private Measured prefix(ServerLoad load) {
      clients(completion(load)); // lets the JVM compile what all requests have
      double[] fresh = new double[REPEATED];
      double[] known = new double[REPEATED];
      for (int i = -REPEATED; i < REPEATED; i++) { // the first half warms up, too
        ObjectNode body = prompt(letters(i, PREFIX), 1).put("stream", true);
        double first = firstMs(load, body);
        double second = firstMs(load, body);
        fresh[Math.max(0, i)] = first;
        known[Math.max(0, i)] = second;
      }
      return new Measured(null, null, null, median(fresh), median(known), null, null);
    }

    private static double firstMs(ServerLoad load, ObjectNode body) {
      long start = System.nanoTime();
      return (load.events(COMPLETION, body)[0] - start) / 1e6;
    }

    static String letters(long seed, int count) {
      String all = "ACDEFGHIKLMNPQRSTVWY";
      var random = new SplittableRandom(seed).ints(count, 0, all.length());
      return random.mapToObj(i -> all.substring(i, i + 1)).collect(Collectors.joining());
    }

    private Measured sessions(ServerProcess server, ServerLoad load) {
      load.post(OPEN, JsonNodeFactory.instance.objectNode().put("prompt", letters(-1, ROW)));
      long before = server.resident();
      long stated = 0;
      for (int i = 0; i < clients; i++) {
        ObjectNode body = JsonNodeFactory.instance.objectNode().put("prompt", letters(i, ROW));
        stated += load.post(OPEN, body).path("bytes").asLong();
      }
      double grown = (server.resident() - before) / 1e6;
      return new Measured(null, null, null, null, null, stated / 1e6, grown);
    }
  }
}
