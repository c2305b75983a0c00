package dev.performer.serving;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.performer.graph.Tensors;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.savedmodel.PerformerSignatures;
import dev.performer.savedmodel.SavedModelPredictor;
import dev.performer.savedmodel.SignatureSpec;
import dev.performer.serving.StateLayout.Row;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.tensorflow.Tensor;

/** Texts that are read in pieces, in batches that change, give what each gives at once. */
class StateLayoutTest {
  @TempDir Path folder;

  private static final String SIZES =
      "{preset: performer, task: causal-lm, vocabularySize: 29, hiddenSize: 16, heads: 2, layers: 2,"
          + " mlpSize: 16, maxLength: 40, ";

  /** Tensors by name that one call gave, and how many tokens of each row were read. */
  private record Batch(Map<String, Tensor> tensors, int[] texts, int[] read) {
    private void close() {
      tensors.values().forEach(Tensor::close);
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "positions: learned, attention: {kernel: softmax, features: 20, causal: true}}",
        "positions: learned, attention: {kernel: hyperbolic, features: 20, causal: true, window: 4, sinks: [0, 3]}}",
        "positions: rotary, attention: {kernel: sderf, features: 20, causal: true, window: 1}}",
        "positions: learned, attention: {kernel: softmax, features: 20, causal: true, sinks: [0, 1], linear: false}}",
        "positions: rotary, attention: {exact: true}}",
        "positions: sinusoidal, shiftBos: 25, attention: {kernel: relu, causal: true, exactHeads: 1}}",
        "positions: learned, attention: {kernel: softmax, convention: google-jax, features: 20, causal: true}}"
      })
  void piecesInChangingBatchesGiveWhatWholeTextsGive(String rest) {
    Path model = CausalModels.write(folder.resolve("model"), SIZES + rest);
    int shift = rest.contains("shiftBos") ? 1 : 0;
    Random random = new Random(rest.length());
    int[][] texts =
        IntStream.of(40, 3, 17, 29, 1)
            .map(length -> length - (length == 40 ? shift : 0))
            .mapToObj(length -> random.ints(length, 0, 25).toArray())
            .toArray(int[][]::new);
    try (SavedModelPredictor predictor = SavedModelPredictor.load(model)) {
      Calls calls = new Calls(predictor);
      float[][] expected = new float[texts.length][];
      for (int t = 0; t < texts.length; t++) {
        Batch whole = calls.prefill(texts, new int[] {t}, new int[] {texts[t].length});
        expected[t] = Tensors.floats(whole.tensors().get("logits"));
        whole.close();
      }
      int[] all = IntStream.range(0, texts.length).toArray();
      int[] first = Arrays.stream(all).map(t -> 1 + random.nextInt(texts[t].length)).toArray();
      Batch batch = calls.prefill(texts, all, first);
      float[][] found = new float[texts.length][];
      for (int round = 0; ; round++) {
        float[] logits = Tensors.floats(batch.tensors().get("logits"));
        List<Integer> left = new ArrayList<>();
        for (int r = 0; r < batch.texts().length; r++) {
          int t = batch.texts()[r];
          if (batch.read()[r] < texts[t].length) {
            left.add(r);
          } else if (found[t] == null) {
            found[t] = Arrays.copyOfRange(logits, r * 29, (r + 1) * 29);
          }
        }
        if (left.isEmpty()) {
          batch.close();
          break;
        }
        // Rows that are done leave after a while, and the others change their order.
        Collections.shuffle(left, random);
        if (round % 3 == 2) {
          batch = calls.joined(batch, left);
        }
        int[] more = new int[batch.texts().length];
        for (int r = 0; r < more.length; r++) {
          more[r] = Math.min(random.nextInt(6), texts[batch.texts()[r]].length - batch.read()[r]);
        }
        batch = calls.extend(texts, batch, more);
      }
      for (int t = 0; t < texts.length; t++) {
        for (int v = 0; v < 29; v++) {
          assertThat(found[t][v])
              .as("text %d, logit %d", t, v)
              .isCloseTo(expected[t][v], within(1e-5f * Math.max(1, max(expected[t]))));
        }
      }
    }
  }

  private static float max(float[] x) {
    float max = 0;
    for (float one : x) {
      max = Math.max(max, Math.abs(one));
    }
    return max;
  }

