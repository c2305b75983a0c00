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
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.Consumer;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import org.tensorflow.Result;
import org.tensorflow.Session;
import org.tensorflow.Tensor;
import org.tensorflow.proto.RunMetadata;
import org.tensorflow.proto.RunOptions;

/**
 * The signatures prefill, extend and decode_step: a token costs the same wherever it stands. Models
 * of before extend take only the beginning of a text at once.
 */
final class StateDecoder implements Decoder {
  private static final int LONGEST_BEGINNING = 4096;
  private static final RunOptions TRACE =
      RunOptions.newBuilder().setTraceLevel(RunOptions.TraceLevel.FULL_TRACE).build();

  private final SavedModelPredictor predictor;
  private final Limits limits;
  private final SignatureSpec prefill;
  private final SignatureSpec step;
  private final SignatureSpec extend; // null where the model has none
  private final StateLayout layout;
  private final List<String> outputs;
  private final PerformerConfig config;
  private Optional<ConstantStep> constant; // null until the first text generates
  private Consumer<RunMetadata> traces; // null for none

  private StateDecoder(SavedModelPredictor predictor, PerformerConfig config) {
    this.predictor = predictor;
    this.config = config;
    var pad = config.padId() == null ? OptionalInt.empty() : OptionalInt.of(config.padId());
    int size = config.vocabularySize();
    limits = new Limits(size, pad, config.longestSequence(), config.shiftBos() != null);
    var directory = predictor.directory();
    prefill = directory.signature(PerformerSignatures.PREFILL);
    step = directory.signature(STEP);
    boolean extendsTexts = directory.signatures().containsKey(PerformerSignatures.EXTEND);
    extend = extendsTexts ? directory.signature(PerformerSignatures.EXTEND) : null;
    outputs = List.copyOf(step.outputs().keySet());
    layout = StateLayout.of(step);
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

  /** Has all runs traced from now on; null for none. */
  void trace(Consumer<RunMetadata> listener) {
    traces = listener;
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
    return !layout.grows();
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
        return split(run(prefill, feeds), before, tokens);
      }
      int[] at = before.stream().mapToInt(known -> known.length() + limits.shift()).toArray();
      try (StateRows joined = StateRows.own(layout.join(rows(before)));
          Tensor position = Tensors.of(at, rows)) {
        feeds.put(PerformerSignatures.POSITION, position);
        feeds.putAll(joined.tensors());
        return split(run(extend, feeds), before, tokens);
      }
    }
  }

  private static List<StateLayout.Row> rows(List<TextState> texts) {
    return texts.stream().map(text -> new StateLayout.Row(text.rows().tensors(), 0)).toList();
  }

  private List<TextState> split(Result result, List<TextState> before, List<int[]> tokens) {
    List<TextState> texts = new ArrayList<>();
    try (StateRows all = StateRows.of(result, outputs, layout)) {
      float[] logits = logits(result);
      int width = logits.length / tokens.size();
      for (int r = 0; r < tokens.size(); r++) {
        float[] own = Arrays.copyOfRange(logits, r * width, (r + 1) * width);
        int[] ids = TextState.joined(before.get(r), tokens.get(r));
        texts.add(new TextState(ids, own, all.row(layout, r)));
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
    return checked(signature.name(), () -> run(runner));
  }

  private Result run(Session.Runner runner) {
    if (traces == null) {
      return runner.run();
    }
    Result result = runner.setOptions(TRACE).runAndFetchMetadata();
    traces.accept(result.getMetadata().orElseThrow());
    return result;
  }

  private <T> T checked(String signature, Supplier<T> run) {
    try {
      return run.get();
    } catch (RuntimeException e) {
      Path model = predictor.directory().path();
      String text = "the signature %s of %s failed: %s";
      throw new PerformerException(text.formatted(signature, model, NativeErrors.firstLine(e)), e);
    }
  }

  private synchronized Optional<ConstantStep> constant() {
    if (constant == null) {
      constant = ConstantStep.of(predictor, config);
    }
    return constant;
  }

  @Override
  public synchronized void close() {
    if (constant != null) {
      constant.ifPresent(ConstantStep::close);
      constant = Optional.empty();
    }
  }

  @Override
  public Batch join(Batch before, int[] kept, List<TextState> more) {
    States old = (States) before;
    try {
      List<StateLayout.Row> rows = new ArrayList<>();
      IntStream positions = IntStream.empty();
      if (old != null) {
        old.settle();
        IntStream.of(kept).forEach(r -> rows.add(new StateLayout.Row(old.rows.tensors(), r)));
        positions = IntStream.of(kept).map(r -> old.positions[r]);
      }
      rows.addAll(rows(more));
      var joined = more.stream().mapToInt(text -> text.length() + limits.shift());
      int[] all = IntStream.concat(positions, joined).toArray();
      return new States(StateRows.own(layout.join(rows)), all);
    } finally {
      if (old != null) {
        old.close();
      }
    }
  }

  @Override
  public TextState restore(int[] ids, float[] logits, StateFile.Source source) throws IOException {
    return new TextState(ids, logits, source.rows(layout, ids.length + limits.shift()));
  }

  private final class States implements Batch {
    private final Optional<ConstantStep> own = constant();
    private StateRows rows;
    private StateRows late; // what its own step keeps beside them; null for nothing
    private int waits; // how many tokens that is

    /** Where the next token stands, {@code [B]}. */
    private final int[] positions;

    private float[] logits;

    private States(StateRows rows, int[] positions) {
      this.rows = rows;
      this.positions = positions;
    }

    @Override
    public float[] step(int[] tokens) {
      if (own.isPresent()) {
        defer(own.get(), tokens);
      } else {
        Map<String, Tensor> feeds = new HashMap<>();
        try (Tensor token = Tensors.of(tokens, tokens.length);
            Tensor position = Tensors.of(positions, positions.length)) {
          feeds.put(PerformerSignatures.TOKEN, token);
          feeds.put(PerformerSignatures.POSITION, position);
          feeds.putAll(rows.tensors());
          Result next = run(step, feeds);
          rows.close();
          rows = StateRows.of(next, outputs, layout);
          logits = logits(next);
        }
      }
      for (int r = 0; r < positions.length; r++) {
        positions[r]++;
      }
      return logits;
    }

    private void defer(ConstantStep step, int[] tokens) {
      if (late == null) {
        late = StateRows.own(step.nothing(tokens.length));
      }
      var next = checked(STEP, () -> step.step(tokens, positions, known(), StateDecoder.this::run));
      late.close();
      late = new StateRows(next.tensors(), next.owner());
      logits = next.logits();
      if (++waits == ConstantStep.LONGEST_WAIT) {
        settle();
      }
    }

    private Map<String, Tensor> known() {
      Map<String, Tensor> known = new HashMap<>(rows.tensors());
      known.putAll(late.tensors());
      return known;
    }

    /** Has what waits taken in. */
    private void settle() {
      if (late != null) {
        Map<String, Tensor> known = known();
        var settled = checked(STEP, () -> own.orElseThrow().settle(known, StateDecoder.this::run));
        known.putAll(settled.tensors());
        known.keySet().retainAll(layout.shapes().keySet());
        rows.close();
        StateRows before = late;
        if (settled.tensors().keySet().containsAll(known.keySet())) {
          before.close();
          rows = new StateRows(known, settled.owner());
        } else { // it has the states of which nothing waits
          rows =
              new StateRows(
                  known,
                  () -> {
                    before.close();
                    settled.owner().close();
                  });
        }
        late = null;
        waits = 0;
      }
    }

    @Override
    public TextState take(int row, int[] ids) {
      settle();
      int width = logits.length / positions.length;
      float[] all = Arrays.copyOfRange(logits, row * width, (row + 1) * width);
      return new TextState(ids, all, rows.row(layout, row));
    }

    @Override
    public void close() {
      rows.close();
      if (late != null) {
        late.close();
      }
    }
  }
}
