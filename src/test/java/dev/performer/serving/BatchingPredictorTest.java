package dev.performer.serving;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.offset;

import dev.performer.BusyException;
import dev.performer.DeadlineException;
import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.ReferenceModels;
import dev.performer.savedmodel.SavedModelDirectory;
import dev.performer.savedmodel.SavedModelPredictor;
import dev.performer.savedmodel.SignatureRunner;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class BatchingPredictorTest {
  private static final String SERVE = "serving_default";
  private static final Duration LONG = Duration.ofHours(1);
  private static final BatchOptions PATIENT = BatchOptions.DEFAULT.withMaxDelay(LONG);

  private static SavedModelPredictor load(String model) {
    return SavedModelPredictor.load(ReferenceModels.directory(model).resolve("saved_model"));
  }

  /** A model whose first run waits until a test lets it go on; what ran is recorded. */
  private static final class Gate implements SignatureRunner {
    final List<Map<String, NpyArray>> runs = new ArrayList<>();
    final CountDownLatch begun = new CountDownLatch(1);
    final CountDownLatch open = new CountDownLatch(1);
    private final SavedModelPredictor model;

    Gate(SavedModelPredictor model) {
      this.model = model;
    }

    @Override
    public SavedModelDirectory directory() {
      return model.directory();
    }

    @Override
    public Map<String, NpyArray> predict(
        String signature, Map<String, NpyArray> inputs, Collection<String> outputs) {
      boolean isFirst;
      synchronized (this) {
        isFirst = runs.isEmpty();
        runs.add(inputs);
      }
      if (isFirst) {
        begun.countDown();
        try {
          open.await();
        } catch (InterruptedException e) {
          throw new AssertionError(e);
        }
      }
      return model.predict(signature, inputs, outputs);
    }

    /** One call that runs until the gate is open. */
    CompletableFuture<Map<String, NpyArray>> close(BatchingPredictor on, NpyArray tokens)
        throws Exception {
      var first = on.submit(SERVE, Map.of("tokens", tokens), null, null);
      begun.await();
      return first;
    }

    synchronized List<Long> rows() {
      return runs.stream().map(run -> run.values().iterator().next().shape()[0]).toList();
    }
  }

  private static NpyArray tokens(int seed, int rows, int length) {
    return NpyArray.of(new Random(seed).ints((long) rows * length, 3, 20).toArray(), rows, length);
  }

  private static NpyArray oneRow(NpyArray x, int row) {
    int place = row % (int) x.shape()[0];
    return x.rows(place, place + 1);
  }

  private static void assertSame(Map<String, NpyArray> actual, Map<String, NpyArray> expected) {
    assertThat(actual).containsOnlyKeys(expected.keySet());
    expected.forEach(
        (name, y) -> {
          assertThat(actual.get(name).shape()).as(name).isEqualTo(y.shape());
          double[] a = actual.get(name).doubles();
          double[] b = y.doubles();
          for (int i = 0; i < b.length; i++) {
            assertThat(a[i]).as(name).isCloseTo(b[i], offset(1e-5));
          }
        });
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"protein_exp", "protein_relu_causal", "gr_softmax_P_causal", "bert_softmax"})
  void givesEachCallerWhatARunOfItsOwnGives(String name) throws Exception {
    try (var model = load("models/" + name);
        var batching = BatchingPredictor.of(model, BatchOptions.DEFAULT)) {
      var stored = ReferenceModels.arrays("models/" + name, "expected.npz");
      List<Map<String, NpyArray>> calls = new ArrayList<>();
      for (int i = 0; i < 24; i++) {
        Map<String, NpyArray> call = new TreeMap<>();
        int row = i;
        ReferenceModels.under(stored, "in" + i % 2)
            .forEach((input, x) -> call.put(input, oneRow(x, row)));
        calls.add(call);
      }
      var threads = Executors.newFixedThreadPool(12);
      try {
        for (int round = 0; round < 3; round++) {
          CyclicBarrier together = new CyclicBarrier(12);
          List<Future<Map<String, NpyArray>>> results = new ArrayList<>();
          for (Map<String, NpyArray> call : calls) {
            results.add(
                threads.submit(
                    () -> {
                      together.await();
                      return batching.predict(SERVE, call, null);
                    }));
          }
          for (int i = 0; i < calls.size(); i++) {
            assertSame(results.get(i).get(), model.predict(SERVE, calls.get(i)));
          }
        }
      } finally {
        threads.shutdownNow();
      }
    }
  }

  @Test
  void joinsWhatArrivesWhileARunIsUnderWay() throws Exception {
    try (var model = load("models/protein_exp")) {
      Gate gate = new Gate(model);
      try (var batching = BatchingPredictor.of(gate, PATIENT)) {
        for (int round = 0; round < 2; round++) { // two proofs, then what was proven
          gate.close(batching, tokens(0, 1, 8));
          gate.open.countDown();
        }
        List<NpyArray> inputs =
            IntStream.range(1, 9).mapToObj(i -> tokens(i, i % 3 + 1, 8)).toList();
        List<CompletableFuture<Map<String, NpyArray>>> results = new ArrayList<>();
        inputs.forEach(x -> results.add(batching.submit(SERVE, Map.of("tokens", x), null, null)));
        for (int i = 0; i < inputs.size(); i++) {
          assertSame(results.get(i).get(), model.predict(SERVE, Map.of("tokens", inputs.get(i))));
        }
      }
    }
  }

  @Test
  void runsNoMoreRowsThanAllowedAndOnlyTheSizesAllowed() throws Exception {
    try (var model = load("models/protein_exp")) {
      Gate gate = new Gate(model);
      var options = PATIENT.withMaxBatch(4).withAllowedSizes(List.of(1, 4));
      try (var batching = BatchingPredictor.of(gate, options)) {
        var first = gate.close(batching, tokens(0, 1, 8));
        List<CompletableFuture<?>> results = new ArrayList<>();
        for (int i = 1; i <= 6; i++) {
          NpyArray x = tokens(i, 2, 8);
          results.add(
              batching
                  .submit(SERVE, Map.of("tokens", x), null, null)
                  .thenAccept(y -> assertSame(y, model.predict(SERVE, Map.of("tokens", x)))));
        }
        gate.open.countDown();
        first.get();
        for (var result : results) {
          result.get();
        }
        assertThat(gate.rows()).contains(1L, 4L).allMatch(rows -> rows == 1 || rows == 4);
      }
    }
  }

  @Test
  void aLargeCallRunsInPieces() throws Exception {
    try (var model = load("models/protein_exp")) {
      Gate gate = new Gate(model);
      gate.open.countDown();
      try (var batching = BatchingPredictor.of(gate, PATIENT.withMaxBatch(4))) {
        var inputs = Map.of("tokens", tokens(1, 43, 64));
        assertSame(batching.predict(SERVE, inputs, null, null), model.predict(SERVE, inputs));
        assertThat(gate.rows()).startsWith(2L, 1L, 1L, 2L, 1L, 1L).allMatch(rows -> rows < 10);
        assertThat(gate.rows().stream().skip(6).mapToLong(rows -> rows).sum()).isEqualTo(43);
        NpyArray equal = NpyArray.of(new int[640], 10, 64); // which show nothing, but it is known
        batching.predict(SERVE, Map.of("tokens", equal), null, null);
        assertThat(gate.rows()).allMatch(rows -> rows < 10);
      }
    }
  }

  @Test
  void smallRowsOfALargeCallRunInFewPieces() throws Exception {
    Path types = Path.of("src/test/resources/savedmodels/served/types");
    try (var model = SavedModelPredictor.load(types)) {
      Gate gate = new Gate(model);
      gate.open.countDown();
      try (var batching = BatchingPredictor.of(gate, PATIENT)) {
        float[] x = new float[30_000];
        for (int i = 0; i < x.length; i++) {
          x[i] = i;
        }
        var inputs = Map.of("x", NpyArray.of(x, x.length));
        var outputs = batching.predict(SERVE, inputs, null, null);
        assertThat(outputs).isEqualTo(model.predict(SERVE, inputs));
        assertThat(gate.rows()).endsWith(8192L, 8192L, 8192L, 5424L);
      }
    }
  }

  @Test
  void aLargeCallOfEqualRowsRunsWhole() throws Exception {
    try (var model = load("models/protein_exp")) {
      Gate gate = new Gate(model);
      gate.open.countDown();
      try (var batching = BatchingPredictor.of(gate, PATIENT.withMaxBatch(2))) {
        var inputs = Map.of("tokens", NpyArray.of(new int[640], 10, 64));
        assertSame(batching.predict(SERVE, inputs, null, null), model.predict(SERVE, inputs));
        assertThat(gate.rows()).containsExactly(10L);
      }
    }
  }

  @Test
  void aCallThatFailsFailsAlone() throws Exception {
    try (var model = load("models/protein_exp")) {
      Gate gate = new Gate(model);
      try (var batching = BatchingPredictor.of(gate, PATIENT)) {
        var first = gate.close(batching, tokens(0, 1, 8));
        NpyArray outside = NpyArray.of(new int[] {1, 2, 3, 4, 5, 6, 7, 2000}, 1, 8);
        var good = batching.submit(SERVE, Map.of("tokens", tokens(1, 1, 8)), null, null);
        var bad = batching.submit(SERVE, Map.of("tokens", outside), null, null);
        var last = batching.submit(SERVE, Map.of("tokens", tokens(2, 1, 8)), null, null);
        NpyArray floats = NpyArray.of(new float[8], 1, 8);
        assertThatThrownBy(() -> batching.submit(SERVE, Map.of("tokens", floats), null, null))
            .hasMessage("the input tokens must be int32, not float32");
        gate.open.countDown();
        first.get();
        assertSame(good.get(), model.predict(SERVE, Map.of("tokens", tokens(1, 1, 8))));
        assertSame(last.get(), model.predict(SERVE, Map.of("tokens", tokens(2, 1, 8))));
        assertThatThrownBy(bad::get)
            .isInstanceOf(ExecutionException.class)
            .cause()
            .isInstanceOf(PerformerException.class)
            .hasMessageContaining("failed: ");
      }
    }
  }

  @Test
  void aModelThatMixesRowsRunsCallByCall() throws Exception {
    try (var model = load("models/protein_exp")) {
      AtomicInteger joined = new AtomicInteger();
      SignatureRunner mixing =
          new SignatureRunner() {
            @Override
            public SavedModelDirectory directory() {
              return model.directory();
            }

            @Override
            public Map<String, NpyArray> predict(
                String signature, Map<String, NpyArray> inputs, Collection<String> outputs) {
              NpyArray x = inputs.get("tokens");
              int rows = (int) x.shape()[0];
              joined.addAndGet(rows > 1 ? 1 : 0);
              float[] y = new float[rows];
              Arrays.fill(y, (float) Arrays.stream(x.doubles()).sum());
              return Map.of("logits", NpyArray.of(y, rows));
            }
          };
      try (var batching = BatchingPredictor.of(mixing, PATIENT)) {
        for (int round = 0; round < 5; round++) {
          List<NpyArray> inputs = IntStream.range(0, 16).mapToObj(i -> tokens(i, 1, 8)).toList();
          var results =
              inputs.stream()
                  .map(x -> batching.submit(SERVE, Map.of("tokens", x), null, null))
                  .toList();
          for (int i = 0; i < inputs.size(); i++) {
            double sum = Arrays.stream(inputs.get(i).doubles()).sum();
            assertThat(results.get(i).get().get("logits").doubles()).containsExactly(sum);
          }
        }
        var rows = Map.of("tokens", tokens(1, 100, 8));
        double all = Arrays.stream(rows.get("tokens").doubles()).sum();
        assertThat(batching.predict(SERVE, rows, null, null).get("logits").doubles())
            .hasSize(100)
            .containsOnly(all);
        assertThat(joined).hasValueLessThanOrEqualTo(5); // runs under way when the first was proven
      }
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{preset: performer, task: masked-lm, vocabularySize: 29, hiddenSize: 32, heads: 4,"
            + " mlpSize: 64, maxLength: 512, layers: 2, attention: {kernel: relu}}",
        "{preset: performer, task: causal-lm, vocabularySize: 29, hiddenSize: 32, heads: 4,"
            + " mlpSize: 64, maxLength: 512, layers: 2, attention: {kernel: hyperbolic, features:"
            + " 32, causal: true, exactHeads: 2}}"
      })
  void padsTokensWhereTheCardTellsHow(String yaml, @TempDir Path folder) throws Exception {
    List<String> letters = IntStream.range(0, 29).mapToObj(i -> "" + (char) ('A' + i)).toList();
    var words = new ModelCard.Vocabulary("letters", letters, 0, null, null, null);
    Path path = CausalModels.write(folder.resolve("model"), yaml, words, weights -> {});
    try (var model = SavedModelPredictor.load(path)) {
      Gate gate = new Gate(model);
      try (var batching = BatchingPredictor.of(gate, PATIENT)) {
        gate.close(batching, tokens(0, 1, 8));
        List<NpyArray> inputs = IntStream.range(3, 15).mapToObj(i -> tokens(i, 1, i)).toList();
        List<CompletableFuture<Map<String, NpyArray>>> results = new ArrayList<>();
        for (int round = 0; round < 4; round++) {
          results.clear();
          inputs.forEach(x -> results.add(batching.submit(SERVE, Map.of("tokens", x), null, null)));
          gate.open.countDown();
          for (int i = 0; i < inputs.size(); i++) {
            assertSame(results.get(i).get(), model.predict(SERVE, Map.of("tokens", inputs.get(i))));
          }
        }
        assertThat(gate.rows()).contains(12L);
      }
    }
  }

  @Test
  void callsThatChangeVariablesRunInOrder() throws Exception {
    try (var model = load("made/structure");
        var batching = BatchingPredictor.of(model, BatchOptions.DEFAULT)) {
      NpyArray x = NpyArray.of(new float[] {1, 2, 3}, 1, 3);
      var calls =
          IntStream.range(0, 50)
              .mapToObj(i -> batching.submit("counted", Map.of("x", x), null, null))
              .toList();
      long first = calls.get(0).get().get("calls").longs()[0];
      for (int i = 0; i < calls.size(); i++) {
        assertThat(calls.get(i).get().get("calls").longs()[0]).isEqualTo(first + i);
      }
    }
  }

  @Test
  void aFullQueueADeadlineAndACancelTakeWaitingCallsAway() throws Exception {
    try (var model = load("models/protein_exp")) {
      Gate gate = new Gate(model);
      try (var batching = BatchingPredictor.of(gate, PATIENT.withMaxQueue(2))) {
        var first = gate.close(batching, tokens(0, 1, 8));
        Map<String, NpyArray> x = Map.of("tokens", tokens(1, 1, 8));
        var cancelled = batching.submit(SERVE, x, null, null);
        var late = batching.submit(SERVE, x, null, Instant.now().plusMillis(50));
        assertThatThrownBy(() -> batching.predict(SERVE, x, null))
            .isInstanceOf(BusyException.class)
            .hasMessageContaining("2 calls wait already");
        assertThatThrownBy(late::get).cause().isInstanceOf(DeadlineException.class);
        cancelled.cancel(true);
        assertThat(batching.statistics().waiting()).isZero();
        Instant soon = Instant.now().plusMillis(20);
        assertThatThrownBy(() -> batching.predict(SERVE, x, null, soon))
            .isInstanceOf(DeadlineException.class);
        assertThatThrownBy(() -> batching.predict(SERVE, x, null, Instant.now().minusMillis(1)))
            .isInstanceOf(DeadlineException.class);
        var good = batching.submit(SERVE, x, null, Instant.now().plusSeconds(1000));
        gate.open.countDown();
        first.get();
        assertSame(good.get(), model.predict(SERVE, x));
        assertThatThrownBy(cancelled::get).isInstanceOf(CancellationException.class);
        assertThat(gate.runs).hasSize(2);
      }
    }
  }

  @Test
  void closingFailsWhatWaitsAndLetsEndWhatRuns() throws Exception {
    try (var model = load("models/protein_exp")) {
      Gate gate = new Gate(model);
      var batching = BatchingPredictor.of(gate, PATIENT);
      var first = gate.close(batching, tokens(0, 1, 8));
      Map<String, NpyArray> x = Map.of("tokens", tokens(1, 1, 8));
      var waiting = batching.submit(SERVE, x, null, null);
      waiting.whenComplete((y, failure) -> gate.open.countDown());
      batching.close();
      assertThat(first).isCompleted();
      assertThatThrownBy(waiting::get).cause().hasMessageContaining("was closed before");
      assertThatThrownBy(() -> batching.predict(SERVE, x, null))
          .hasMessageContaining("is being closed");
    }
  }
}
