package dev.performer.serving;

import static dev.performer.PerformerException.require;
import static dev.performer.savedmodel.PerformerSignatures.STEP;

import dev.performer.PerformerException;
import dev.performer.graph.NativeErrors;
import dev.performer.graph.Tensors;
import dev.performer.model.PerformerConfig;
import dev.performer.savedmodel.PerformerModels;
import dev.performer.savedmodel.PerformerSignatures;
import dev.performer.savedmodel.SavedModelPredictor;
import dev.performer.savedmodel.SignatureSpec;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.Tensor;

/** The signatures prefill and decode_step: a token costs the same wherever it stands. */
final class StateDecoder implements Decoder {
  private final SavedModelPredictor predictor;
  private final PerformerConfig config;
  private final SignatureSpec prefill;
  private final SignatureSpec step;
  private final List<String> outputs;

  private StateDecoder(SavedModelPredictor predictor, PerformerConfig config) {
    this.predictor = predictor;
    this.config = config;
    prefill = predictor.directory().signature(PerformerSignatures.PREFILL);
    step = predictor.directory().signature(STEP);
    outputs = List.copyOf(step.outputs().keySet());
  }

  /** Of a loaded model. @throws PerformerException if it has no configuration, or no states */
  static StateDecoder of(SavedModelPredictor predictor) {
    Path model = predictor.directory().path();
    PerformerConfig config = PerformerModels.requireConfig(model);
    var signatures = predictor.directory().signatures().keySet();
    String text =
        "%s: has no states to generate with: no signature %s (it has %s), as causal language models with causal attention in every layer do";
    require(signatures.contains(STEP), text, model, STEP, signatures);
    return new StateDecoder(predictor, config);
  }

  @Override
  public Limits limits() {
    var pad = config.padId() == null ? OptionalInt.empty() : OptionalInt.of(config.padId());
    int size = config.vocabularySize();
    return new Limits(size, pad, config.longestSequence(), config.shiftBos() != null);
  }

  @Override
  public Texts begin(List<int[]> prompts) {
    return new States(prompts);
  }

  /** Both signatures have the same outputs, which are fetched in the same order. */
  private Result run(SignatureSpec signature, Map<String, Tensor> feeds) {
    Session.Runner runner = predictor.session().runner();
    feeds.forEach((name, tensor) -> runner.feed(signature.input(name).tensor(), tensor));
    outputs.forEach(name -> runner.fetch(signature.output(name).tensor()));
    try {
      return runner.run();
    } catch (RuntimeException e) {
      Path model = predictor.directory().path();
      String text = "the signature %s of %s failed: %s";
      throw new PerformerException(
          text.formatted(signature.name(), model, NativeErrors.firstLine(e)), e);
    }
  }

  private final class States implements Texts {
    private Result states;

    /** Where the next token stands, {@code [B]}. */
    private final int[] positions;

    private States(List<int[]> prompts) {
      int rows = prompts.size();
      int shift = limits().startsItself() ? 1 : 0;
      int[] lengths = prompts.stream().mapToInt(prompt -> prompt.length).toArray();
      positions = Arrays.stream(lengths).map(length -> length + shift).toArray();
      int longest = Math.max(1, Arrays.stream(lengths).max().orElseThrow());
      int[] tokens = new int[rows * longest];
      for (int r = 0; r < rows; r++) {
        System.arraycopy(prompts.get(r), 0, tokens, r * longest, lengths[r]);
      }
      try (Tensor ids = Tensors.of(tokens, rows, longest);
          Tensor counts = Tensors.of(lengths, rows)) {
        var feeds = Map.of(PerformerSignatures.TOKENS, ids, PerformerSignatures.LENGTHS, counts);
        states = run(prefill, feeds);
      }
    }

    @Override
    public float[] logits() {
      return Tensors.floats(states.get(outputs.indexOf(PerformerSignatures.LOGITS)));
    }

    /** A row that is done stays within the positions. */
    @Override
    public void add(int[] tokens, boolean[] ended) {
      try (Tensor token = Tensors.of(tokens, tokens.length);
          Tensor position = Tensors.of(positions, positions.length)) {
        Map<String, Tensor> feeds = new HashMap<>();
        feeds.put(PerformerSignatures.TOKEN, token);
        feeds.put(PerformerSignatures.POSITION, position);
        for (String name : step.inputs().keySet()) {
          if (outputs.contains(name)) {
            feeds.put(name, states.get(outputs.indexOf(name)));
          }
        }
        Result next = run(step, feeds);
        states.close();
        states = next;
      }
      for (int r = 0; r < ended.length; r++) {
        positions[r] += ended[r] ? 0 : 1;
      }
    }

    @Override
    public void close() {
      states.close();
    }
  }
}
