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
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.stream.IntStream;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.ndarray.Shape;

/**
 * The signatures prefill, extend and decode_step: a token costs the same wherever it stands. Models
 * of before extend take only the beginning of a text at once.
 */
final class StateDecoder implements Decoder {
  private static final int LONGEST_BEGINNING = 4096;

  private final SavedModelPredictor predictor;
  private final Limits limits;
  private final SignatureSpec prefill;
  private final SignatureSpec step;
  private final SignatureSpec extend; // null where the model has none
  private final List<String> states;
  private final List<Shape> shapes;
  private final List<String> outputs;
  private final List<Integer> places; // of the states among the outputs

  private StateDecoder(SavedModelPredictor predictor, PerformerConfig config) {
    this.predictor = predictor;
    var pad = config.padId() == null ? OptionalInt.empty() : OptionalInt.of(config.padId());
    int size = config.vocabularySize();
    limits = new Limits(size, pad, config.longestSequence(), config.shiftBos() != null);
    var directory = predictor.directory();
    prefill = directory.signature(PerformerSignatures.PREFILL);
    step = directory.signature(STEP);
    boolean extendsTexts = directory.signatures().containsKey(PerformerSignatures.EXTEND);
    extend = extendsTexts ? directory.signature(PerformerSignatures.EXTEND) : null;
    outputs = List.copyOf(step.outputs().keySet());
    states = step.inputs().keySet().stream().filter(outputs::contains).toList();
    shapes = states.stream().map(name -> step.input(name).shape()).toList();
    places = states.stream().map(outputs::indexOf).toList();
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
    return limits;
  }

  @Override
  public boolean hasStates() {
    return true;
  }

  @Override
  public int chunk(int wished, boolean isBeginning) {
    return extend != null ? wished : isBeginning ? Math.max(wished, LONGEST_BEGINNING) : 0;
  }

  /** A short text would be padded to the longest. */
  @Override
  public boolean readsTogether() {
    return shapes.stream().allMatch(shape -> StateRows.growing(shape.asArray()) == 0);
  }

  @Override
  public List<TextState> read(List<TextState> before, List<int[]> tokens) {
    int rows = tokens.size();
    int[] lengths = tokens.stream().mapToInt(row -> row.length).toArray();
    int longest = Math.max(1, Arrays.stream(lengths).max().orElseThrow());
    int[] ids = new int[rows * longest];
    for (int r = 0; r < rows; r++) {
      System.arraycopy(tokens.get(r), 0, ids, r * longest, lengths[r]);
    }
    Map<String, Tensor> feeds = new HashMap<>();
    try (Tensor text = Tensors.of(ids, rows, longest);
        Tensor counts = Tensors.of(lengths, rows)) {
      feeds.put(PerformerSignatures.TOKENS, text);
      feeds.put(PerformerSignatures.LENGTHS, counts);
      if (before.get(0) == null) {
        int[] read = IntStream.of(lengths).map(length -> length + limits.shift()).toArray();
        List<int[]> spans = IntStream.of(read).mapToObj(end -> new int[] {0, end}).toList();
        var result = run(prefill, feeds);
        return split(result, before, tokens, spans, longest + limits.shift());
      }
      var parts = before.stream().map(state -> new StateRows.Part(state.rows(), 0)).toList();
      boolean isOne = rows == 1;
      StateRows joined = isOne ? before.get(0).rows() : StateRows.join(shapes, parts);
      try (Tensor position = Tensors.of(positions(before), rows)) {
        feeds.put(PerformerSignatures.POSITION, position);
        feed(joined, feeds);
        var spans = joined.spansAfter(lengths);
        return split(run(extend, feeds), before, tokens, spans, joined.columns() + longest);
      } finally {
        if (!isOne) {
          joined.close();
        }
      }
    }
  }

  private int[] positions(List<TextState> texts) {
    return texts.stream().mapToInt(text -> text.length() + limits.shift()).toArray();
  }

  private void feed(StateRows rows, Map<String, Tensor> feeds) {
    for (int s = 0; s < states.size(); s++) {
      feeds.put(states.get(s), rows.tensors().get(s));
    }
  }

  private List<TextState> split(
      Result result, List<TextState> before, List<int[]> tokens, List<int[]> spans, int columns) {
    List<TextState> texts = new ArrayList<>();
    try (StateRows all = StateRows.of(result, places, spans, columns)) {
      float[] logits = logits(result);
      int width = logits.length / tokens.size();
      for (int r = 0; r < tokens.size(); r++) {
        float[] own = Arrays.copyOfRange(logits, r * width, (r + 1) * width);
        int[] ids = TextState.joined(before.get(r), tokens.get(r));
        texts.add(new TextState(ids, own, all.row(shapes, r)));
      }
      return texts;
    } catch (RuntimeException | OutOfMemoryError e) {
      texts.forEach(TextState::close);
      throw e;
    }
  }

  private float[] logits(Result result) {
    return Tensors.floats(result.get(outputs.indexOf(PerformerSignatures.LOGITS)));
  }

  /** The signatures have the same outputs, which are fetched in the same order. */
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

  @Override
  public Batch join(Batch before, int[] kept, List<TextState> more) {
    States old = (States) before;
    int[] positions = new int[kept.length + more.size()];
    List<StateRows.Part> parts = new ArrayList<>();
    for (int row : kept) {
      positions[parts.size()] = old.positions[row];
      parts.add(new StateRows.Part(old.rows, row));
    }
    for (TextState text : more) {
      positions[parts.size()] = text.length() + limits.shift();
      parts.add(new StateRows.Part(text.rows(), 0));
    }
    try {
      return new States(StateRows.join(shapes, parts), positions);
    } finally {
      if (old != null) {
        old.close();
      }
    }
  }

  @Override
  public TextState restore(int[] ids, float[] logits, StateFile.Source source) throws IOException {
    int columns = ids.length + limits.shift();
    return new TextState(ids, logits, source.rows(states, shapes, columns));
  }

  private final class States implements Batch {
    private StateRows rows;

    /** Where the next token stands, {@code [B]}. */
    private final int[] positions;

    private float[] logits;

    private States(StateRows rows, int[] positions) {
      this.rows = rows;
      this.positions = positions;
    }

    @Override
    public float[] step(int[] tokens) {
      Map<String, Tensor> feeds = new HashMap<>();
      try (Tensor token = Tensors.of(tokens, tokens.length);
          Tensor position = Tensors.of(positions, positions.length)) {
        feeds.put(PerformerSignatures.TOKEN, token);
        feeds.put(PerformerSignatures.POSITION, position);
        feed(rows, feeds);
        Result next = run(step, feeds);
        int[] one = new int[tokens.length];
        Arrays.fill(one, 1);
        var spans = rows.spansAfter(one);
        rows.close();
        rows = StateRows.of(next, places, spans, rows.columns() + 1);
        logits = logits(next);
      }
      for (int r = 0; r < positions.length; r++) {
        positions[r]++;
      }
      return logits;
    }

    @Override
    public TextState take(int row, int[] ids) {
      int width = logits.length / positions.length;
      float[] own = Arrays.copyOfRange(logits, row * width, (row + 1) * width);
      return new TextState(ids, own, rows.row(shapes, row));
    }

    @Override
    public void close() {
      rows.close();
    }
  }
}