  @Test
  void cachesLoseTheColumnsThatNoRowNeeds() {
    Path model =
        CausalModels.write(
            folder.resolve("model"), SIZES + "positions: learned, attention: {exact: true}}");
    try (SavedModelPredictor predictor = SavedModelPredictor.load(model)) {
      Calls calls = new Calls(predictor);
      int[][] texts = {{1, 2, 3, 4, 5, 6, 7}, {8, 9}};
      Batch both = calls.prefill(texts, new int[] {0, 1}, new int[] {3, 1});
      both = calls.extend(texts, both, new int[] {4, 1});
      assertThat(both.tensors().get("layer_1_keys").shape().asArray()).containsExactly(2, 2, 7, 8);
      Batch one = calls.joined(both, List.of(1));
      assertThat(one.tensors().get("layer_1_keys").shape().asArray()).containsExactly(1, 2, 2, 8);
      assertThat(Tensors.floats(one.tensors().get("layer_0_real"))).containsExactly(1, 1);
      long bytes =
          one.tensors().entrySet().stream()
              .filter(e -> !e.getKey().equals("logits"))
              .mapToLong(e -> e.getValue().numBytes())
              .sum();
      assertThat(calls.layout.bytes(2)).isEqualTo(bytes);
      assertThat(calls.layout.grows()).isTrue();
      one.close();
    }
  }

  private static final class Calls {
    private final SavedModelPredictor predictor;
    private final StateLayout layout;

    private Calls(SavedModelPredictor predictor) {
      this.predictor = predictor;
      layout = StateLayout.of(predictor.directory().signature(PerformerSignatures.STEP));
    }

    private Batch prefill(int[][] texts, int[] rows, int[] counts) {
      int[] none = new int[rows.length];
      return run(PerformerSignatures.PREFILL, texts, rows, none, counts, Map.of());
    }

    private Batch extend(int[][] texts, Batch batch, int[] counts) {
      Batch next =
          run(
              PerformerSignatures.EXTEND,
              texts,
              batch.texts(),
              batch.read(),
              counts,
              batch.tensors());
      batch.close();
      return next;
    }

    /** The batch is closed. */
    private Batch joined(Batch batch, List<Integer> rows) {
      var states = layout.join(rows.stream().map(r -> new Row(batch.tensors(), r)).toList());
      int[] texts = rows.stream().mapToInt(r -> batch.texts()[r]).toArray();
      int[] read = rows.stream().mapToInt(r -> batch.read()[r]).toArray();
      batch.close();
      return new Batch(states, texts, read);
    }

    private Batch run(
        String name, int[][] texts, int[] rows, int[] read, int[] counts, Map<String, Tensor> in) {
      SignatureSpec signature = predictor.directory().signature(name);
      int longest = Math.max(1, Arrays.stream(counts).max().orElseThrow());
      int[] tokens = new int[rows.length * longest];
      for (int r = 0; r < rows.length; r++) {
        System.arraycopy(texts[rows[r]], read[r], tokens, r * longest, counts[r]);
      }
      int shift = shift();
      int[] positions = Arrays.stream(read).map(n -> n + shift).toArray();
      Map<String, Tensor> feeds = new LinkedHashMap<>();
      feeds.put(PerformerSignatures.TOKENS, Tensors.of(tokens, rows.length, longest));
      feeds.put(PerformerSignatures.LENGTHS, Tensors.of(counts, rows.length));
      feeds.put(PerformerSignatures.POSITION, Tensors.of(positions, rows.length));
      feeds.putAll(in);
      var runner = predictor.session().runner();
      signature.inputs().forEach((key, spec) -> runner.feed(spec.tensor(), feeds.get(key)));
      List<String> outputs = List.copyOf(signature.outputs().keySet());
      outputs.forEach(key -> runner.fetch(signature.output(key).tensor()));
      Map<String, Tensor> results = new LinkedHashMap<>();
      var result = runner.run(); // its tensors are closed one by one
      for (int i = 0; i < outputs.size(); i++) {
        results.put(outputs.get(i), result.get(i));
      }
      List.of(PerformerSignatures.TOKENS, PerformerSignatures.LENGTHS, PerformerSignatures.POSITION)
          .forEach(key -> feeds.get(key).close());
      int[] now = IntStream.range(0, rows.length).map(r -> read[r] + counts[r]).toArray();
      return new Batch(results, rows, now);
    }

    private int shift() {
      Path model = predictor.directory().path();
      return PerformerModels.requireConfig(model).shiftBos() == null ? 0 : 1;
    }
  }
}
