package dev.performer.pipeline;

import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.TokenizedSequences;
import dev.performer.savedmodel.ImportedModel;
import dev.performer.savedmodel.ModelCard;
import dev.performer.savedmodel.SavedModelPredictor;
import dev.performer.savedmodel.SignatureRunner;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;

/**
 * A loaded SavedModel: runs its signatures on named arrays or on texts. {@link Embedder#of} and
 * {@link Scorer#of} run on the same one. Safe for use by several threads, unless a signature
 * changes variables.
 */
public final class Predictor implements AutoCloseable {
  /** The field of rows with the names of what a model guesses. */
  public static final String PREDICTION = "prediction";

  private static final int BATCH = 8;

  private final Model model;
  private final SavedModelPredictor loaded;
  private final SignatureRunner runner;

  private Predictor(Model model, SavedModelPredictor loaded, SignatureRunner runner) {
    this.model = model;
    this.loaded = loaded;
    this.runner = runner;
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
    var loaded = SavedModelPredictor.load(model.directory(), timeout);
    return new Predictor(model, loaded, loaded);
  }

  /** The same loaded model, with signatures run in another way; closing either frees it. */
  public Predictor through(UnaryOperator<SignatureRunner> way) {
    return new Predictor(model, loaded, way.apply(runner));
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
    return predict(signature(), inputs);
  }

  private String signature() {
    String given = model.options().signature();
    return given == null ? ImportedModel.DEFAULT_SIGNATURE : given;
  }

  /** Runs a signature. */
  public Map<String, NpyArray> predict(String signature, Map<String, NpyArray> inputs) {
    return predict(signature, inputs, model.directory().signature(signature).outputs().keySet());
  }

  /** The same for some of its outputs. @throws PerformerException also if it has no such output */
  public Map<String, NpyArray> predict(
      String signature, Map<String, NpyArray> inputs, Collection<String> outputs) {
    model
        .card()
        .map(ModelCard::languageModel)
        .ifPresent(fed -> fed.requireShort(inputs, model.path()));
    return runner.predict(signature, inputs, outputs);
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
    var rows = new TokenInput.Runner(runner, input);
    List<String> names = rows.rowOutputs();
    return rows.run(sequences, batch, true, names, (outputs, ids, length) -> outputs);
  }

  /** What it gives for many rows of sequences; it stays usable as long as this. */
  public RowModel rows(TokenInput input) {
    return new PredictedRows(this, new TokenInput.Runner(runner, input));
  }

  /** The same for rows of the arrays that a signature takes. */
  public RowModel rows() {
    return new PredictedArrays(this, model.directory().signature(signature()));
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

  /** What runs it, for others that share it. */
  SavedModelPredictor loaded() {
    return loaded;
  }

  /** The same, in the way that signatures are run. */
  SignatureRunner runner() {
    return runner;
  }

  /** How it is used as a language model. */
  LanguageModelSpec languageModel() {
    return model.languageModel(spec -> spec.causality(loaded));
  }

  /** Frees the model. */
  @Override
  public void close() {
    loaded.close();
  }
}
