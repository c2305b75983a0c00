package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.TokenizedSequences;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.SavedModelPredictor;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;

/**
 * Runs signatures of any SavedModel, on named arrays or on texts. Safe for use by several threads,
 * unless a signature changes variables.
 */
public final class Predictor implements AutoCloseable {
  private static final int BATCH = 8;

  private final Model model;
  private final SavedModelPredictor predictor;

  private Predictor(Model model, Duration timeout) {
    this.model = model;
    predictor = SavedModelPredictor.load(model.directory(), timeout);
  }

  /** Loads a model, as {@link Model#open(Path)} takes it. */
  public static Predictor load(Path model) {
    return load(Model.open(model));
  }

  /** Loads a model. */
  public static Predictor load(Model model) {
    return load(model, SavedModelPredictor.TIMEOUT);
  }

  /** The same. @param timeout how long loading, and then each run of a signature, may take */
  public static Predictor load(Model model, Duration timeout) {
    return new Predictor(model, timeout);
  }

  /** What was loaded. */
  public Model model() {
    return model;
  }

  /**
   * Runs the model's signature: that of its options, else {@code serving_default}.
   *
   * @param inputs one array per input, named like the signature's; whole numbers and floats of
   *     other width are converted where no value changes
   * @return one array per output; float16 and bfloat16 come as float32
   * @throws PerformerException if a name, type or shape does not fit, or the model fails
   */
  public Map<String, NpyArray> predict(Map<String, NpyArray> inputs) {
    String given = model.options().signature();
    return predict(given == null ? ImportedModel.DEFAULT_SIGNATURE : given, inputs);
  }

  /** Runs a signature. */
  public Map<String, NpyArray> predict(String signature, Map<String, NpyArray> inputs) {
    model.card().map(ModelCard::languageModel).ifPresent(lm -> lm.requireShort(inputs, model.path()));
    return predictor.predict(signature, inputs);
  }

  /** The same on texts. @throws PerformerException if the model's token ids mean nothing known */
  public Map<String, NpyArray> predict(List<String> texts) {
    TokenInput input = model.input();
    return predict(input, input.encode(texts), BATCH);
  }

  /**
   * Runs a signature on sequences.
   *
   * @param input of this model
   * @param batch sequences that run at a time at most
   * @return the outputs with a row for each sequence, joined; 'tokens' [N, L] and 'lengths' [N]
   */
  public Map<String, NpyArray> predict(TokenInput input, TokenizedSequences sequences, int batch) {
    var runner = new TokenInput.Runner(predictor, input);
    List<String> names = runner.rowOutputs();
    var all = input.signature().outputs().values();
    String none = "%s: signature %s has no output with a row for each sequence; it has %s";
    require(!names.isEmpty(), none, model.path(), input.signature().name(), all);
    return runner.run(sequences, batch, true, names, (outputs, ids, length) -> outputs);
  }

  /**
   * The names of what a model that was fine-tuned on labels guesses, one for each row: its class,
   * the labels it has, or the classes of its tokens with spaces between them. Empty for others.
   *
   * @param outputs of {@code predict}
   */
  public List<String> names(Map<String, NpyArray> outputs) {
    return model.card().map(ModelCard::task).filter(task -> task.kind() != null).stream()
        .flatMap(task -> new Guesses(task).of(outputs).stream())
        .toList();
  }

  /** Frees the model. */
  @Override
  public void close() {
    predictor.close();
  }
}
